/**
 * R8: secrets stand in every option that can hold one, by reference. Their values are searched for in everything that
 * leaves the worker: its log at the lowest level, REST answers, metrics, and what it writes to its topics (I8).
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { requireService } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest, eventually, type RestAnswer } from '../support/worker-process.ts'

const kafka = requireService('kafka')

interface Option {
  readonly name: string
  readonly type: string
}

/** What each connector needs to be taken; nothing listens where they are sent. */
const minimal: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  FileStreamSourceConnector: { topic: 't', file: '/nowhere/in' },
  FileStreamSinkConnector: { topics: 't', file: '/nowhere/out' },
  PostgresConnector: {
    'database.hostname': '127.0.0.1',
    'database.port': '9',
    'database.user': 'u',
    'database.dbname': 'd',
    'topic.prefix': 'p',
  },
  ElasticsearchSinkConnector: { topics: 't', 'connection.url': 'http://127.0.0.1:9', 'connection.username': 'u' },
  S3SinkConnector: {
    topics: 't',
    's3.bucket.name': 'b',
    's3.region': 'us-east-1',
    'store.url': 'http://127.0.0.1:9',
    'aws.access.key.id': 'a',
    'flush.size': '1',
    'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
    'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
  },
  RedshiftCopySinkConnector: {
    topics: 't',
    'redshift.workgroup.name': 'w',
    'redshift.database': 'd',
    'redshift.endpoint': 'http://127.0.0.1:9',
    'aws.region': 'us-east-1',
  },
}

/** Options of clients and converters that hold secrets, whatever the connector. */
const sharedSecrets = [
  ...['producer', 'consumer', 'admin'].flatMap((client) =>
    [
      'sasl.jaas.config',
      'ssl.key.password',
      'ssl.keystore.password',
      'ssl.truststore.password',
      'ssl.keystore.key',
    ].map((name) => `${client}.override.${name}`),
  ),
  'value.converter.basic.auth.user.info',
  'value.converter.schema.registry.ssl.key.password',
  'transforms.t.password',
  'an.option.that.nobody.knows',
]

/** A config provider that writes where it was closed. */
async function writeClosing(folder: string): Promise<string> {
  const path = join(folder, 'closing.mjs')
  await writeFile(
    path,
    `import { appendFileSync } from 'node:fs'
    import { isMainThread } from 'node:worker_threads'
    const close = () => appendFileSync(${JSON.stringify(join(folder, 'closed'))}, isMainThread ? 'main\\n' : 'thread\\n')
    export const configProviders = [{ name: 'Closing', version: '1', create: () => ({ get: async () => ({ values: {}, ttlMs: null }), close }) }]`,
  )
  return path
}

test('R8: planted secrets are found nowhere', { skip: kafka.skip, timeout: 240_000 }, async (t) => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const mark = `planted-${cluster.token}`
  const file = join(cluster.folder, 'secrets.properties')
  const names: string[] = []
  /** A reference to a value that stands nowhere else. */
  const secret = (of: string): string => {
    names.push(of)
    return `\${file:${file}:s${names.length}}`
  }
  const worker = await cluster.start('distributed', [], {
    'plugin.path': await writeClosing(cluster.folder),
    'config.providers': 'file,closing',
    'config.providers.closing.class': 'Closing',
    'config.providers.file.class': 'org.apache.kafka.common.config.provider.FileConfigProvider',
    // Of the worker itself, for clients that do not use it.
    'ssl.key.password': `${mark}-worker-key`,
    'listeners.https.ssl.keystore.password': `${mark}-worker-store`,
    'producer.sasl.jaas.config': `${mark}-worker-login`,
  })
  await worker.ready()
  const answers: RestAnswer[] = []
  const ask = async (method: string, path: string, body?: unknown): Promise<RestAnswer> => {
    const answer = await worker.rest(method, path, body)
    answers.push(answer)
    return answer
  }
  await ask('PUT', '/admin/loggers/root', { level: 'TRACE' })
  const plugins = (await ask('GET', '/connector-plugins')).body as readonly { readonly class: string }[]
  const connectors: string[] = []
  const configs = new Map<string, Readonly<Record<string, string>>>()
  for (const { class: className } of plugins) {
    const simple = className.slice(className.lastIndexOf('.') + 1)
    const options = (await ask('GET', `/connector-plugins/${className}/config`)).body as readonly Option[]
    const passwords = options.filter(({ type }) => type === 'PASSWORD').map(({ name }) => name)
    const base = { 'connector.class': className, ...(minimal[simple] ?? assert.fail(`what does ${className} need?`)) }
    // Once with what any client may have, once without, so that tasks come further.
    for (const [kind, wanted] of [
      ['own', passwords],
      ['all', [...passwords, ...sharedSecrets]],
    ] as const) {
      const name = `${simple}-${kind}`
      const secrets = Object.fromEntries(wanted.map((option) => [option, secret(`${name} ${option}`)]))
      configs.set(name, { ...base, ...secrets })
    }
  }
  // What is no secret shows in the log that references are followed.
  const visible = `/nowhere/${cluster.token}`
  configs.set('visible', { 'connector.class': 'FileStreamSource', topic: 't', file: `\${file:${file}:visible}` })
  const values = names.map((_, index) => `s${index + 1}=${mark}-${index + 1}-end\n`)
  await writeFile(file, `${values.join('')}visible=${visible}\n`)
  for (const [name, config] of configs) {
    await ask('PUT', `/connector-plugins/${config['connector.class']}/config/validate`, { ...config, name })
    await eventually(async () => {
      const { status } = await ask('PUT', `/connectors/${name}/config`, config)
      assert.ok(status !== 409, 'a rebalance')
      if (status < 300) connectors.push(name)
    }, 60_000)
  }
  assert.ok(connectors.length >= configs.size / 2, `taken: ${connectors.join()}`)
  // Each has tried: it runs, has failed, or says in the log why its start is tried again.
  await eventually(async () => {
    for (const name of connectors) {
      const { body } = await ask('GET', `/connectors/${name}/status`)
      const has = /"tasks":\[\{|FAILED/.test(JSON.stringify(body))
      assert.ok(has || worker.output.includes(`"connector":"${name}","task":0,"error"`), `${name} has not tried yet`)
    }
  }, 60_000)
  for (const name of connectors) {
    for (const path of ['', '/config', '/tasks', '/offsets', '/topics']) await ask('GET', `/connectors/${name}${path}`)
    await ask('POST', `/connectors/${name}/restart?includeTasks=true&onlyFailed=true`)
    await ask('PATCH', `/connectors/${name}/config`, { 'tasks.max': 'many' })
  }
  await ask('GET', '/connectors?expand=info&expand=status')
  await ask('GET', '/admin/loggers')
  const metrics = await (await fetch(new URL('/metrics', worker.url))).text()
  await worker.signal('SIGTERM')
  // Providers of the process, and of each thread of the connectors that has validated: it ends when it is not needed.
  const closed = (await readFile(join(cluster.folder, 'closed'), 'utf8')).trim().split('\n')
  assert.equal(closed.filter((where) => where === 'main').length, 1)
  assert.ok(closed.includes('thread'))
  const topics = await Promise.all(
    ['configs', 'offsets', 'statuses'].map((name) => topicRecords(kafka.settings.brokers, `${name}-${cluster.token}`)),
  )
  const written = topics.flat().flatMap(({ key, value }) => [textOf(key) ?? '', textOf(value) ?? ''])
  const places = {
    log: [worker.output],
    REST: answers.map(({ body }) => JSON.stringify(body)),
    metrics: [metrics],
    topics: written,
  }
  for (const [place, texts] of Object.entries(places)) {
    for (const text of texts) {
      const at = text.indexOf(mark)
      assert.ok(
        at < 0,
        `${place}: ${names[Number(/-(\d+)-end/.exec(text.slice(at))?.[1]) - 1]}: …${text.slice(Math.max(0, at - 300), at + 60)}`,
      )
    }
  }
  assert.ok(worker.output.includes(visible))
  assert.ok(
    worker.output.includes('"level":"TRACE"') || worker.output.includes('"level":"DEBUG"'),
    'the log is complete',
  )
  assert.ok(written.length > 2 * connectors.length && metrics.includes('kafka_connect'))
  t.diagnostic(`${names.length} secrets in ${configs.size} configs, ${connectors.length} of them taken; none found`)
})
