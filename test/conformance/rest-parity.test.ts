/** All recorded requests against a real worker: what `npm run parity rest --docs --headers` prints, as a test. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { describeOutcome, restParity, summary } from '../parity/rest/parity.ts'
import { requireService } from '../support/services.ts'

/** A client would have given up by then; Connect answers each of these requests within seconds. */
const patienceMs = 20_000

const kafka = requireService('kafka')

test('a worker answers the recorded requests as Connect 4.3 does, or better', { skip: kafka.skip }, async (t) => {
  const different: string[] = []
  const result = await restParity(kafka.settings.brokers, { docs: true, headers: true }, (outcome) => {
    different.push(describeOutcome(outcome))
  })
  for (const line of summary(result)) t.diagnostic(line)
  assert.equal(different.join('\n'), '')
  assert.equal(result.equal + result.better, result.total)
  const slow = result.outcomes.filter(({ durationMs }) => durationMs > patienceMs).map(({ step }) => step.id)
  assert.deepEqual(slow, [], `answered after more than ${patienceMs} ms`)
})
