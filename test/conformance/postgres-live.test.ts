/** Random databases under Debezium and Sluice at once: a sample of `npm run parity postgres-live`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { postgresLive, postgresLiveSummary } from '../parity/postgres/live/live.ts'
import { requireJavaConnect } from '../support/java-connect.ts'
import { requireService, skipUnless } from '../support/services.ts'

const kafka = requireService('kafka')
const postgres = requireService('postgres')
const seeds = [102, 103]
/**
 * Half of the 79 that these seeds write: fewer means that a round ended before its changes. Not the number itself: which
 * row an UPDATE meets, and so whether it meets a key that is taken, depends on where the server has put the rows.
 */
const leastRecords = 39

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
    // Their snapshots are awaited for as long as they may take, which is no matter for a sample.
    without: ['signal'],
    validations: 40,
    report: (outcome) => {
      differences.push(...outcome.differences.map((text) => `seed ${outcome.seed}\n${text}`))
      assert.equal(outcome.theirFailure, null)
    },
  })
  t.diagnostic(postgresLiveSummary(result))
  assert.equal(differences.join('\n'), '')
  assert.deepEqual(result.validations.tooLenient, [])
  assert.ok(result.records >= leastRecords, postgresLiveSummary(result))
})
