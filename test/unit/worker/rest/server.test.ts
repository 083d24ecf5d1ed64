import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import type { Clock } from '../../../../worker/api/context.ts'
import { ConfigError, NotLeaderError, RequestError } from '../../../../worker/api/errors.ts'
import type { Herder } from '../../../../worker/cluster/herder.ts'
import { parseWorkerConfig, type WorkerConfig } from '../../../../worker/config/worker-config.ts'
import { interWorkerClient } from '../../../../worker/rest/inter-worker-client.ts'
import { createRestServer, type RestServer } from '../../../../worker/rest/server.ts'
import { systemClock } from '../../../../worker/util/clock.ts'

const none = (): void => {}
const logger = { trace: none, debug: none, info: none, warn: none, error: none }

function workerConfig(raw: Record<string, string> = {}): WorkerConfig {
  const minimal = { 'key.converter': 'k', 'value.converter': 'v', 'offset.storage.file.filename': '/f' }
  return parseWorkerConfig({ listeners: 'http://127.0.0.1:0', ...minimal, ...raw }, 'standalone')
}

interface Setup {
  readonly raw?: Record<string, string>
  readonly herder?: Partial<Herder>
  readonly clock?: Clock
}

/** A server with a herder of which only the given commands are there; closed after the test. */
async function openServer(t: TestContext, { raw = {}, herder, clock = systemClock }: Setup): Promise<RestServer> {
  const server = await createRestServer({ config: workerConfig(raw), logger, clock })
  t.after(() => server.close())
  if (herder !== undefined) server.register(herder as Herder)
  return server
}

const info = { name: 'c', config: { name: 'c' }, tasks: [], type: 'source' as const }

test('before there is a herder: /health is 503, /ui is there, all else 404', async (t) => {
  const server = await openServer(t, {})
  const health = await server.app.inject('/health')
  assert.equal(health.statusCode, 503)
  assert.equal(health.json<{ status: string }>().status, 'starting')
  assert.equal((await server.app.inject('/connectors')).statusCode, 404)
  const page = await server.app.inject({ url: '/ui', headers: { accept: 'text/html' } })
  assert.equal(page.statusCode, 200)
  assert.match(page.headers['content-type']?.toString() ?? '', /text\/html/u)
})

test('a port that is taken: the error names the option and the address', async (t) => {
  const first = await openServer(t, {})
  await first.listen()
  const listeners = `http://127.0.0.1:${first.ports[0]}`
  const second = await openServer(t, { raw: { listeners } })
  await assert.rejects(second.listen(), (error: Error) => {
    assert.ok(error.message.startsWith(`listeners: cannot listen on ${listeners}: listen EADDRINUSE`), error.message)
    return true
  })
})

test('health follows the loop of the herder and names its stage', async (t) => {
  const stage = 'The worker is currently polling the group coordinator, which began at T'
  let state: 'starting' | 'unhealthy' = 'starting'
  const herder: Partial<Herder> = {
    ping: async () => {
      throw new Error(stage)
    },
    health: () => ({ status: state, message: '' }),
  }
  const server = await openServer(t, { herder })
  const starting = await server.app.inject('/health')
  assert.equal(starting.statusCode, 503)
  assert.equal(starting.json<{ message: string }>().message, `Worker is still starting up. ${stage}`)
  state = 'unhealthy'
  assert.equal((await server.app.inject('/health')).statusCode, 500)
})

test('a command that takes too long is 500 and names the stage (statement 14)', async (t) => {
  const herder: Partial<Herder> = {
    connectors: () => Promise.withResolvers<never>().promise,
    stage: () => 'The worker is currently flushing updates to the status topic, which began at T',
  }
  const clock: Clock = { ...systemClock, sleep: async () => {} }
  const server = await openServer(t, { herder, clock })
  const answer = await server.app.inject('/connectors')
  assert.equal(answer.statusCode, 500)
  assert.deepEqual(answer.json(), {
    error_code: 500,
    message: 'Request timed out. The worker is currently flushing updates to the status topic, which began at T',
  })
})

test('errors keep their status; a config error lists its problems', async (t) => {
  const herder: Partial<Herder> = {
    connectorInfo: async () => {
      throw new RequestError(403, 'CONNECT_REQUEST_INVALID', 'no')
    },
    connectorConfig: async () => {
      throw new ConfigError([
        { option: 'a', message: 'one' },
        { option: 'b', message: 'two' },
      ])
    },
    tasks: async () => {
      throw new Error('broken')
    },
  }
  const server = await openServer(t, { herder })
  assert.equal((await server.app.inject('/connectors/c')).statusCode, 403)
  const invalid = await server.app.inject('/connectors/c/config')
  assert.equal(invalid.statusCode, 400)
  assert.match(invalid.json<{ message: string }>().message, /contains the following 2 error\(s\):\none\ntwo\n/u)
  assert.deepEqual((await server.app.inject('/connectors/c/tasks')).json(), { error_code: 500, message: 'broken' })
})

test('a follower forwards to the leader and passes on its answer (statement 16)', async (t) => {
  const seen: unknown[] = []
  const leader = await openServer(t, {
    herder: {
      putConnector: async (name, config, options) => {
        seen.push([name, config, options])
        return { created: true, info }
      },
      deleteConnector: async () => {
        throw new RequestError(404, 'CONNECT_NOT_FOUND', 'Connector c not found')
      },
    },
  })
  const { url } = await leader.listen()
  const refuse = async (): Promise<never> => {
    throw new NotLeaderError('not leader', url)
  }
  const follower = await openServer(t, { herder: { putConnector: refuse, deleteConnector: refuse } })
  const body = { name: 'c', config: { 'tasks.max': 1 }, initial_state: 'STOPPED' }
  const created = await follower.app.inject({ method: 'POST', url: '/connectors', payload: body })
  assert.equal(created.statusCode, 201)
  assert.equal(created.headers.location, 'http://localhost:80/connectors/c')
  assert.deepEqual(created.json(), info)
  assert.deepEqual(seen, [['c', { 'tasks.max': '1', name: 'c' }, { replace: false, initialState: 'STOPPED' }]])
  const missing = await follower.app.inject({ method: 'DELETE', url: '/connectors/c' })
  assert.deepEqual([missing.statusCode, missing.json()], [404, { error_code: 404, message: 'Connector c not found' }])
})

test('two workers that take each other for the leader do not forward for ever', async (t) => {
  const urls: string[] = []
  const hops: string[] = []
  const herderOf = (self: number): Partial<Herder> => ({
    deleteConnector: async () => {
      hops.push(String(self))
      throw new NotLeaderError('not leader', urls[1 - self] ?? null)
    },
  })
  const a = await openServer(t, { herder: herderOf(0) })
  const b = await openServer(t, { herder: herderOf(1) })
  urls.push((await a.listen()).url, (await b.listen()).url)
  const answer = await a.app.inject({ method: 'DELETE', url: '/connectors/c' })
  assert.equal(answer.statusCode, 409)
  assert.match(answer.json<{ message: string }>().message, /conflicting operation \(e\.g\. worker rebalance\)/u)
  assert.deepEqual(hops, ['0', '1', '0'], 'forward=true, then forward=false, then no further')
})

test('nobody knows the leader, or it cannot be reached', async (t) => {
  let url: string | null = null
  const server = await openServer(t, {
    herder: {
      deleteConnector: async () => {
        throw new NotLeaderError('not leader', url)
      },
    },
  })
  const unknown = await server.app.inject({ method: 'DELETE', url: '/connectors/c' })
  assert.equal(unknown.statusCode, 409)
  assert.match(unknown.json<{ message: string }>().message, /no known leader URL/u)
  url = 'http://127.0.0.1:1/'
  const unreachable = await server.app.inject({ method: 'DELETE', url: '/connectors/c' })
  assert.equal(unreachable.statusCode, 500)
  assert.match(unreachable.json<{ message: string }>().message, /IO Error trying to forward REST request/u)
})

test('internal requests carry signature and exact body (KIP-507)', async (t) => {
  const received: unknown[] = []
  const leader = await openServer(t, {
    herder: {
      putTaskConfigs: async (connector, configs, signature) => {
        received.push(connector, configs, signature?.algorithm, Buffer.from(signature?.body ?? []).toString())
      },
      fenceZombieSourceTasks: async (_, signature) => {
        received.push(signature)
      },
    },
  })
  const { url } = await leader.listen()
  const client = interWorkerClient(workerConfig())
  await client.putTaskConfigs(url, 'a b', [{ x: '1' }], () => ({ algorithm: 'HmacSHA256', signature: 'AAAA' }))
  await client.fenceZombies(url, 'c', () => null)
  assert.deepEqual(received, ['a b', [{ x: '1' }], 'HmacSHA256', '[{"x":"1"}]', null])
})

test('offsets are exact in both directions (I6)', async (t) => {
  let given: unknown = null
  const herder: Partial<Herder> = {
    offsets: async () => ({ type: 'sink', offsets: [{ topic: 't', partition: 0, offset: 9007199254740993n }] }),
    alterOffsets: async (_, offsets) => {
      given = offsets
      return 'ok'
    },
  }
  const server = await openServer(t, { herder })
  assert.match((await server.app.inject('/connectors/c/offsets')).body, /"kafka_offset":9007199254740993\}/u)
  const answer = await server.app.inject({
    method: 'PATCH',
    url: '/connectors/c/offsets',
    headers: { 'content-type': 'application/json' },
    payload: '{"offsets":[{"partition":{"p":1},"offset":{"lsn":9007199254740993}}]}',
  })
  assert.equal(answer.statusCode, 200)
  assert.deepEqual(given, [{ partition: { p: 1 }, offset: { lsn: 9007199254740993n } }])
})

test('basic auth: bad credentials 401, internal endpoints exempt, /health guarded like Connect', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'auth-'))
  t.after(() => rm(dir, { recursive: true }))
  await writeFile(join(dir, 'users.properties'), 'admin=s3cret\n')
  const module = 'org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule'
  await writeFile(
    join(dir, 'jaas.conf'),
    `KafkaConnect {\n  ${module} required\n  file="${dir}/users.properties";\n};\n`,
  )
  const server = await openServer(t, {
    raw: {
      'rest.extension.classes': 'org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension',
      'java.security.auth.login.config': join(dir, 'jaas.conf'),
    },
    herder: { connectors: async () => [], fenceZombieSourceTasks: async () => {} },
  })
  const get = (authorization?: string) =>
    server.app.inject({ url: '/connectors', headers: authorization === undefined ? {} : { authorization } })
  const refused = await get()
  assert.equal(refused.statusCode, 401)
  assert.equal(refused.body, 'User cannot access the resource.')
  assert.equal(refused.headers['www-authenticate'], undefined)
  const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`
  assert.equal((await get(basic('admin:wrong'))).statusCode, 401)
  assert.equal((await get(basic('nobody:'))).statusCode, 401)
  assert.equal((await get(basic('admin:s3cret'))).statusCode, 200)
  assert.equal((await server.app.inject({ method: 'PUT', url: '/connectors/c/fence' })).statusCode, 204)
})

test('an extension of plugin.path filters, adds routes, and asks about connectors from the start (statement 17)', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'extension-'))
  t.after(() => rm(dir, { recursive: true }))
  await writeFile(
    join(dir, 'gate.mjs'),
    `let cluster = null
     let seen = null
     let token = ''
     export const restExtensions = [{
       name: 'com.example.Gate', version: '1',
       configure: async (config) => { token = config['gate.token'] },
       filter: async ({ path, headers }) =>
         path === '/health' || headers['x-token'] === token ? null : { status: 403, body: { no: path }, headers: { 'x-by': 'gate' } },
       register: async (given) => { cluster = given; seen = await given.connectors() },
       routes: [{ method: 'GET', path: '/gate/:connector', handle: async ({ query, path }) => ({
         status: 200,
         body: { seen, verbose: query.get('v'), health: await cluster.connectorHealth('c'), config: await cluster.connectorConfig('c'), path },
       }) }],
     }]`,
  )
  const state = { state: 'RUNNING', worker_id: 'w:1', version: null, trace: null } as const
  const server = await openServer(t, {
    raw: { 'rest.extension.classes': 'Gate', 'plugin.path': dir, 'gate.token': 's3cret' },
    herder: {
      connectors: async () => ['c'],
      connectorConfig: async () => ({ name: 'c' }),
      connectorStatus: async () => ({ name: 'c', type: 'source', connector: state, tasks: [{ id: 0, ...state }] }),
      fenceZombieSourceTasks: async () => {},
    },
  })
  const refused = await server.app.inject('/connectors?x=1')
  assert.equal(refused.statusCode, 403)
  assert.equal(refused.headers['x-by'], 'gate')
  assert.deepEqual(refused.json(), { no: '/connectors' })
  const headers = { 'x-token': 's3cret' }
  assert.deepEqual((await server.app.inject({ url: '/connectors', headers })).json(), ['c'])
  const part = { state: 'RUNNING', workerId: 'w:1', trace: null }
  assert.deepEqual((await server.app.inject({ url: '/gate/c?v=1', headers })).json(), {
    seen: ['c'],
    verbose: '1',
    health: { name: 'c', type: 'source', connector: part, tasks: [{ id: 0, ...part }] },
    config: { name: 'c' },
    path: '/gate/c',
  })
  // Between workers requests are signed instead.
  assert.equal((await server.app.inject({ method: 'PUT', url: '/connectors/c/fence' })).statusCode, 204)
})

test('an extension that is not here stops the start', async () => {
  const config = workerConfig({ 'rest.extension.classes': 'com.example.Ext' })
  await assert.rejects(createRestServer({ config, logger, clock: systemClock }), /com\.example\.Ext is not available/u)
})

test('cross-origin access and header rules', async (t) => {
  const server = await openServer(t, {
    raw: {
      'access.control.allow.origin': 'http://*.example.com',
      'response.http.headers.config': 'add X-Frame-Options: DENY, "set Cache-Control: no-cache, no-store"',
    },
    herder: { connectors: async () => [] },
  })
  const allowed = await server.app.inject({ url: '/connectors', headers: { origin: 'http://a.example.com' } })
  assert.equal(allowed.headers['access-control-allow-origin'], 'http://a.example.com')
  assert.equal(allowed.headers['x-frame-options'], 'DENY')
  assert.equal(allowed.headers['cache-control'], 'no-cache, no-store')
  const other = await server.app.inject({ url: '/connectors', headers: { origin: 'http://evil.com' } })
  assert.equal(other.headers['access-control-allow-origin'], undefined)
  const preflight = await server.app.inject({
    method: 'OPTIONS',
    url: '/connectors',
    headers: { origin: 'http://a.example.com', 'access-control-request-method': 'POST' },
  })
  assert.equal(preflight.headers['access-control-allow-methods'], 'GET,POST,HEAD')
})

test('admin endpoints: on the main listener, nowhere, or on their own', async (t) => {
  const herder: Partial<Herder> = { loggers: () => new Map([['root', { level: 'INFO', last_modified: null }]]) }
  const main = await openServer(t, { herder })
  assert.equal((await main.app.inject('/admin/loggers')).statusCode, 200)
  const nowhere = await openServer(t, { raw: { 'admin.listeners': '' }, herder })
  assert.equal((await nowhere.app.inject('/admin/loggers')).statusCode, 404)
  const own = await openServer(t, { raw: { 'admin.listeners': 'http://127.0.0.1:0' }, herder })
  assert.equal((await own.app.inject('/admin/loggers')).statusCode, 404)
})

test('topic tracking may be turned off', async (t) => {
  const server = await openServer(t, { raw: { 'topic.tracking.enable': 'false' }, herder: {} })
  const answer = await server.app.inject('/connectors/c/topics')
  assert.deepEqual(
    [answer.statusCode, answer.json<{ message: string }>().message],
    [403, 'Topic tracking is disabled.'],
  )
})

test('metrics: those of the herder and of the server itself', async (t) => {
  const herder: Partial<Herder> = {
    metrics: async () => [
      {
        group: 'connect-worker-metrics',
        name: 'task-count',
        help: 'n',
        labels: {},
        value: { kind: 'gauge', value: 2 },
      },
    ],
  }
  const server = await openServer(t, { herder })
  await server.app.inject('/metrics')
  const answer = await server.app.inject({ url: '/metrics', headers: { accept: 'text/plain' } })
  assert.equal(answer.statusCode, 200)
  assert.match(answer.body, /^kafka_connect_worker_task_count 2$/mu)
  assert.match(answer.body, /^kafka_connect_connect_rest_metrics_request_total 1$/mu)
})

test('the secrets of a malformed body are not quoted in the answer (I8)', async (t) => {
  const server = await openServer(t, { herder: {} })
  const answer = await server.app.inject({
    method: 'POST',
    url: '/connectors',
    headers: { 'content-type': 'application/json' },
    payload: '{"name":"c","config":{"password":"hunter2" oops',
  })
  assert.equal(answer.statusCode, 400)
  assert.doesNotMatch(answer.body, /hunter2/u)
})
