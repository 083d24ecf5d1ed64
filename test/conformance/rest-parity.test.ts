/** All recorded requests against a real worker: what `npm run parity rest --docs --headers` prints, as a test. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import { describeOutcome, restParity, summary } from '../parity/rest/parity.ts'
import { requireService } from '../support/services.ts'

/** A client would have given up by then; Connect answers each of these requests within seconds. */
const patienceMs = 20_000

const kafka = requireService('kafka')

/** Ids in the first table of `better.md`, that of the recorded requests. */
async function listed(): Promise<readonly string[]> {
  const text = await readFile(new URL('./golden/rest/better.md', import.meta.url), 'utf8')
  const recorded = text.slice(0, text.indexOf('npm run parity rest-live'))
  return Array.from(recorded.matchAll(/`([a-z]+\.[^`]+)`/g), ([, id = '']) => id).sort()
}

test('a worker answers the recorded requests as Connect 4.3 does, or better', { skip: kafka.skip }, async (t) => {
  const different: string[] = []
  const result = await restParity(kafka.settings.brokers, { docs: true, headers: true }, (outcome) => {
    different.push(describeOutcome(outcome))
  })
  for (const line of summary(result)) t.diagnostic(line)
  assert.equal(different.join('\n'), '')
  assert.equal(result.equal + result.better, result.total)
  // What differs on purpose is written down, each answer by its name.
  const better = result.outcomes.filter(({ verdict }) => verdict === 'better').map(({ step }) => step.id)
  assert.deepEqual(better.sort(), await listed())
  const slow = result.outcomes.filter(({ durationMs }) => durationMs > patienceMs).map(({ step }) => step.id)
  assert.deepEqual(slow, [], `answered after more than ${patienceMs} ms`)
})
