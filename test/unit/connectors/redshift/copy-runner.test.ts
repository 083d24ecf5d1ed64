import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CopyRunner } from '../../../../connectors/redshift/copy-runner.ts'
import type { DataApi, StatementState } from '../../../../connectors/redshift/data-api.ts'
import type { Clock } from '../../../../worker/api/context.ts'
import { noLogger } from '../../../support/redshift-sink.ts'

const options = {
  pollInitialMs: 200,
  pollMaxMs: 5_000,
  waitSeconds: 20,
  statementTimeoutMs: 60_000,
  maxRetries: 3,
  retryBackoffMs: 1,
}

/** A service with one statement that ends after some time, by a clock that only waiting moves. */
function service(endsAfterMs: number, waiting: 'waits' | 'ignores' | 'refuses') {
  let now = 0
  const asked: number[] = []
  const pauses: number[] = []
  const cancelled: string[] = []
  const clock: Clock = {
    now: () => now,
    monotonicMs: () => now,
    sleep: async (ms) => {
      if (ms > 0) pauses.push(ms)
      now += ms
    },
  }
  const api: DataApi = {
    submit: async () => 's-1',
    async describe(_id, waitSeconds): Promise<StatementState> {
      asked.push(waitSeconds)
      if (waitSeconds > 0 && waiting === 'refuses') {
        throw Object.assign(new Error('WaitTimeSeconds is unknown'), { name: 'ValidationException' })
      }
      if (waiting === 'waits') now += Math.min(waitSeconds * 1000, Math.max(0, endsAfterMs - now))
      return { status: now >= endsAfterMs ? 'FINISHED' : 'STARTED', error: '', hasResult: false, failedQueryId: null }
    },
    rows: async () => [],
    cancel: async (id) => void cancelled.push(id),
    close: () => {},
  }
  const runner = new CopyRunner(api, options, { clock, logger: noLogger })
  const run = () => runner.run(['COPY'], 't', 1, new AbortController().signal)
  return { run, asked, pauses, cancelled }
}

test('the service waits for the end of a statement: no pauses between the looks (section 4.3)', async () => {
  const { run, asked, pauses } = service(45_000, 'waits')
  assert.deepEqual(await run(), { kind: 'finished', id: 's-1' })
  assert.deepEqual(asked, [20, 20, 20])
  assert.deepEqual(pauses, [])
})

test('a service that answers at once is asked with growing pauses (section 4.3)', async () => {
  const { run, asked, pauses } = service(20_000, 'ignores')
  assert.deepEqual(await run(), { kind: 'finished', id: 's-1' })
  assert.ok(asked.length < 15, `${asked.length} calls`)
  assert.ok(Math.max(...pauses) <= options.pollMaxMs && Math.max(...pauses) > 3_000)
})

test('a service that refuses to wait is not asked to again (section 4.3)', async () => {
  const { run, asked } = service(1_000, 'refuses')
  assert.deepEqual(await run(), { kind: 'finished', id: 's-1' })
  assert.deepEqual(await run(), { kind: 'finished', id: 's-1' })
  assert.deepEqual([...new Set(asked.slice(1))], [0])
})

test('a question that fails for a reason that may pass is asked again, others are not (section 4.9)', async () => {
  const asks = async (error: string) => {
    let asked = 0
    const api: DataApi = {
      submit: async () => `s-${++asked}`,
      describe: async () =>
        asked < 3
          ? { status: 'FAILED', error, hasResult: false, failedQueryId: null }
          : { status: 'FINISHED', error: '', hasResult: true, failedQueryId: null },
      rows: async () => [['row']],
      cancel: async () => {},
      close: () => {},
    }
    const clock: Clock = { now: () => 0, monotonicMs: () => 0, sleep: async () => {} }
    const runner = new CopyRunner(api, options, { clock, logger: noLogger })
    return runner.query('SELECT 1', new AbortController().signal)
  }
  assert.deepEqual(await asks('ERROR: 1023 Detail: Serializable isolation violation on table - 1'), [['row']])
  assert.deepEqual(await asks('ERROR: Query canceled by WLM abort action'), [['row']])
  const refused = { code: 'CONNECT_REDSHIFT_STATEMENT', message: /permission denied/ }
  await assert.rejects(asks('ERROR: permission denied for relation x'), refused)
})

test('a look waits no longer than the statement may run; then it is cancelled (statement R43)', async () => {
  const { run, asked, cancelled } = service(1e9, 'waits')
  assert.equal((await run()).kind, 'unknown')
  assert.deepEqual(asked, [20, 20, 20])
  assert.deepEqual(cancelled, ['s-1'])
})
