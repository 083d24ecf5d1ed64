import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { requireService, skipUnless } from '../../support/services.ts'
import { caseNames, coveredStatements, knownDifferences, needsKafka, playCase } from './tasks.ts'

/**
 * The recorded corpus against the task (Debezium 3.7.0.Final, PostgreSQL 15). Strict both ways: a case that is listed
 * in `not-equal.json` and has become equal must leave the list.
 */
const postgres = requireService('postgres')
const kafka = requireService('kafka')
const notEqual = await knownDifferences()
const names = await caseNames()
const strict = names.filter((name) => notEqual[name] === undefined)
let equalCases = 0

/** What the cases cover together, each as its `case.json` says. */
const covered =
  'statements P1–P4, P12, P14–P16, P18, P20–P24, P26, P28–P32, P34–P37, P39–P65, P68–P69, P71–P74, P78, P83, P85–P88, P90–P104, P106, P108–P113, P115–P117, P119, P121–P122, P126–P128, P130–P136'

test('the corpus covers the statements that are cited here', async () => {
  const spans = Array.from(covered.matchAll(/P(\d+)(?:–P(\d+))?/gu), ([, first, last]) => [
    Number(first),
    Number(last ?? first),
  ])
  const cited = spans.flatMap(([first = 0, last = 0]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
  assert.deepEqual(
    cited,
    [...(await coveredStatements())].sort((a, b) => a - b),
  )
})

test('every case of the list of differences exists', () => {
  assert.deepEqual(
    Object.keys(notEqual).filter((name) => !names.includes(name)),
    [],
  )
})

for (const name of names) {
  const reason = notEqual[name]
  const usesKafka = await needsKafka(name)
  const skip = usesKafka ? skipUnless(postgres, kafka) : postgres.skip
  test(`case ${name}${reason === undefined ? '' : ` differs: ${reason}`}`, { skip }, async () => {
    const servers = { pgUrl: postgres.settings.url, brokers: usesKafka ? kafka.settings.brokers : [] }
    const outcome = await playCase(name, servers).catch((error: unknown) => error)
    const differences = outcome instanceof Error || !isComparison(outcome) ? [String(outcome)] : outcome.differences
    if (reason === undefined) {
      assert.deepEqual(differences, [])
      equalCases += 1
    } else assert.notDeepEqual(differences, [], 'the case is equal now: remove it from not-equal.json')
  })
}

after(() => {
  if (postgres.skip === false)
    process.stdout.write(`${equalCases} of ${strict.length} cases equal (${names.length} in the corpus)\n`)
})

function isComparison(value: unknown): value is Awaited<ReturnType<typeof playCase>> {
  return typeof value === 'object' && value !== null && 'differences' in value
}
