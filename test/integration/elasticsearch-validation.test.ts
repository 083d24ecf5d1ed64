/** What `config/validate` answers for options of the Elasticsearch sink together, and for its server. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Answers, check, errorOf, mapped, mapping, stream, wrong } from '../support/elasticsearch/validation.ts'
import type { RawOptions } from '../unit/connectors/elasticsearch/support.ts'

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
