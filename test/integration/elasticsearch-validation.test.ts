/** What `config/validate` answers for the Elasticsearch sink, over an HTTP double of the server. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ConfigProviders } from '../../worker/config/config-provider.ts'
import { validateConnector } from '../../worker/config/validate-connector.ts'
import { parseWorkerConfig } from '../../worker/config/worker-config.ts'
import { builtinPlugins } from '../../worker/plugins/builtin.ts'
import { PluginRegistry } from '../../worker/plugins/registry.ts'
import { elasticsearchConfig, type RawOptions } from '../unit/connectors/elasticsearch/support.ts'

const plugins = new PluginRegistry(builtinPlugins)
const worker = parseWorkerConfig(
  {
    'group.id': 'workers',
    'key.converter': 'StringConverter',
    'value.converter': 'JsonConverter',
    'config.storage.topic': 'c',
    'offset.storage.topic': 'o',
    'status.storage.topic': 's',
  },
  'distributed',
)

type AnswerTable = Readonly<Record<string, { readonly status?: number; readonly body?: unknown }>>

/** A server that answers paths with a status and a body; everything else is there. It does not name its product, as OpenSearch. */
class Answers implements AsyncDisposable {
  readonly requests: string[] = []
  readonly headers: Record<string, string | string[] | undefined>[] = []
  readonly #server = createServer((request, response) => {
    const line = `${request.method} ${request.url}`
    this.requests.push(line)
    this.headers.push(request.headers)
    const { status = 200, body } = this.#answers[line] ?? {}
    response.setHeader('content-type', 'application/json')
    response.statusCode = status
    response.end(request.method === 'HEAD' ? undefined : JSON.stringify(body ?? {}))
  })
  readonly #answers: AnswerTable

  private constructor(answers: AnswerTable) {
    this.#answers = answers
  }

  static async open(answers: AnswerTable = {}): Promise<Answers> {
    const server = new Answers({ 'GET /': { body: { version: { number: '8.19.2' } } }, ...answers })
    server.#server.listen(0, '127.0.0.1')
    await once(server.#server, 'listening')
    return server
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

async function answer(options: RawOptions) {
  const raw = { name: 'es', 'connector.class': 'ElasticsearchSink', topics: 'orders', ...options }
  return await validateConnector({ raw, plugins, worker, providers: ConfigProviders.none })
}

/** Options in error, in order. */
async function wrong(options: RawOptions): Promise<readonly string[]> {
  const infos = await answer(options)
  return infos.configs.flatMap(({ value }) => (value.errors.length > 0 ? [value.name] : [])).sort()
}

async function errorOf(option: string, options: RawOptions): Promise<string> {
  const infos = await answer(options)
  return infos.configs.find(({ value }) => value.name === option)?.value.errors.join('\n') ?? ''
}

const stream = { 'data.stream.type': 'logs', 'data.stream.dataset': 'ds' }
const mapping = 'topic.to.external.resource.mapping'
const mapped = (pairs: string, usage = 'index') => ({ 'external.resource.usage': usage, [mapping]: pairs })

/** Options → those in error; none when they are right. */
type Case = readonly [options: RawOptions, expected: readonly string[]]

async function check(cases: readonly Case[]): Promise<void> {
  await using server = await Answers.open()
  for (const [options, expected] of cases) {
    const given = { 'connection.url': server.url, ...options }
    assert.deepEqual(await wrong(given), [...expected].sort(), JSON.stringify(options))
  }
}

describe('options of the Elasticsearch sink by themselves', () => {
  it('have the defaults of the reference (E1)', () => {
    const config = elasticsearchConfig() as Readonly<Record<string, unknown>>
    const defaults: Readonly<Record<string, unknown>> = {
      'connection.username': null,
      'connection.password': null,
      'batch.size': 2000,
      'bulk.size.bytes': 5_242_880,
      'max.in.flight.requests': 5,
      'max.buffered.records': 20_000,
      'linger.ms': 1,
      'flush.synchronously': false,
      'max.retries': 5,
      'connection.compression': false,
      'max.connection.idle.time.ms': 60_000,
      'connection.timeout.ms': 1000,
      'read.timeout.ms': 3000,
      'key.ignore': false,
      'topic.key.ignore': [],
      'schema.ignore': false,
      'topic.schema.ignore': [],
      'compact.map.entries': true,
      'drop.invalid.message': false,
      'behavior.on.null.values': 'FAIL',
      'behavior.on.malformed.documents': 'FAIL',
      'write.method': 'INSERT',
      'external.version.header': '',
      'use.autogenerated.ids': false,
      'external.resource.usage': 'DISABLED',
      [mapping]: [],
      'max.external.resource.mappings': 15,
      'data.stream.type': 'NONE',
      'data.stream.dataset': '',
      'data.stream.namespace': '${topic}',
      'data.stream.timestamp.field': [],
      'proxy.host': '',
      'proxy.port': 8080,
      'proxy.username': '',
      'proxy.password': null,
      'elastic.security.protocol': 'PLAINTEXT',
      'elastic.https.ssl.protocol': 'TLSv1.3',
      'elastic.https.ssl.provider': null,
      'elastic.https.ssl.engine.factory.class': null,
      'elastic.https.ssl.keymanager.algorithm': 'SunX509',
      'elastic.https.ssl.trustmanager.algorithm': 'PKIX',
      'elastic.https.ssl.secure.random.implementation': null,
      'elastic.https.ssl.cipher.suites': [],
      'kerberos.user.principal': null,
      'kerberos.keytab.path': null,
      'behavior.on.version.conflict': 'ignore',
      'behavior.on.closed.index': 'fail',
      'index.name.format': '${topic}',
      'merge.fence.field': 'kc_fence',
      'merge.delete': 'soft',
      'merge.null': 'set',
    }
    for (const [option, value] of Object.entries(defaults)) assert.deepEqual(config[option], value, option)
  })

  const words: Readonly<Record<string, readonly string[]>> = {
    'behavior.on.null.values': ['ignore', 'delete', 'fail'],
    'behavior.on.malformed.documents': ['ignore', 'warn', 'fail', 'report'],
    'behavior.on.version.conflict': ['ignore', 'warn', 'fail', 'report'],
    'behavior.on.closed.index': ['fail', 'skip'],
    'write.method': ['insert', 'upsert', 'merge'],
    'external.resource.usage': ['index', 'datastream', 'alias_index', 'alias_datastream', 'disabled'],
    'elastic.security.protocol': ['plaintext', 'ssl'],
    'merge.null': ['set', 'ignore', 'remove'],
    'merge.delete': ['soft', 'hard'],
    'merge.increment.syntax': ['none', 'signed'],
    'routing.from': ['none', 'key', 'value', 'header'],
    'auth.type': ['auto', 'none', 'basic', 'api_key', 'bearer', 'sigv4'],
  }
  it('refuse unknown words and list the known, in any case (E2, E3)', async () => {
    for (const [option, allowed] of Object.entries(words)) {
      const text = await errorOf(option, { 'connection.url': 'http://127.0.0.1:9', [option]: 'nonsense' })
      for (const word of allowed) assert.ok(text.toLowerCase().includes(word), `${option}: ${text}`)
      for (const word of [...allowed, ...allowed.map((w) => w.toUpperCase())]) {
        const own = await errorOf(option, { 'connection.url': 'http://127.0.0.1:9', 'batch.size': '0', [option]: word })
        assert.equal(own, '', `${option}=${word}`)
      }
    }
  })

  it("propose the words that they know, and kinds of data streams beside those of one's own", async () => {
    const { configs } = await answer({ 'connection.url': 'no url' })
    const proposed = new Map(configs.map(({ value }) => [value.name, value.recommended_values]))
    for (const [option, allowed] of Object.entries(words))
      assert.deepEqual(
        proposed.get(option)?.map((word) => word.toLowerCase()),
        allowed,
        option,
      )
    assert.deepEqual(proposed.get('data.stream.type'), ['logs', 'metrics', 'none'])
  })

  const bounds: readonly (readonly [option: string, low: number, high: number | null])[] = [
    ['batch.size', 1, 1_000_000],
    ['bulk.size.bytes', -1, 2_147_483_647],
    ['max.in.flight.requests', 1, 1000],
    ['max.buffered.records', 1, null],
    ['linger.ms', 0, 604_800_000],
    ['flush.timeout.ms', 1000, 604_800_000],
    ['max.retries', 0, null],
    ['retry.backoff.ms', 0, 86_400_000],
    ['max.connection.idle.time.ms', -1, 86_400_000],
    ['connection.timeout.ms', 0, 43_200_000],
    ['read.timeout.ms', 0, 604_800_000],
    ['max.external.resource.mappings', 1, null],
    ['proxy.port', 1, 65_535],
  ]
  it('keep to the bounds of their numbers', async () => {
    for (const [option, low, high] of bounds) {
      // Another option in error keeps the rules between options out of it.
      const own = (value: number) =>
        errorOf(option, { 'connection.url': 'no url', [option]: String(value) }).then((text) => text !== '')
      assert.deepEqual([await own(low), await own(low - 1)], [false, true], option)
      if (high !== null) assert.deepEqual([await own(high), await own(high + 1)], [false, true], option)
    }
  })

  it('drop slashes at the end of a URL (E4)', async () => {
    await using server = await Answers.open()
    assert.deepEqual(await wrong({ 'connection.url': `${server.url}//` }), [])
    assert.deepEqual(server.requests, ['GET /'])
  })

  it('answer a malformed URL on its option (E5)', async () => {
    for (const url of ['not a url', 'http://bad host', 'ftp://host:1', 'http://ok:9200,http://bad host', '']) {
      assert.deepEqual(await wrong({ 'connection.url': url }), ['connection.url'], url)
    }
  })

  it('check the parts of the name of a data stream (E8, E9)', async () => {
    const other = { 'data.stream.type': 'logs' }
    await check([
      [{ ...other, 'data.stream.dataset': 'x'.repeat(100) }, []],
      [{ ...other, 'data.stream.dataset': 'x'.repeat(101) }, ['data.stream.dataset']],
      [{ ...other, 'data.stream.dataset': 'Upper' }, ['data.stream.dataset']],
      ...Array.from(
        '\\/*?"<>| ,#-:',
        (c): Case => [{ ...other, 'data.stream.dataset': `a${c}b` }, ['data.stream.dataset']],
      ),
      [{ ...stream, 'data.stream.namespace': 'a/b' }, ['data.stream.namespace']],
      [{ ...stream, 'data.stream.namespace': 'x'.repeat(101) }, ['data.stream.namespace']],
      [{ ...stream, 'data.stream.namespace': '${topic}_prod' }, []],
      // The type is anybody's.
      ...['Traces', 'my-Own: type', 'x'.repeat(101)].map(
        (type): Case => [{ 'data.stream.type': type, 'data.stream.dataset': 'ds' }, []],
      ),
    ])
  })

  it('check topic mappings one by one (E17)', async () => {
    for (const pairs of ['orders', 'orders:a:b', ':a', 'orders:', 'orders:a,orders:b', 'orders:a,other:a']) {
      assert.deepEqual(await wrong({ 'connection.url': 'http://127.0.0.1:9', ...mapped(pairs) }), [mapping], pairs)
    }
    // They are looked at with the other rules: what is wrong beside them shows at once.
    const late = { 'linger.ms': '5000', 'flush.timeout.ms': '1000' }
    const options = { 'connection.url': 'http://127.0.0.1:9', ...mapped('orders'), ...late }
    assert.deepEqual(await wrong(options), ['flush.timeout.ms', 'linger.ms', mapping])
  })

  it('make no call to the server while one of them is in error (E21)', async () => {
    await using server = await Answers.open()
    assert.deepEqual(await wrong({ 'connection.url': server.url, 'batch.size': '0', 'linger.ms': '600000000' }), [
      'batch.size',
    ])
    assert.deepEqual(await wrong({ 'connection.url': server.url, 'connection.username': 'u' }), [
      'connection.password',
      'connection.username',
    ])
    assert.deepEqual(server.requests, [])
  })

  it('never show a password (E22)', async () => {
    const secrets = {
      'connection.username': 'u',
      'connection.password': 'hush-1',
      'auth.api.key': 'hush-2',
      'auth.bearer.token': 'hush-3',
      'proxy.password': 'hush-4',
      'elastic.https.ssl.truststore.password': 'hush-5',
      'elastic.https.ssl.keystore.key': 'hush-6',
      'elastic.https.ssl.key.password': 'hush-7',
    }
    for (const url of ['http://127.0.0.1:1', 'no url']) {
      assert.ok(!JSON.stringify(await answer({ 'connection.url': url, ...secrets })).includes('hush'))
    }
  })
})

describe('rules between the options of the Elasticsearch sink', () => {
  it('want credentials together (E6, E14)', async () => {
    const user = ['connection.password', 'connection.username']
    await check([
      [{ 'connection.username': 'u' }, user],
      [{ 'connection.password': 'p' }, user],
      [{ 'connection.username': 'u', 'connection.password': 'p' }, []],
      // An empty text is a name all the same.
      [{ 'connection.username': '' }, user],
      [{ 'proxy.username': 'u' }, ['proxy.host', 'proxy.username']],
      [{ 'proxy.password': 'p' }, ['proxy.host', 'proxy.password']],
      [{ 'proxy.host': 'h', 'proxy.username': 'u' }, ['proxy.password', 'proxy.username']],
      [{ 'proxy.host': 'h', 'proxy.password': 'p' }, ['proxy.password', 'proxy.username']],
    ])
  })

  it('want all of a data stream, and nothing that it cannot do (E7, E10, E11)', async () => {
    const parts = ['data.stream.dataset', 'data.stream.type']
    const existing = mapped('orders:x', 'datastream')
    await check([
      [{ 'data.stream.type': 'logs' }, parts],
      [{ 'data.stream.dataset': 'ds' }, parts],
      [stream, []],
      [{ ...stream, 'write.method': 'upsert' }, ['write.method']],
      [{ ...stream, 'write.method': 'merge' }, ['write.method']],
      [{ ...stream, 'behavior.on.null.values': 'delete' }, ['behavior.on.null.values']],
      [{ ...stream, 'write.method': 'upsert', 'behavior.on.null.values': 'delete' }, ['write.method']],
      [{ ...existing, 'write.method': 'upsert' }, ['write.method']],
      [{ ...existing, 'behavior.on.null.values': 'delete' }, ['behavior.on.null.values']],
      [{ 'data.stream.timestamp.field': 'at' }, ['data.stream.timestamp.field']],
      [{ ...existing, 'data.stream.timestamp.field': 'at' }, []],
      [{ ...mapped('orders:x', 'alias_datastream'), 'data.stream.timestamp.field': 'at' }, []],
      [{ ...mapped('orders:x'), 'data.stream.timestamp.field': 'at' }, ['data.stream.timestamp.field']],
      // Existing indices beside the name of a stream: they exclude each other, and no stream is written to.
      [{ ...mapped('orders:x'), ...stream, 'write.method': 'upsert' }, [...parts, mapping]],
      [{ ...stream, 'data.stream.timestamp.field': 'at' }, []],
    ])
  })

  it('keep sizes and times within one another (E12, E13)', async () => {
    const sizes = ['batch.size', 'max.buffered.records', 'max.in.flight.requests']
    await check([
      [{ 'linger.ms': '5000', 'flush.timeout.ms': '1000' }, ['flush.timeout.ms', 'linger.ms']],
      [{ 'linger.ms': '1000', 'flush.timeout.ms': '1000' }, []],
      [{ 'max.buffered.records': '9999' }, sizes],
      [{ 'max.buffered.records': '10000' }, []],
      [{ 'batch.size': '2001', 'max.buffered.records': '10004' }, sizes],
      [{ 'max.in.flight.requests': '11' }, sizes],
    ])
  })

  it('take what every Java has of its TLS, and refuse what Node.js cannot do', async () => {
    const name = (option: string) => `elastic.https.ssl.${option}`
    const cases: readonly (readonly [option: string, taken: string, refused: string])[] = [
      ['protocol', 'TLSv1.2', 'TLSv1.1'],
      ['provider', 'SunJSSE', 'BCFIPS'],
      ['engine.factory.class', 'org.apache.kafka.common.security.ssl.DefaultSslEngineFactory', 'com.acme.Factory'],
      ['keymanager.algorithm', 'newsunx509', 'Acme'],
      ['trustmanager.algorithm', 'PKIX', 'Acme'],
      ['secure.random.implementation', 'SHA1PRNG', 'Acme'],
    ]
    const ssl = { 'elastic.security.protocol': 'SSL' }
    await check(
      cases.flatMap(([option, taken, refused]) => [
        [{ ...ssl, [name(option)]: taken }, []] as const,
        [{ ...ssl, [name(option)]: refused }, [name(option)]] as const,
      ]),
    )
  })

  it('want protocol and TLS material to agree (E15)', async () => {
    const protocol = ['elastic.security.protocol']
    await check([
      [{ 'elastic.security.protocol': 'SSL' }, protocol],
      [{ 'elastic.https.ssl.truststore.location': '/x.jks' }, protocol],
      [{ 'elastic.https.ssl.keystore.location': '/x.jks' }, protocol],
      [{ 'elastic.https.ssl.truststore.password': 'p' }, protocol],
      [{ 'elastic.https.ssl.endpoint.identification.algorithm': 'https' }, protocol],
      [{ 'elastic.https.ssl.protocol': 'TLSv1.3' }, protocol],
      // Any of them is enough: without a store, the usual authorities are trusted.
      [{ 'elastic.security.protocol': 'SSL', 'elastic.https.ssl.endpoint.identification.algorithm': '' }, []],
      [{ 'elastic.security.protocol': 'ssl', 'elastic.https.ssl.protocol': 'TLSv1.3' }, []],
      // Empty locations, and what goes with them, are as good as none.
      [
        {
          'elastic.security.protocol': 'SSL',
          'elastic.https.ssl.truststore.location': '',
          'elastic.https.ssl.truststore.password': 'p',
          'elastic.https.ssl.keystore.location': '',
          'elastic.https.ssl.key.password': 'p',
        },
        [],
      ],
    ])
  })

  it('refuse Kerberos, and what is wrong with it first (E16)', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'keytab-'))
    const keytab = join(folder.path, 'user.keytab')
    writeFileSync(keytab, '')
    const kerberos = ['kerberos.keytab.path', 'kerberos.user.principal']
    await check([
      [{ 'kerberos.keytab.path': join(folder.path, 'user.txt') }, ['kerberos.keytab.path']],
      [{ 'kerberos.keytab.path': join(folder.path, 'other.keytab') }, ['kerberos.keytab.path']],
      [{ 'kerberos.keytab.path': '' }, ['kerberos.keytab.path']],
      [{ 'kerberos.user.principal': 'u@R' }, kerberos],
      [{ 'kerberos.keytab.path': keytab }, kerberos],
      [{ 'kerberos.user.principal': 'u@R', 'kerberos.keytab.path': keytab }, kerberos],
      [
        { 'kerberos.user.principal': 'u@R', 'kerberos.keytab.path': keytab, 'proxy.host': 'h' },
        [...kerberos, 'proxy.host'],
      ],
      [
        { 'kerberos.user.principal': 'u@R', 'connection.username': 'u', 'connection.password': 'p' },
        [...kerberos, 'connection.password', 'connection.username'],
      ],
    ])
    const text = await errorOf('kerberos.user.principal', {
      'connection.url': 'http://127.0.0.1:9',
      'kerberos.user.principal': 'u@R',
    })
    assert.match(text, /not supported: .* use connection\.username .*, auth\.api\.key, auth\.bearer\.token/)
  })

  it('want what signatures for AWS need', async () => {
    const sigv4 = { 'auth.type': 'sigv4', 'aws.access.key.id': 'a', 'aws.secret.access.key': 's' }
    await check([
      [sigv4, ['auth.type', 'aws.region']],
      [{ ...sigv4, 'aws.region': 'r' }, []],
      [{ ...sigv4, 'aws.region': 'r', 'connection.compression': 'true' }, ['auth.type', 'connection.compression']],
      [{ 'auth.type': 'sigv4', 'aws.region': 'r', 'aws.access.key.id': 'a' }, ['aws.secret.access.key']],
      [
        { ...sigv4, 'aws.region': 'r', 'connection.url': 'http://127.0.0.1:1,http://127.0.0.1:2' },
        ['auth.type', 'connection.url'],
      ],
      [{ 'auth.type': 'api_key' }, ['auth.api.key', 'auth.type']],
      [{ 'auth.type': 'bearer' }, ['auth.bearer.token', 'auth.type']],
      [{ 'auth.type': 'basic' }, ['auth.type', 'connection.username']],
    ])
  })

  it('want every topic mapped, and nothing else (E17)', async () => {
    const usage = ['external.resource.usage', mapping]
    await check([
      [mapped(''), usage],
      [{ [mapping]: 'orders:x' }, usage],
      [mapped('orders:x'), []],
      [mapped(' orders : x '), []],
      [mapped('other:x'), [mapping]],
      [mapped('orders:x,other:y'), [mapping]],
      [{ ...mapped('orders:x'), topics: 'orders,more' }, [mapping]],
      [{ ...mapped('orders:x,more:y'), topics: 'orders, more' }, []],
      [{ ...mapped('orders:x,more:y'), topics: 'orders,more', 'max.external.resource.mappings': '1' }, [mapping]],
      [{ ...mapped('orders:x'), ...stream }, ['data.stream.dataset', 'data.stream.type', mapping]],
      // What is wrong first: pairs are not looked at where there should be none.
      [{ [mapping]: 'orders:a:b' }, usage],
      [{ ...mapped(''), 'data.stream.type': 'logs', 'data.stream.dataset': 'ds' }, usage],
      [
        { ...mapped('other:x'), 'key.ignore': 'true', 'topic.key.ignore': 'a' },
        ['key.ignore', mapping, 'topic.key.ignore'],
      ],
    ])
  })

  it('do not let a list of topics repeat what holds for all', async () => {
    await check([
      [{ 'key.ignore': 'true', 'topic.key.ignore': 'a' }, ['key.ignore', 'topic.key.ignore']],
      [{ 'schema.ignore': 'true', 'topic.schema.ignore': 'a' }, ['schema.ignore', 'topic.schema.ignore']],
    ])
  })

  it('let merges stand on ids and offsets of the records alone', async () => {
    const merge = { 'write.method': 'merge' }
    const ids = ['key.ignore', 'topic.key.ignore', 'use.autogenerated.ids', 'write.method']
    await check([
      [{ ...merge, 'merge.increment.fields': 'n', 'merge.id.fields': 'orders:id' }, []],
      [{ 'merge.increment.fields': 'n' }, ['merge.increment.fields', 'write.method']],
      [{ ...merge, 'key.ignore': 'true' }, ids],
      [{ ...merge, 'topic.key.ignore': 'orders' }, ids],
      [{ ...merge, 'use.autogenerated.ids': 'true' }, ids],
      [{ ...merge, 'external.version.header': 'v' }, ['external.version.header', 'write.method']],
      [{ ...merge, 'merge.max.fields': 'n', 'merge.min.fields': 'm,n' }, ['merge.max.fields', 'merge.min.fields']],
      [{ ...merge, 'merge.id.fields': 'orders' }, ['merge.id.fields']],
      // What the merging keeps for itself must not be written over.
      [{ ...merge, 'merge.deleted.field': 'kc_fence' }, ['merge.deleted.field', 'merge.fence.field']],
      [
        { ...merge, 'merge.created.field': 'at', 'merge.updated.field': 'at' },
        ['merge.created.field', 'merge.updated.field'],
      ],
      [
        { ...merge, 'merge.created.field': 'at', 'merge.max.fields': 'at' },
        ['merge.created.field', 'merge.max.fields'],
      ],
      [{ ...merge, 'merge.nest.fields': 'orders:kc_fence.x' }, ['merge.nest.fields']],
      [{ ...merge, 'merge.nest.fields': 'orders:deleted' }, ['merge.nest.fields']],
      [{ ...merge, 'merge.nest.fields': 'orders:deleted', 'merge.deleted.field': 'gone' }, []],
    ])
  })
})

describe('checks of the Elasticsearch sink against its server', () => {
  it('find resources of the right type (E18)', async () => {
    await using server = await Answers.open({
      'HEAD /missing': { status: 404 },
      'HEAD /_alias/index': { status: 404 },
    })
    const url = { 'connection.url': server.url }
    assert.deepEqual(await wrong({ ...url, ...mapped('orders:index') }), [])
    assert.deepEqual(await wrong({ ...url, ...mapped('orders:stream', 'datastream') }), [])
    assert.deepEqual(await wrong({ ...url, ...mapped('orders:alias', 'alias_index') }), [])
    assert.deepEqual(await wrong({ ...url, ...mapped('orders:missing') }), [mapping])
    assert.deepEqual(await wrong({ ...url, ...mapped('orders:index', 'ALIAS_INDEX') }), [mapping])
    assert.deepEqual(await wrong({ ...url, ...mapped('orders:index', 'alias_datastream') }), [mapping])
  })

  const versions: readonly (readonly [version: object, options: RawOptions, isRight: boolean])[] = [
    [{ number: '6.8.23' }, {}, false],
    [{ number: '7.0.0' }, {}, true],
    [{ number: '7.8.1' }, stream, false],
    [{ number: '7.9.0' }, stream, true],
    [{ number: '7.17.29' }, stream, true],
    [{ number: '8.0.0-rc1' }, stream, true],
    [{ number: '9.4.3' }, stream, true],
    [{ number: '1.3.0', distribution: 'opensearch' }, stream, true],
    [{ number: '3.8.0', distribution: 'opensearch' }, stream, true],
  ]
  for (const [version, options, isRight] of versions) {
    it(`${isRight ? 'accept' : 'refuse'} ${JSON.stringify(version)}${options === stream ? ' with data streams' : ''} (E19)`, async () => {
      await using server = await Answers.open({ 'GET /': { body: { version } } })
      const wrongs = ['connection.url', ...(options === stream ? ['data.stream.dataset', 'data.stream.type'] : [])]
      assert.deepEqual(await wrong({ 'connection.url': server.url, ...options }), isRight ? [] : wrongs)
    })
  }

  it('take a forbidden banner for a server that is there (E20)', async () => {
    await using server = await Answers.open({
      'GET /': { status: 403, body: { error: { type: 'security_exception' } } },
    })
    assert.deepEqual(await wrong({ 'connection.url': server.url }), [])
  })

  it('take an answer that is no banner for another server, but for collections of AWS, which have none', async () => {
    await using server = await Answers.open({ 'GET /': { status: 404 } })
    assert.deepEqual(await wrong({ 'connection.url': server.url }), ['connection.url'])
    const sigv4 = { 'auth.type': 'sigv4', 'aws.region': 'r', 'aws.access.key.id': 'a', 'aws.secret.access.key': 's' }
    assert.deepEqual(await wrong({ 'connection.url': server.url, ...sigv4, 'aws.service': 'aoss' }), [])
    assert.match(String(server.headers[1]?.['authorization']), /Credential=a\/\d{8}\/r\/aoss\/aws4_request/)
  })

  it('tell a resource that is not there from one that they could not ask for (E18)', async () => {
    await using server = await Answers.open({ 'HEAD /missing': { status: 404 }, 'HEAD /hidden': { status: 403 } })
    const text = (name: string) => errorOf(mapping, { 'connection.url': server.url, ...mapped(`orders:${name}`) })
    assert.match(await text('missing'), /'missing' does not exist/)
    assert.match(await text('hidden'), /Could not find out whether the index 'hidden' exists \(HTTP 403\)/)
  })

  it('answer an unreachable server on everything that it may be due to', async () => {
    const ssl = { 'elastic.security.protocol': 'SSL', 'elastic.https.ssl.protocol': 'TLSv1.3' }
    const proxy = { 'proxy.host': '127.0.0.1', 'proxy.port': '1' }
    const url = { 'connection.url': 'https://127.0.0.1:1' }
    assert.deepEqual(await wrong({ ...url, ...ssl }), ['connection.url', 'elastic.security.protocol'])
    assert.deepEqual(await wrong({ ...url, ...proxy }), ['connection.url', 'proxy.host', 'proxy.port'])
    const user = { 'proxy.username': 'u', 'proxy.password': 'p' }
    const all = ['connection.url', 'proxy.host', 'proxy.password', 'proxy.port', 'proxy.username']
    assert.deepEqual(await wrong({ ...url, ...proxy, ...user }), all)
  })

  it('reach a host without a scheme', async () => {
    await using server = await Answers.open()
    assert.deepEqual(await wrong({ 'connection.url': server.url.replace('http://127.0.0.1', 'localhost') }), [])
    assert.deepEqual(server.requests, ['GET /'])
  })

  it('answer refused credentials on them, and an unreachable server on its URL', async () => {
    await using server = await Answers.open({ 'GET /': { status: 401 } })
    const user = { 'connection.username': 'u', 'connection.password': 'p' }
    assert.deepEqual(await wrong({ 'connection.url': server.url, ...user }), [
      'connection.password',
      'connection.url',
      'connection.username',
    ])
    assert.equal(server.headers[0]?.['authorization'], `Basic ${Buffer.from('u:p').toString('base64')}`)
    assert.deepEqual(await wrong({ 'connection.url': 'http://127.0.0.1:1' }), ['connection.url'])
  })

  it('answer a trust store that cannot be read, instead of failing', async () => {
    const store = { 'elastic.security.protocol': 'SSL', 'elastic.https.ssl.truststore.location': '/no/such.p12' }
    const text = await errorOf('connection.url', {
      'connection.url': 'https://127.0.0.1:1',
      ...store,
      'elastic.https.ssl.truststore.type': 'PKCS12',
    })
    assert.match(text, /Could not create a client/)
  })
})
