import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Password } from '../../../../worker/api/config.ts'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { Loggers, parseLogLevel } from '../../../../worker/util/log.ts'

function capture(now = () => 1_000) {
  const lines: Record<string, unknown>[] = []
  const loggers = new Loggers({
    destination: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    now,
  })
  return { lines, loggers }
}

test('writes one JSON line with namespace, fields and message', () => {
  const { lines, loggers } = capture()
  loggers.logger('sluice.herder', { connector: 'c1' }).info({ offset: 9_007_199_254_740_993n }, 'started')
  assert.deepEqual(lines, [
    {
      level: 'INFO',
      time: '1970-01-01T00:00:01.000Z',
      logger: 'sluice.herder',
      connector: 'c1',
      offset: '9007199254740993',
      message: 'started',
    },
  ])
})

test('hides secrets by class, by name and inside URLs, also in error causes (I8)', () => {
  const { lines, loggers } = capture()
  const cause = new Error('connect to postgres://app:hunter2@db/x failed')
  loggers.logger('a').error(
    {
      error: new ConnectError('fatal', 'CONNECT_TEST', 'failed', { cause }),
      config: { 'database.password': 'hunter2', 'sasl.jaas.config': 'hunter2', ok: 'yes' },
      key: new Password('hunter2'),
    },
    'x',
  )
  const text = JSON.stringify(lines)
  assert.ok(!text.includes('hunter2'), text)
  assert.ok(text.includes('CONNECT_TEST'))
  assert.ok(text.includes('"ok":"yes"'))
})

test('a level covers the namespaces below it, now and later, and reports only what changed', () => {
  let now = 5
  const { lines, loggers } = capture(() => now)
  const herder = loggers.logger('sluice.cluster.herder')
  loggers.logger('sluice.rest')
  herder.debug({}, 'hidden')
  now = 7
  assert.deepEqual(loggers.setLevel('sluice.cluster', 'DEBUG'), ['sluice.cluster', 'sluice.cluster.herder'])
  now = 9
  assert.deepEqual(loggers.setLevel('sluice.cluster', 'DEBUG'), [])
  herder.debug({}, 'seen')
  loggers.logger('sluice.cluster.store').debug({}, 'seen too')
  assert.deepEqual(
    lines.map((l) => l['message']),
    ['seen', 'seen too'],
  )
  assert.deepEqual(loggers.levels().get('sluice.cluster.herder'), { level: 'DEBUG', lastModified: 7 })
  assert.deepEqual(loggers.levels().get('sluice.rest'), { level: 'INFO', lastModified: null })
})

test('root sets every namespace', () => {
  const { lines, loggers } = capture()
  const a = loggers.logger('a')
  assert.deepEqual(loggers.setLevel('Root', 'OFF'), ['a', 'root'])
  a.error({}, 'silent')
  assert.deepEqual(lines, [])
})

test('level names are folded', () => {
  assert.equal(parseLogLevel('debug'), 'DEBUG')
  assert.equal(parseLogLevel('loud'), null)
})

test('fields of the process come first, those of a line may replace them, and nothing stops a line', () => {
  const written: string[] = []
  const loggers = new Loggers({
    destination: { write: (line) => void written.push(line) },
    base: { worker: 'w1', shard: 1 },
    now: () => 1_000,
  })
  const loop: { self?: unknown; name: string } = { name: 'loop' }
  loop.self = loop
  const logger = loggers.logger('a', { task: 0 })
  logger.warn(
    { shard: 2, gone: undefined, loop, price: { toJSON: () => ({ cents: 5n, password: 'hunter2' }) } },
    'odd\nline',
  )
  assert.equal(written.length, 1)
  const [line = ''] = written
  assert.equal(line.indexOf('\n'), line.length - 1)
  const parsed = JSON.parse(line) as Record<string, unknown>
  assert.deepEqual(Object.keys(parsed), [
    'level',
    'time',
    'worker',
    'shard',
    'logger',
    'task',
    'loop',
    'price',
    'message',
  ])
  assert.equal(parsed['level'], 'WARN')
  assert.equal(parsed['shard'], 2)
  assert.deepEqual(parsed['price'], { cents: '5', password: '[hidden]' })
  assert.equal(parsed['message'], 'odd\nline')
})

test('each level lets through its own lines and those that are louder', () => {
  const methods = ['trace', 'debug', 'info', 'warn', 'error'] as const
  for (const [index, method] of methods.entries()) {
    const { lines, loggers } = capture()
    const logger = loggers.logger('a')
    loggers.setLevel('a', parseLogLevel(method) ?? 'OFF')
    for (const each of methods) logger[each]({}, each)
    assert.deepEqual(
      lines.map((l) => l['message']),
      methods.slice(index),
    )
  }
  const { lines, loggers } = capture()
  const logger = loggers.logger('a')
  loggers.setLevel('a', 'ALL')
  logger.trace({}, 'all')
  loggers.setLevel('a', 'FATAL')
  logger.error({}, 'not fatal')
  assert.deepEqual(
    lines.map((l) => l['message']),
    ['all'],
  )
})
