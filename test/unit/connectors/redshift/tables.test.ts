import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CopyRunner } from '../../../../connectors/redshift/copy-runner.ts'
import type { DataApi } from '../../../../connectors/redshift/data-api.ts'
import { Tables } from '../../../../connectors/redshift/tables.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { messageColumn, noLogger } from '../../../support/redshift-sink.ts'
import { fileMessage } from './file-message.ts'

const signal = new AbortController().signal
const target = { schema: 'public', table: 'events' }
const names = { target, ledger: { schema: 'public', table: 'kc_ledger_events' } }

/** A warehouse with one table of one column, which refuses some statements. */
function tables(refused = 'ALTER COLUMN') {
  const asked: string[] = []
  const tokens: string[] = []
  const api: DataApi = {
    submit: async ([sql = ''], token) => {
      asked.push(sql)
      tokens.push(token)
      return sql
    },
    describe: async (sql) =>
      sql.includes(refused)
        ? {
            status: 'FAILED',
            error: 'ERROR: permission denied',
            hasResult: false,
            failedQueryId: null,
          }
        : { status: 'FINISHED', error: '', hasResult: true, failedQueryId: null },
    rows: async () => [['note', 'character varying', 10n, null, null]],
    cancel: async () => {},
    close: () => {},
  }
  const pace = { pollInitialMs: 1, pollMaxMs: 1, waitSeconds: 0, statementTimeoutMs: 1000 }
  const runner = new CopyRunner(
    api,
    { ...pace, maxRetries: 0, retryBackoffMs: 1 },
    { clock: systemClock, logger: noLogger },
  )
  const definition = {
    varcharBytes: 4096,
    primaryKey: [],
    distKey: '',
    sortKey: [],
    distStyle: '',
    noshred: false,
    fields: [],
  }
  const options = { autoCreate: false, autoEvolve: true, definition, maxRetries: 0, ledgerRetentionMs: 1e9 }
  const clock = { nowMs: 0 }
  const services = { clock: { ...systemClock, monotonicMs: () => clock.nowMs }, logger: noLogger }
  return { asked, tokens, clock, tables: new Tables(runner, options, services) }
}

test('a VARCHAR that may not be widened keeps its length in memory, and is not asked for again (statement R47)', async () => {
  const { asked, tables: known } = tables()
  const message = (length: number) => ({ ...fileMessage(0, 9), columns: [messageColumn('note', 'string', { length })] })
  for (const length of [20, 20, 30]) await known.prepare(names, [message(length)], signal)
  assert.equal(asked.filter((sql) => sql.includes('ALTER COLUMN')).length, 1)
  assert.equal((await known.columnsOf(target, signal)).get('note')?.type, 'character varying(10)')
  await known.prepare(names, [message(15)], signal)
  assert.match(asked.at(-1) ?? '', /ALTER COLUMN "note" TYPE VARCHAR\(15\)/)
})

test('a statement that comes again is another one to the service: the purge of every hour runs (statement R49)', async () => {
  const { asked, tokens, clock, tables: known } = tables()
  for (let hour = 0; hour < 3; hour++) {
    clock.nowMs = hour * 3_600_000
    await known.prepare(names, [], signal)
  }
  assert.equal(asked.filter((sql) => sql.startsWith('DELETE FROM')).length, 3)
  assert.equal(new Set(tokens).size, tokens.length)
})

test('a ledger that may not be purged grows, and loads go on (statement R49)', async () => {
  const { asked, tables: known } = tables('DELETE FROM')
  await known.prepare(names, [fileMessage(0, 9)], signal)
  assert.ok(asked.some((sql) => sql.startsWith('DELETE FROM')))
})

test('a message whose columns are none makes no table (statement R45)', async () => {
  const { asked, tables: known } = tables()
  await known.prepare(names, [{ ...fileMessage(0, 9), columns: [], metaFields: [] }], signal)
  assert.ok(asked.every((sql) => !sql.includes('TABLE "public"."events"')))
})
