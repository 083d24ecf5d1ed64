import assert from 'node:assert/strict'
import { test } from 'node:test'
import { badData, loadErrorContext, suspicionOf } from '../../../../connectors/redshift/bad-files.ts'
import { CopyRunner, type Outcome } from '../../../../connectors/redshift/copy-runner.ts'
import type { DataApi, ResultRow } from '../../../../connectors/redshift/data-api.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { noLogger } from '../../../support/redshift-sink.ts'
import { fileMessage } from './file-message.ts'

const loadFailed = "Load into table 'x' failed.  Check 'sys_load_error_detail' system table for details."
type FailedStatement = Extract<Outcome, { kind: 'failed' }>
const outcome: FailedStatement = { kind: 'failed', id: 's-1', queryId: '77', error: loadFailed }
const message = fileMessage(0, 9)

/** A warehouse whose error views answer as given; a view that is not listed does not exist. */
function runnerOver(views: Readonly<Record<string, readonly ResultRow[]>>) {
  const asked: string[] = []
  const viewOf = (sql: string) => /FROM (\w+)/.exec(sql)?.[1] ?? ''
  const api: DataApi = {
    submit: async ([sql = '']) => {
      asked.push(sql)
      return sql
    },
    describe: async (sql) =>
      viewOf(sql) in views
        ? { status: 'FINISHED', error: '', hasResult: true, failedQueryId: null }
        : { status: 'FAILED', error: 'permission denied for view', hasResult: false, failedQueryId: null },
    rows: async (sql) => views[viewOf(sql)] ?? [],
    cancel: async () => {},
    close: () => {},
  }
  const options = {
    pollInitialMs: 1,
    pollMaxMs: 1,
    waitSeconds: 0,
    statementTimeoutMs: 1000,
    maxRetries: 0,
    retryBackoffMs: 1,
  }
  const waiting = { sleep: async () => {}, signal: new AbortController().signal }
  const runner = new CopyRunner(api, options, { clock: systemClock, logger: noLogger })
  return { asked, ask: (failure: FailedStatement = outcome) => suspicionOf(failure, runner, waiting) }
}

test('statement R39: when the views say nothing, the error of the statement is reported', async () => {
  for (const views of [{}, { sys_load_error_detail: [], stl_load_errors: [] }]) {
    const suspicion = await runnerOver(views).ask()
    assert.deepEqual([suspicion.reason, suspicion.files.size], [loadFailed, 0])
    const context = loadErrorContext('t', { outcome, suspicion, message })
    assert.ok(badData(message, { table: 't', suspicion, context }).message.endsWith(loadFailed))
    assert.equal(context['kc.redshift.error'], loadFailed)
  }
})

test('a provisioned cluster is asked through its older view; padding is taken off', async () => {
  const file = 's3://lake/t/kind=a/e+0+0.json.gz'
  const row = [`${file}     `, '7', 'price   ', '1207', 'Invalid digit  ']
  const { asked, ask } = runnerOver({ stl_load_errors: [row] })
  const suspicion = await ask()
  assert.deepEqual([...suspicion.files], [file])
  assert.ok(asked.every((sql) => sql.includes('= 77 ')))
  const context = loadErrorContext('t', { outcome, suspicion, message })
  assert.deepEqual(context, {
    'kc.redshift.table': 't',
    'kc.redshift.statement.id': 's-1',
    'kc.redshift.query.id': '77',
    'kc.redshift.error': 'Invalid digit',
    'kc.redshift.file': file,
    'kc.redshift.line': '7',
    'kc.redshift.column': 'price',
  })
  assert.match(badData(message, { table: 't', suspicion, context }).message, /line 7, column price cannot be loaded/)
})

test('a count that is not right names no file and asks nobody', async () => {
  const { asked, ask } = runnerOver({ sys_load_error_detail: [['s3://lake/x', '1', '', '', 'old']] })
  const suspicion = await ask({ ...outcome, error: 'ERROR: division by zero' })
  assert.match(suspicion.reason, /not as many as the messages say/)
  assert.deepEqual([suspicion.files.size, asked], [0, []])
})
