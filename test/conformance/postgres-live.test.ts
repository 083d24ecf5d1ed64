/** Random databases under Debezium and Sluice at once: a sample of `npm run parity postgres-live`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgresLive, postgresLiveSummary } from '../parity/postgres/live/live.ts'
import { requireJavaConnect } from '../support/java-connect.ts'
import { requireService, skipUnless } from '../support/services.ts'

const kafka = requireService('kafka')
const postgres = requireService('postgres')
/** Both with enums and arrays, the first with schemas off. */
const seeds = [10, 22]

test('the Postgres source writes what the Debezium beside it writes', {
  skip: skipUnless(kafka, postgres, requireJavaConnect()),
  timeout: 360_000,
}, async (t) => {
  const differences: string[] = []
  const result = await postgresLive({
    brokers: kafka.settings.brokers,
    pgUrl: postgres.settings.url,
    seeds,
    jobs: 1,
    without: [],
    validations: 40,
    report: (outcome) => {
      differences.push(...outcome.differences.map((text) => `seed ${outcome.seed}\n${text}`))
      assert.equal(outcome.theirFailure, null)
    },
  })
  t.diagnostic(postgresLiveSummary(result))
  assert.equal(differences.join('\n'), '')
  assert.deepEqual(result.validations.tooLenient, [])
  assert.ok(result.records > 40, postgresLiveSummary(result))
})
