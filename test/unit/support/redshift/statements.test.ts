import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StatementStore } from '../../../support/redshift/statements.ts'

const target = {
  owner: 'wg',
  clusterIdentifier: undefined,
  workgroupName: 'wg',
  database: 'dev',
  dbUser: undefined,
  secretArn: undefined,
}

test('whoever waits for a statement goes on with its end, or when the time is over (section 6)', async () => {
  const store = new StatementStore()
  const submission = {
    sqls: ['SELECT 1'],
    isBatch: false,
    target,
    name: null,
    parameters: new Map(),
    clientToken: null,
    sessionId: null,
  }
  const { statement } = store.submit(submission)
  await store.ended(statement, 5)
  assert.equal(statement.status, 'SUBMITTED')
  const waiting = Promise.all([store.ended(statement, 600_000), store.ended(statement, 600_000)])
  store.transition(statement, 'STARTED')
  store.transition(statement, 'FINISHED')
  await waiting
  await store.ended(statement, 600_000)
})
