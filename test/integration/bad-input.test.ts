import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka

interface Part {
  readonly state: string
  readonly trace?: string
}

async function statusOf(worker: WorkerUnderTest, name: string): Promise<{ connector: Part; tasks: readonly Part[] }> {
  const { status, body } = await worker.rest('GET', `/connectors/${name}/status`)
  assert.equal(status, 200)
  return body as { connector: Part; tasks: readonly Part[] }
}

/** One bad option each, and the option that the answer must name. */
const malformed: readonly (readonly [option: string, config: Readonly<Record<string, string>>])[] = [
  ['connector.class', { 'connector.class': 'com.example.Missing' }],
  ['tasks.max', { 'connector.class': 'FileStreamSource', topic: 't', 'tasks.max': 'many' }],
  ['topic', { 'connector.class': 'FileStreamSource' }],
  [
    'transforms.mask.fields',
    {
      'connector.class': 'FileStreamSource',
      topic: 't',
      transforms: 'mask',
      'transforms.mask.type': 'org.apache.kafka.connect.transforms.MaskField$Value',
    },
  ],
  ['errors.tolerance', { 'connector.class': 'FileStreamSink', topics: 't', 'errors.tolerance': 'some' }],
  ['topics.regex', { 'connector.class': 'FileStreamSink' }],
  [
    'connection.url',
    { 'connector.class': 'io.confluent.connect.elasticsearch.ElasticsearchSinkConnector', topics: 't' },
  ],
  [
    'snapshot.mode',
    {
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'database.hostname': 'localhost',
      'database.user': 'u',
      'database.dbname': 'd',
      'topic.prefix': 'p',
      'snapshot.mode': 'sometimes',
    },
  ],
  [
    'flush.size',
    {
      'connector.class': 'io.confluent.connect.s3.S3SinkConnector',
      topics: 't',
      'storage.class': 'io.confluent.connect.s3.storage.S3Storage',
      'format.class': 'io.confluent.connect.s3.format.json.JsonFormat',
      's3.bucket.name': 'b',
    },
  ],
  [
    'redshift.database',
    { 'connector.class': 'RedshiftCopySinkConnector', topics: 't', 'redshift.workgroup.name': 'w' },
  ],
]

test('a malformed connector config gets 400 that names the option, and nothing is stored', {
  skip,
  timeout: 120_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const worker = await (await cluster.start()).ready()
  for (const [option, config] of malformed) {
    const { status, body } = await worker.rest('PUT', '/connectors/bad/config', config)
    const { error_code: code, message } = body as { error_code: number; message: string }
    assert.equal(status, 400, `${option}: ${message}`)
    assert.equal(code, 400)
    assert.ok(message.includes(option) || message.includes(config[option] ?? option), `${option}: ${message}`)
  }
  assert.deepEqual((await worker.rest('GET', '/connectors')).body, [])
})

test('a bad record fails its task with a trace and nothing else; with tolerance it goes to the dead letter queue', {
  skip,
  timeout: 120_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const worker = await (await cluster.start()).ready()
  const { token, folder } = cluster
  await writeFile(join(folder, 'in'), '{"a":1}\nnot json\n{"a":2}\n')
  const put = async (name: string, config: Readonly<Record<string, string>>) => {
    const { status, body } = await worker.rest('PUT', `/connectors/${name}/config`, config)
    assert.ok(status === 200 || status === 201, JSON.stringify(body))
  }
  const json = {
    'connector.class': 'FileStreamSink',
    topics: `t-${token}`,
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter.schemas.enable': 'false',
    'consumer.override.metadata.max.age.ms': '1000',
  }
  await put('source', { 'connector.class': 'FileStreamSource', file: join(folder, 'in'), topic: `t-${token}` })
  await put('text', { 'connector.class': 'FileStreamSink', file: join(folder, 'text'), topics: `t-${token}` })
  await put('strict', { ...json, file: join(folder, 'strict') })
  await eventually(async () => {
    const { connector, tasks } = await statusOf(worker, 'strict')
    assert.equal(connector.state, 'RUNNING')
    assert.equal(tasks[0]?.state, 'FAILED')
    assert.match(
      tasks[0]?.trace ?? '',
      /Tolerance exceeded in error handler[\s\S]*Converting byte\[\] to Kafka Connect data/,
    )
    assert.ok(!tasks[0]?.trace?.includes('not json'), 'a trace holds no content of records')
  }, 30_000)
  await eventually(async () => {
    assert.equal(await readFile(join(folder, 'text'), 'utf8'), '{"a":1}\nnot json\n{"a":2}\n')
  }, 30_000)
  await put('tolerant', {
    ...json,
    file: join(folder, 'tolerant'),
    'errors.tolerance': 'all',
    'errors.deadletterqueue.topic.name': `dlq-${token}`,
    'errors.deadletterqueue.topic.replication.factor': '1',
    'errors.deadletterqueue.context.headers.enable': 'true',
  })
  await put('letters', {
    'connector.class': 'FileStreamSink',
    file: join(folder, 'letters'),
    topics: `dlq-${token}`,
    'consumer.override.metadata.max.age.ms': '1000',
  })
  await eventually(async () => {
    assert.equal((await readFile(join(folder, 'tolerant'), 'utf8')).split('\n').length, 3)
    assert.equal(await readFile(join(folder, 'letters'), 'utf8'), 'not json\n')
  }, 30_000)
  assert.equal((await statusOf(worker, 'tolerant')).tasks[0]?.state, 'RUNNING')
})

test('broken plugins cost the worker nothing; hybrid_fail refuses undeclared ones (statement 152)', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const fine = join(cluster.folder, 'fine.mjs')
  const broken = join(cluster.folder, 'broken.mjs')
  await writeFile(
    fine,
    `export const plugin = { type: 'predicate', name: 'org.x.Fine', aliases: [], version: '7', config: { keys: {} },
       create: async () => ({ configure() {}, test: () => true }) }`,
  )
  await writeFile(broken, 'process.exit(7)')
  const changes = { 'plugin.path': `${fine},${broken},${cluster.folder}/missing` }
  const worker = await (await cluster.start('distributed', [], changes)).ready()
  const { body } = await worker.rest('GET', '/connector-plugins?connectorsOnly=false')
  const own = (body as readonly { class: string }[]).filter((plugin) => plugin.class.startsWith('org.x.'))
  assert.deepEqual(own, [{ class: 'org.x.Fine', type: 'predicate', version: '7' }])
  assert.match(worker.output, /left out: .*ended the process while it was loaded, with code 7/)
  assert.match(worker.output, /left out: plugin\.path names .*missing, which cannot be read/)
  assert.match(worker.output, /plugins that no package\.json declares/)
  const refusing = await cluster.start('distributed', [], { ...changes, 'plugin.discovery': 'hybrid_fail' })
  assert.equal(await refusing.exitCode(), 2)
  assert.match(refusing.output, /CONNECT_PLUGIN_UNDECLARED|No package\.json declares the plugins of .*fine\.mjs/)
})

test('while internal topics cannot be made, /health is 503 and says what the worker is at (statement 15)', {
  skip,
  timeout: 60_000,
}, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  // More replicas than there are brokers: tried again, since more brokers may come.
  const worker = await cluster.start('distributed', [], { 'config.storage.replication.factor': '9' })
  await eventually(async () => {
    const { status, body } = await worker.rest('GET', '/health')
    assert.equal(status, 503)
    const { status: text, message } = body as { status: string; message: string }
    assert.equal(text, 'starting')
    assert.match(message, /initializing and reading to the end of internal topics/)
  }, 20_000)
  await worker.signal('SIGTERM')
})
