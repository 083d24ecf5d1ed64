import assert from 'node:assert/strict'
import test from 'node:test'
import { NotFoundError, NotLeaderError, RebalanceInProgressError } from '../../../../worker/api/errors.ts'
import type { Herder } from '../../../../worker/cluster/herder.ts'
import { applyConnectorFile, type ConnectorFile, parseConnectorFile } from '../../../../worker/config/config-files.ts'

test('the three formats', () => {
  const config = { 'connector.class': 'X', 'tasks.max': '1' }
  assert.deepEqual(
    parseConnectorFile(
      'f',
      JSON.stringify({ name: 'a', config: { ...config, 'tasks.max': 1 }, initial_state: 'paused' }),
    ),
    { path: 'f', name: 'a', config: { ...config, name: 'a' }, initialState: 'PAUSED' },
  )
  assert.deepEqual(parseConnectorFile('f', JSON.stringify({ name: 'a', ...config })), {
    path: 'f',
    name: 'a',
    config: { name: 'a', ...config },
    initialState: null,
  })
  assert.deepEqual(parseConnectorFile('f', 'name=a\nconnector.class: X'), {
    path: 'f',
    name: 'a',
    config: { name: 'a', 'connector.class': 'X' },
    initialState: null,
  })
})

test('what is wrong is told', () => {
  assert.throws(() => parseConnectorFile('f', '{"name":"a","config":{"x":{}}}'), /option "x" must be a text/u)
  assert.throws(() => parseConnectorFile('f', '{"name":"a","config":{"name":"b"}}'), /own name is b/u)
  assert.throws(
    () => parseConnectorFile('f', '{"name":"a","config":{},"initial_state":"HALF"}'),
    /use RUNNING, PAUSED/u,
  )
  assert.throws(() => parseConnectorFile('f', 'x=1'), /no "name"/u)
})

const file: ConnectorFile = { path: 'f', name: 'a', config: { name: 'a', x: '1' }, initialState: 'STOPPED' }

function applying(stored: Record<string, string> | null, put: Herder['putConnector']) {
  const forwarded: string[] = []
  const sleeps: number[] = []
  const herder = {
    connectorConfig: async () => {
      if (stored === null) throw new NotFoundError('no')
      return stored
    },
    putConnector: put,
  } as Partial<Herder> as Herder
  const none = (): void => {}
  return {
    forwarded,
    sleeps,
    result: applyConnectorFile(file, {
      herder,
      logger: { trace: none, debug: none, info: none, warn: none, error: none },
      clock: {
        now: () => 0,
        monotonicMs: () => 0,
        sleep: async (ms) => {
          sleeps.push(ms)
        },
      },
      signal: new AbortController().signal,
      forward: async (url) => {
        forwarded.push(url)
      },
    }),
  }
}

const done = async () => ({ created: true, info: { name: 'a', config: {}, tasks: [], type: 'source' as const } })

test('an equal config is left alone, another one replaced, a new one created in its state', async () => {
  const calls: unknown[] = []
  const put: Herder['putConnector'] = async (_, __, options) => {
    calls.push(options)
    return done()
  }
  assert.equal(await applying({ x: '1', name: 'a' }, put).result, 'unchanged')
  assert.equal(await applying({ x: '2', name: 'a' }, put).result, 'updated')
  assert.equal(await applying(null, put).result, 'created')
  assert.deepEqual(calls, [
    { replace: true, initialState: null },
    { replace: false, initialState: 'STOPPED' },
  ])
})

test('a follower forwards; a rebalance is waited for', async () => {
  const follower = applying(null, async () => {
    throw new NotLeaderError('not leader', 'http://leader/')
  })
  assert.equal(await follower.result, 'created')
  assert.deepEqual(follower.forwarded, ['http://leader/'])
  let refusals = 2
  const busy = applying(null, async () => {
    if (refusals-- > 0) throw new RebalanceInProgressError('wait')
    return done()
  })
  assert.equal(await busy.result, 'created')
  assert.deepEqual(busy.sleeps, [250, 500])
})
