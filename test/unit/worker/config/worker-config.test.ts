import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { advertisedUrl, headerRuleProblem, parseHeaderRules } from '../../../../worker/config/listeners.ts'
import {
  adminListeners,
  clientIdBase,
  leaderTransactionalId,
  loadWorkerConfig,
  parseWorkerConfig,
  restListeners,
  storageTopicConfigs,
  tlsOptions,
} from '../../../../worker/config/worker-config.ts'

const minimal = {
  'group.id': 'g',
  'key.converter': 'k',
  'value.converter': 'v',
  'config.storage.topic': 'c',
  'offset.storage.topic': 'o',
  'status.storage.topic': 's',
}

function distributed(raw: Record<string, string>) {
  const config = parseWorkerConfig({ ...minimal, ...raw }, 'distributed')
  assert.ok(config.mode === 'distributed')
  return config
}

function messagesOf(raw: Record<string, string>): string[] {
  try {
    distributed(raw)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.problems.map((p) => p.message)
  }
}

test('defaults are those of Connect 4.3', () => {
  const { options } = distributed({})
  assert.equal(options['offset.flush.interval.ms'], 60000)
  assert.equal(options['connect.protocol'], 'sessioned')
  assert.equal(options['metadata.recovery.strategy'], 'rebootstrap')
  assert.deepEqual(options['bootstrap.servers'], ['localhost:9092'])
  assert.equal(options['offset.storage.partitions'], 25)
})

test('all missing options are told at once', () => {
  assert.throws(
    () => parseWorkerConfig({}, 'standalone'),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError)
      assert.deepEqual(
        error.problems.map((p) => p.option),
        ['key.converter', 'value.converter', 'offset.storage.file.filename'],
      )
      return true
    },
  )
})

test("listeners: Connect's texts", () => {
  const atLeastOne =
    'Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.'
  assert.deepEqual(messagesOf({ listeners: '' }), [atLeastOne])
  assert.deepEqual(messagesOf({ listeners: 'http://a:1,,' }), ['Empty URL found when parsing listeners list.'])
  const format = "Listener doesn't have the right format (protocol://hostname:port)."
  assert.deepEqual(messagesOf({ listeners: 'http://a' }), [format])
  const protocol = 'Listener protocol must be either "http" or "https".'
  assert.deepEqual(messagesOf({ listeners: 'ftp://a:1' }), [protocol])
  assert.deepEqual(messagesOf({ 'admin.listeners': 'ftp://a:1' }), [protocol])
  assert.deepEqual(restListeners(distributed({ listeners: 'http://[::1]:8083,https://:0' })), [
    { protocol: 'http', host: '::1', port: 8083 },
    { protocol: 'https', host: '', port: 0 },
  ])
  assert.equal(adminListeners(distributed({})), null)
  assert.deepEqual(adminListeners(distributed({ 'admin.listeners': '' })), [])
})

test('advertised URL', () => {
  const url = (raw: Record<string, string>): string => advertisedUrl(distributed(raw).options, [4711, 4712]).url
  assert.equal(url({ listeners: 'http://10.0.0.1:8083' }), 'http://10.0.0.1:8083/')
  assert.equal(url({ listeners: 'http://:0' }), `http://${hostname()}:4711/`)
  assert.equal(url({ listeners: 'https://:0,http://h:0' }), 'http://h:4712/')
  assert.equal(url({ listeners: 'https://h:8443' }), 'https://h:8443/')
  assert.equal(url({ listeners: 'https://h:8443,http://p:80' }), 'http://p:80/')
  assert.equal(url({ listeners: 'https://h:8443,http://p:80', 'rest.advertised.listener': 'https' }), 'https://h:8443/')
  assert.equal(
    url({ listeners: 'http://0.0.0.0:1', 'rest.advertised.host.name': 'w1', 'rest.advertised.port': '99' }),
    'http://w1:99/',
  )
  assert.equal(url({ listeners: 'http://[::1]:8083' }), 'http://[::1]:8083/')
})

test('header rules', () => {
  assert.deepEqual(parseHeaderRules('add X-A: 1, "set Cache-Control: no-cache, no-store", setDate Expires: 5000'), [
    { action: 'add', name: 'X-A', value: '1' },
    { action: 'set', name: 'Cache-Control', value: 'no-cache, no-store' },
    { action: 'setDate', name: 'Expires', value: '5000' },
  ])
  assert.equal(
    headerRuleProblem('set X'),
    "Invalid format of header config 'set X'. Expected: '[action] [header name]:[header value]'",
  )
  assert.equal(
    headerRuleProblem('put X: 1'),
    "Invalid header config action: 'put'. Expected one of [set, add, setDate, addDate]",
  )
  assert.equal(
    headerRuleProblem('set A B: 1'),
    "Invalid header name 'A B'. The '[header name]' cannot contain whitespace",
  )
})

test('derived values', () => {
  const config = distributed({
    'client.id': 'me',
    'exactly.once.source.support': 'preparing',
    'config.storage.min.insync.replicas': '2',
    'config.storage.cleanup.policy': 'delete',
    'listeners.https.ssl.keystore.type': 'PEM',
    'ssl.keystore.type': 'JKS',
  })
  assert.equal(clientIdBase(config.options), 'g-me-')
  assert.equal(leaderTransactionalId(config.options), 'connect-cluster-g')
  assert.deepEqual(storageTopicConfigs(config.raw, 'config'), { 'min.insync.replicas': '2' })
  assert.deepEqual(tlsOptions(config.raw, 'listeners.https.'), { 'ssl.keystore.type': 'PEM' })
  assert.deepEqual(tlsOptions(config.raw, 'admin.listeners.https.'), { 'ssl.keystore.type': 'JKS' })
})

test('files: properties with references, JSON, and what is no config', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'worker-config-'))
  t.after(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 's.properties'), 'group=from-file')
  const lines = Object.entries(minimal).map(
    ([k, v]) => `${k}=${k === 'group.id' ? `\${f:${dir}/s.properties:group}` : v}`,
  )
  await writeFile(
    join(dir, 'w.properties'),
    [...lines, 'config.providers=f', 'config.providers.f.class=FileConfigProvider'].join('\n'),
  )
  const { config } = await loadWorkerConfig(join(dir, 'w.properties'), 'distributed')
  assert.equal(config.mode === 'distributed' && config.options['group.id'], 'from-file')
  const json = { ...minimal, listeners: ['http://:1', 'http://:2'], 'offset.flush.interval.ms': 10 }
  await writeFile(join(dir, 'w.json'), JSON.stringify(json))
  const fromJson = await loadWorkerConfig(join(dir, 'w.json'), 'distributed')
  assert.deepEqual(fromJson.config.options.listeners, ['http://:1', 'http://:2'])
  await writeFile(join(dir, 'bad.json'), '[]')
  await assert.rejects(loadWorkerConfig(join(dir, 'bad.json'), 'distributed'), /bad\.json: a worker config in JSON/u)
  await assert.rejects(loadWorkerConfig(join(dir, 'none'), 'distributed'), /Cannot read the worker config/u)
})
