/** R5: a worker answers whatever it is asked with a typed error. `npm run parity rest-fuzz` asks 10,000 times. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzWorker } from '../parity/rest/fuzz.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'

const kafka = requireService('kafka')
const random = seededRandom(testSeed)

test(`600 mutated requests get typed answers; the worker lives on (R5), seed ${random.seed}`, {
  skip: kafka.skip,
  timeout: 180_000,
}, async (t) => {
  const { result, summary } = await fuzzWorker({ brokers: kafka.settings.brokers, random, count: 600 })
  t.diagnostic(summary)
  assert.deepEqual(result.faults, [])
  assert.ok((result.statuses[400] ?? 0) > 100 && (result.statuses[200] ?? 0) > 50, summary)
})
