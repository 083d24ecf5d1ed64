import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { suite, test } from 'node:test'
import { promisify } from 'node:util'
import { plugin } from '../../../../connectors/postgres-cdc/index.ts'
import { settingsOf } from '../../../../connectors/postgres-cdc/settings.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'

const minimal = {
  'database.hostname': 'localhost',
  'database.user': 'u',
  'database.dbname': 'd',
  'topic.prefix': 'p',
}

suite('postgres-cdc manifest', () => {
  test('answers to the names in existing configurations', () => {
    assert.equal(plugin.name, 'io.debezium.connector.postgresql.PostgresConnector')
    assert.equal(plugin.taskName, 'io.debezium.connector.postgresql.PostgresConnectorTask')
  })

  test('loads no driver', async () => {
    const index = new URL('../../../../connectors/postgres-cdc/index.ts', import.meta.url).href
    const script = `await import(${JSON.stringify(index)}); const { createRequire } = await import('node:module');
      const cache = Object.keys(createRequire(${JSON.stringify(index)}).cache); console.log(cache.filter((f) => f.includes('/pg/')).length)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
    assert.equal(stdout.trim(), '0')
  })

  test('the least configuration is enough, with the defaults of Debezium', () => {
    const config = parseConfig(plugin.config, minimal)
    assert.equal(config['slot.name'], 'debezium')
    assert.equal(config['publication.name'], 'dbz_publication')
    assert.equal(config['snapshot.mode'], 'initial')
    assert.equal(config['max.batch.size'], 2048)
  })

  const refused: Readonly<Record<string, string>> = {
    'plugin.name': 'decoderbufs',
    'signal.data.collection': 'signals',
    'signal.enabled.channels': 'source,in-process',
    'notification.enabled.channels': 'mail',
    'snapshot.mode': 'never',
    'topic.naming.strategy': 'com.example.Strategy',
    'event.processing.failure.handling.mode': 'drop',
    'max.queue.size': '2048',
    'table.include.list': '(',
    'message.key.columns': 'nocolon',
    'skipped.operations': 'c,x',
    'topic.delimiter': '#',
    'topic.transaction': 'odd name',
    'topic.heartbeat.prefix': 'a b',
    'topic.heartbeat.name': 'ünï',
    'slot.name': 'Upper',
    'database.hostname': 'a,b',
    // Where Debezium's own bounds are: most of its times are 32 bits wide.
    'database.include.list': '[a-z',
    'driver.options': 'work_mem=5MB',
    'executor.shutdown.timeout.ms': '0',
    'internal.offset.activity.monitor.interval.ms': '-1',
    'lsn.flush.timeout.ms': '2147483648',
    'poll.interval.ms': '2147483648',
    'retriable.restart.connector.wait.ms': '0',
    'signal.emit.failure.backoff.ms': '0',
    'signal.poll.interval.ms': '2147483648',
    'slot.retry.delay.ms': '2147483648',
  }
  for (const [option, value] of [...Object.entries(refused), ['message.key.columns', ''] as const]) {
    test(`${option}=${value} is refused by name`, () => {
      assert.throws(
        () => parseConfig(plugin.config, { ...minimal, [option]: value }),
        (error: { problems?: readonly { option: string }[] }) =>
          error.problems?.some((p) => p.option === option) ?? false,
      )
    })
  }

  test('former names of options mean what they did', () => {
    const settings = (own: Readonly<Record<string, string>>) => {
      const raw = { ...minimal, ...own }
      return settingsOf(parseConfig(plugin.config, raw), raw, { task: 0, nowMs: 0, pluginPath: [] })
    }
    assert.equal(settings({}).confirms, true)
    assert.equal(settings({ 'flush.lsn.source': 'false' }).confirms, false)
    assert.equal(settings({ 'flush.lsn.source': 'false', 'lsn.flush.mode': 'connector' }).confirms, true)
    const seek = { 'internal.slot.seek.to.known.offset.on.start': 'true' }
    assert.equal(settings({}).mismatch, 'fail')
    assert.equal(settings(seek).mismatch, 'trust_offset')
    assert.equal(settings({ ...seek, 'offset.mismatch.strategy': 'trust_slot' }).mismatch, 'trust_slot')
  })

  test('what a template leaves blank is not set', () => {
    const blank = { 'signal.enabled.channels': '', 'notification.enabled.channels': ' ', 'signal.data.collection': '' }
    const raw = { ...minimal, ...blank }
    const { signals } = settingsOf(parseConfig(plugin.config, raw), raw, { task: 0, nowMs: 0, pluginPath: [] })
    assert.deepEqual([signals.table, signals.fromTable, signals.kafka], [null, false, null])
  })

  test('rows of snapshots are emitted whatever is skipped', () => {
    const skipped = (operations: string) => {
      const raw = { ...minimal, 'skipped.operations': operations }
      return [...settingsOf(parseConfig(plugin.config, raw), raw, { task: 0, nowMs: 0, pluginPath: [] }).skipped]
    }
    assert.deepEqual(skipped(' r, d'), ['d'])
    assert.deepEqual(skipped('none'), [])
  })

  test('connector_and_driver has heartbeats of ten minutes unless others are set (statement P77)', () => {
    const heartbeatMs = (own: Readonly<Record<string, string>>) => {
      const raw = { ...minimal, 'lsn.flush.mode': 'connector_and_driver', ...own }
      return settingsOf(parseConfig(plugin.config, raw), raw, { task: 0, nowMs: 0, pluginPath: [] }).heartbeatMs
    }
    assert.equal(heartbeatMs({}), 600_000)
    assert.equal(heartbeatMs({ 'heartbeat.interval.ms': '7' }), 7)
    assert.equal(heartbeatMs({ 'provide.transaction.metadata': 'true' }), 0)
  })

  test('the channel kafka needs brokers', () => {
    const kafka = { ...minimal, 'signal.enabled.channels': 'source, kafka' }
    assert.throws(() => parseConfig(plugin.config, kafka), /'signal.kafka.bootstrap.servers' value is invalid/)
    assert.ok(parseConfig(plugin.config, { ...kafka, 'signal.kafka.bootstrap.servers': 'b:9092' }))
  })

  test('an include and an exclude list exclude each other', () => {
    const both = { ...minimal, 'table.include.list': 'a.b', 'table.exclude.list': 'c.d' }
    assert.throws(() => parseConfig(plugin.config, both), /"table.include.list" is already specified/)
  })
})
