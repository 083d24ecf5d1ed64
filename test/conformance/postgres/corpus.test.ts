import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { requireService, skipUnless } from '../../support/services.ts'
import { caseNames, knownDifferences, needsKafka, playCase } from './tasks.ts'

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
