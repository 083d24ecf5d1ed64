/** Requests beyond the recording, to Kafka Connect and Sluice at once: a sample of `npm run parity rest-live`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { liveParity, liveSummary } from '../parity/rest/live.ts'
import { describeOutcome } from '../parity/rest/parity.ts'
import { requireJavaConnect } from '../support/java-connect.ts'
import { requireService, skipUnless } from '../support/services.ts'

const kafka = requireService('kafka')
/** Of the validations; a prime, so that every option and every value has its turn. */
const every = 13

test('Sluice answers as the Kafka Connect beside it, or better', {
  skip: skipUnless(kafka, requireJavaConnect()),
  timeout: 180_000,
}, async (t) => {
  const result = await liveParity(kafka.settings.brokers, every, () => undefined)
  t.diagnostic(liveSummary(result))
  assert.equal(result.different.map((outcome) => describeOutcome(outcome)).join('\n'), '')
  assert.ok(result.total > 1000 && result.better < result.total / 10, liveSummary(result))
})
