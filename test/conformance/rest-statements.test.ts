/** Statements about REST and the life of connectors, with FileStream connectors on a real worker. */
import assert from 'node:assert/strict'
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { type Config, Scene, waitMs } from '../support/connect-scene.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const source = 'org.apache.kafka.connect.file.FileStreamSourceConnector'

const options = { skip: kafka.skip, timeout: 120_000 }

test('statements 1, 2, 5, 6, 7, 8, 9 and 10: a source from its creation to its deletion', options, async () => {
  await using scene = await Scene.open({
    'config.providers': 'file',
    'config.providers.file.class': 'org.apache.kafka.common.config.provider.FileConfigProvider',
  })
  assert.deepEqual(await scene.call('GET', '/connectors'), [])
  const plugins = (await scene.call('GET', '/connector-plugins')) as { class: string; type: string; version: string }[]
  const found = plugins.find((plugin) => plugin.class === source)
  assert.deepEqual([found?.type, typeof found?.version], ['source', 'string'])

  const [name, topic, copy] = [scene.name('src'), scene.name('t'), scene.name('snk')]
  const [first, second, out] = [scene.file('first'), scene.file('second'), scene.file('out')]
  const secrets = scene.file('names.properties')
  await writeFile(secrets, `input=${first}\n`)
  await writeFile(first, 'one\n')
  await writeFile(second, 'two\n')
  const config: Config = { 'connector.class': 'FileStreamSource', file: `\${file:${secrets}:input}`, topic }
  const info = { name, config: { ...config, name }, tasks: [{ connector: name, task: 0 }], type: 'source' }
  assert.deepEqual(await scene.call('POST', '/connectors', { name, config }), { ...info, tasks: [] })
  await eventually(async () => assert.deepEqual(await scene.call('GET', '/connectors'), [name]), 10_000)
  assert.match(await scene.refuses(409, 'POST', '/connectors', { name, config }), /already exists/)
  await scene.reaches(name, 'RUNNING RUNNING')
  assert.deepEqual(await scene.call('GET', `/connectors/${name}`), info)
  assert.deepEqual(await scene.call('GET', `/connectors/${name}/config`), { ...config, name })
  const tasks = (await scene.call('GET', `/connectors/${name}/tasks`)) as { id: unknown; config: Config }[]
  assert.deepEqual(tasks[0]?.id, { connector: name, task: 0 })
  assert.equal(tasks[0]?.config['task.class'], 'org.apache.kafka.connect.file.FileStreamSourceTask')
  // As in Connect, references stay as they were written.
  assert.equal(tasks[0]?.config['file'], config['file'])

  await scene.call('PUT', `/connectors/${copy}/config`, {
    'connector.class': 'FileStreamSink',
    file: out,
    topics: topic,
  })
  await scene.contains(out, 'one\n')
  await scene.call('PUT', `/connectors/${name}/config`, { ...config, file: second })
  await scene.contains(out, 'one\ntwo\n')
  await scene.call('DELETE', `/connectors/${name}`)
  await eventually(async () => assert.deepEqual(await scene.call('GET', '/connectors'), [copy]), 10_000)
})

const commonOptions = [
  'name',
  'connector.class',
  'connector.plugin.version',
  'tasks.max',
  'tasks.max.enforce',
  'key.converter',
  'key.converter.plugin.version',
  'value.converter',
  'value.converter.plugin.version',
  'header.converter',
  'header.converter.plugin.version',
  'transforms',
  'predicates',
  'config.action.reload',
  'errors.retry.timeout',
  'errors.retry.delay.max.ms',
  'errors.tolerance',
  'errors.log.enable',
  'errors.log.include.messages',
]
const sourceOptions = [
  'topic.creation.groups',
  'exactly.once.support',
  'transaction.boundary',
  'transaction.boundary.interval.ms',
  'offsets.storage.topic',
  'file',
  'topic',
  'batch.size',
]
const sinkOptions = [
  'topics',
  'topics.regex',
  'errors.deadletterqueue.topic.name',
  'errors.deadletterqueue.topic.replication.factor',
  'errors.deadletterqueue.context.headers.enable',
  'file',
]

const routing = { 'transforms.r.regex': '(.*)', 'transforms.r.replacement': '$1' }

test('statements 3, 4, 11, 12 and 13: options that validation shows, and names of plugins', options, async () => {
  await using scene = await Scene.open()
  const cases = [
    ['FileStreamSource', { topic: 't', file: 'f' }, [...commonOptions, ...sourceOptions]],
    ['FileStreamSink', { topics: 't', file: 'f' }, [...commonOptions, ...sinkOptions]],
  ] as const
  for (const [plugin, own, expected] of cases) {
    const config = { 'connector.class': plugin, ...own }
    const path = `/connector-plugins/${plugin}/config/validate`
    type Infos = { error_count: number; configs: { definition: { name: string; group: string | null } }[] }
    const good = (await scene.call('PUT', path, { ...config, name: 'a' })) as Infos
    assert.equal(good.error_count, 0)
    const names = good.configs.map(({ definition }) => definition.name)
    // Options of our own begin with a prefix that Connect does not use.
    const ofConnect = names.filter((name) => !name.startsWith('errors.restart.'))
    assert.deepEqual(ofConnect.sort(), [...expected].sort())
    assert.equal(((await scene.call('PUT', path, config)) as Infos).error_count, 1)
  }
  for (const name of [source, 'FileStreamSourceConnector', 'FileStreamSource']) {
    const created = scene.name('x')
    const config = {
      'connector.class': name,
      topic: 't',
      'key.converter': 'Json',
      'value.converter': 'StringConverter',
    }
    const more = { transforms: 'r', 'transforms.r.type': 'RegexRouter', ...routing }
    const body = { name: created, config: { ...config, ...more }, initial_state: 'STOPPED' }
    await scene.call('POST', '/connectors', body)
    await scene.refuses(404, 'GET', `/connectors/${created}/tasks-config`)
  }
})

test('statements 39, 41, 43, 44, 46 and 52: stopped, paused and failed connectors', options, async () => {
  await using scene = await Scene.open()
  const [good, bad, paused, topic] = [scene.name('good'), scene.name('bad'), scene.name('paused'), scene.name('t')]
  await writeFile(scene.file('in'), 'one\n')
  const config: Config = { 'connector.class': 'FileStreamSource', file: scene.file('in'), topic }
  // Refused by the broker: the task fails, the connector does not.
  const failing = { ...config, 'producer.override.max.block.ms': '2000', 'producer.override.acks': 'nonsense' }
  await scene.call('POST', '/connectors', { name: bad, config: failing })
  await scene.reaches(bad, 'RUNNING FAILED')
  await scene.call('PUT', `/connectors/${bad}/stop`)
  await scene.reaches(bad, 'STOPPED')
  await scene.call('PUT', `/connectors/${bad}/config`, config)
  await scene.call('PUT', `/connectors/${bad}/resume`)
  await scene.reaches(bad, 'RUNNING RUNNING')
  await scene.call('PUT', `/connectors/${bad}/config`, failing)
  await scene.reaches(bad, 'RUNNING FAILED')
  await scene.call('PUT', `/connectors/${bad}/config`, config)
  await scene.call('POST', `/connectors/${bad}/restart?includeTasks=true`)
  await scene.reaches(bad, 'RUNNING RUNNING')

  await scene.call('POST', '/connectors', { name: paused, config, initial_state: 'PAUSED' })
  await scene.reaches(paused, 'PAUSED')
  await scene.call('PUT', `/connectors/${paused}/resume`)
  await scene.reaches(paused, 'RUNNING RUNNING')
  await scene.call('PUT', `/connectors/${paused}/stop`)
  await scene.reaches(paused, 'STOPPED')
  assert.deepEqual(await scene.call('GET', `/connectors/${paused}/tasks`), [])
  await scene.call('DELETE', `/connectors/${paused}`)
  for (const initial of ['PAUSED', 'STOPPED']) {
    await scene.call('POST', '/connectors', { name: good, config, initial_state: initial })
    await scene.reaches(good, initial)
    await scene.call('DELETE', `/connectors/${good}`)
    await eventually(async () => assert.deepEqual(await scene.call('GET', '/connectors'), [bad]), 10_000)
  }
})

test('statements 53, 54 and 55: PATCH, runtime options, and a secret that is gone', options, async () => {
  await using scene = await Scene.open({
    'config.providers': 'file',
    'config.providers.file.class': 'org.apache.kafka.common.config.provider.FileConfigProvider',
  })
  const [name, topic, copy] = [scene.name('src'), scene.name('t'), scene.name('snk')]
  const [input, out, secrets] = [scene.file('in'), scene.file('out'), scene.file('secret.properties')]
  await writeFile(secrets, `topic=${topic}\n`)
  await writeFile(input, 'one\n')
  const config: Config = { 'connector.class': 'FileStreamSource', file: input, topic: `\${file:${secrets}:topic}` }
  await scene.call('POST', '/connectors', { name, config })
  await scene.call('PUT', `/connectors/${copy}/config`, {
    'connector.class': 'FileStreamSink',
    file: out,
    topics: topic,
  })
  await scene.contains(out, 'one\n')

  await rm(secrets)
  const json = 'org.apache.kafka.connect.json.JsonConverter'
  const patch = { topic, 'value.converter': json, 'value.converter.schemas.enable': 'false', 'batch.size': null }
  const patched = (await scene.call('PATCH', `/connectors/${name}/config`, patch)) as { config: Config }
  const { 'batch.size': _removed, ...added } = patch
  assert.deepEqual(patched.config, { ...config, name, ...added })
  await appendFile(input, 'two\n')
  await scene.contains(out, 'one\n"two"\n')
})

test('statements 68, 69, 96, 97, 99, 100, 101, 103 and 106: restarts and offsets', options, async () => {
  await using scene = await Scene.open()
  const [name, sink, topic, none] = [scene.name('src'), scene.name('snk'), scene.name('t'), scene.name('none')]
  const out = scene.file('out')
  await writeFile(scene.file('in'), 'one\ntwo\n')
  await scene.refuses(404, 'POST', `/connectors/${none}/restart`)
  await scene.refuses(404, 'POST', `/connectors/${none}/restart?includeTasks=true&onlyFailed=true`)
  await scene.refuses(404, 'GET', `/connectors/${none}/offsets`)
  await scene.refuses(404, 'PATCH', `/connectors/${none}/offsets`, { offsets: [{ partition: { a: 1 }, offset: null }] })

  await scene.call('PUT', `/connectors/${name}/config`, {
    'connector.class': 'FileStreamSource',
    file: scene.file('in'),
    topic,
  })
  await scene.call('PUT', `/connectors/${sink}/config`, {
    'connector.class': 'FileStreamSink',
    file: out,
    topics: topic,
  })
  await scene.contains(out, 'one\ntwo\n')
  assert.equal((await scene.worker.rest('POST', `/connectors/${name}/restart`)).status, 204)
  await scene.reaches(name, 'RUNNING RUNNING')

  const path = `/connectors/${sink}/offsets`
  const partition = { kafka_topic: topic, kafka_partition: 0 }
  const at = (offset: number | null) => ({
    offsets: [{ partition, offset: offset === null ? null : { kafka_offset: offset } }],
  })
  await eventually(async () => assert.deepEqual(await scene.call('GET', path), at(2)), waitMs)
  for (const state of ['PAUSED', 'RUNNING']) {
    await scene.call('PUT', `/connectors/${sink}/${state === 'PAUSED' ? 'pause' : 'resume'}`)
    await scene.reaches(sink, `${state} ${state}`)
    assert.match(await scene.refuses(400, 'PATCH', path, at(0)), /must be in the STOPPED state/)
  }
  await scene.call('PUT', `/connectors/${sink}/stop`)
  await scene.reaches(sink, 'STOPPED')
  const bad = [
    {},
    { offsets: [] },
    { offsets: [{}] },
    { offsets: [{ partition: null, offset: null }] },
    { offsets: [{ partition: {}, offset: null }] },
    { offsets: [{ partition: { ...partition, kafka_partition: 'not a number' }, offset: null }] },
    { offsets: [{ partition, offset: {} }] },
    { offsets: [{ partition, offset: { kafka_offset: 'not a number' } }] },
  ]
  for (const body of bad) await scene.refuses(400, 'PATCH', path, body)
  const stopped = async <T>(run: () => Promise<T>): Promise<T> => eventually(run, waitMs)
  assert.deepEqual(await stopped(() => scene.call('PATCH', path, at(1))), {
    message: 'The offsets for this connector have been altered successfully',
  })
  await scene.call('PUT', `/connectors/${sink}/resume`)
  await scene.contains(out, 'one\ntwo\ntwo\n')
  await scene.call('PUT', `/connectors/${sink}/stop`)
  await scene.reaches(sink, 'STOPPED')
  await stopped(() => scene.call('DELETE', path))
  await scene.call('DELETE', path)
  assert.deepEqual(await scene.call('GET', path), { offsets: [] })
  await scene.call('PUT', `/connectors/${sink}/resume`)
  await scene.contains(out, 'one\ntwo\ntwo\none\ntwo\n')
})

test('statements 109, 114 and 115: envelopes and transforms of lines', options, async () => {
  await using scene = await Scene.open()
  const [topic, out, input] = [scene.name('t'), scene.file('out'), scene.file('in')]
  const smt = 'org.apache.kafka.connect.transforms.'
  await writeFile(input, 'one\n')
  await scene.call('PUT', `/connectors/${scene.name('snk')}/config`, {
    'connector.class': 'FileStreamSink',
    file: out,
    topics: topic,
  })
  const produce = async (own: Config): Promise<string> => {
    const name = scene.name('src')
    await scene.call('PUT', `/connectors/${name}/config`, {
      'connector.class': 'FileStreamSource',
      file: input,
      topic,
      'value.converter': 'JsonConverter',
      ...own,
    })
    return name
  }
  await produce({})
  const first = '{"schema":{"type":"string","optional":false},"payload":"one"}\n'
  await scene.contains(out, first)
  const filter: Config = {
    'transforms.f.type': `${smt}Filter`,
    'transforms.f.predicate': 'p',
    'transforms.f.negate': 'true',
    predicates: 'p',
    'predicates.p.type': `${smt}predicates.HasHeaderKey`,
    'predicates.p.name': 'mark',
  }
  const dropped = await produce({ transforms: 'f', ...filter })
  await scene.reaches(dropped, 'RUNNING RUNNING')
  await produce({
    transforms: 'm,f,h,i',
    ...filter,
    'transforms.m.type': `${smt}InsertHeader`,
    'transforms.m.header': 'mark',
    'transforms.m.value.literal': '1',
    'transforms.h.type': `${smt}HoistField$Value`,
    'transforms.h.field': 'content',
    'transforms.i.type': `${smt}InsertField$Value`,
    'transforms.i.timestamp.field': 'ts',
  })
  await eventually(async () => assert.equal((await readFile(out, 'utf8')).split('\n').length, 3), waitMs)
  const { schema, payload } = JSON.parse((await readFile(out, 'utf8')).slice(first.length)) as {
    schema: unknown
    payload: { content: string; ts: number }
  }
  assert.deepEqual(schema, {
    type: 'struct',
    fields: [
      { type: 'string', optional: false, field: 'content' },
      {
        type: 'int64',
        optional: true,
        name: 'org.apache.kafka.connect.data.Timestamp',
        version: 1,
        field: 'ts',
      },
    ],
    optional: false,
  })
  assert.equal(payload.content, 'one')
  assert.ok(Math.abs(payload.ts - Date.now()) < 60_000)
})

test(
  'statement 102: offsets of a sink that something still reads for: 500 that says so, later 200',
  options,
  async () => {
    await using scene = await Scene.open()
    const [topic, sink, out] = [scene.name('t'), scene.name('snk'), scene.file('out')]
    await writeFile(scene.file('in'), 'one\n')
    const source: Config = { 'connector.class': 'FileStreamSource', file: scene.file('in'), topic }
    await scene.call('PUT', `/connectors/${scene.name('src')}/config`, source)
    const config: Config = { 'connector.class': 'FileStreamSink', file: out, topics: topic }
    await scene.call('PUT', `/connectors/${sink}/config`, config)
    await scene.contains(out, 'one\n')
    await scene.call('PUT', `/connectors/${sink}/stop`)
    await scene.reaches(sink, 'STOPPED')
    const path = `/connectors/${sink}/offsets`
    const body = { offsets: [{ partition: { kafka_topic: topic, kafka_partition: 0 }, offset: { kafka_offset: 0 } }] }
    // To the broker a task that its worker has lost is a member of the sink's group, as this consumer is.
    {
      await using lost = createKafkaClientFactory().consumer({
        'bootstrap.servers': kafka.settings.brokers.join(','),
        'group.id': `connect-${sink}`,
      })
      let hasJoined = false
      const onAssigned = async (): Promise<void> => {
        hasJoined = true
      }
      lost.subscribe(
        { kind: 'topics', topics: [topic] },
        { onAssigned, onRevoked: async () => {}, onLost: async () => {} },
      )
      while (!hasJoined) await lost.poll(100, AbortSignal.timeout(waitMs))
      for (const [method, given] of [
        ['PATCH', body],
        ['DELETE', undefined],
      ] as const) {
        const text = await scene.refuses(500, method, path, given)
        assert.match(text, /tasks haven't stopped completely yet/)
        assert.match(text, /zombie sink tasks/)
      }
    }
    await eventually(() => scene.call('PATCH', path, body), waitMs)
    await scene.call('DELETE', path)
  },
)

test('statement 104: bad bodies for the offsets of a source are refused, and change nothing', options, async () => {
  await using scene = await Scene.open()
  const [name, topic] = [scene.name('src'), scene.name('t')]
  const path = `/connectors/${name}/offsets`
  await writeFile(scene.file('in'), 'one\n')
  const config: Config = { 'connector.class': 'FileStreamSource', file: scene.file('in'), topic }
  await scene.call('PUT', `/connectors/${name}/config`, config)
  type Offsets = { offsets: unknown[] }
  await eventually(async () => assert.equal(((await scene.call('GET', path)) as Offsets).offsets.length, 1), waitMs)
  await scene.call('PUT', `/connectors/${name}/stop`)
  await scene.reaches(name, 'STOPPED')
  const before = await scene.call('GET', path)
  // Connect answers these with 500, out of its JSON parser.
  for (const [body, expected] of [
    [[], /must be a JSON object/],
    [{ key: [] }, /Unrecognized field "key"/],
    [{ offsets: {} }, /"offsets" must be an array/],
    [{ offsets: [123] }, /"offsets\[0\]" must be an object/],
    [{ offsets: [{ partition: {}, offset: {}, more: 1 }] }, /Unrecognized field "more"/],
  ] as const) {
    assert.match(await scene.refuses(400, 'PATCH', path, body), expected)
  }
  const malformed = await fetch(new URL(path, scene.worker.url), {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: '{"offsets":[',
  })
  assert.ok(malformed.status === 400 || malformed.status === 500, `${malformed.status}`)
  assert.deepEqual(await scene.call('GET', path), before)
})

test('statements 148 and 149: log levels', options, async () => {
  await using scene = await Scene.open()
  type Levels = Record<string, { level: string; last_modified: number | null }>
  const before = (await scene.call('GET', '/admin/loggers')) as Levels
  assert.ok('root' in before && Object.keys(before).length >= 2, Object.keys(before).join())
  assert.ok(Object.values(before).every((logger) => logger.last_modified === null))
  const start = Date.now()
  const child = 'some.namespace.child'
  await scene.call('PUT', `/admin/loggers/${child}`, { level: 'DEBUG' })
  assert.deepEqual(await scene.call('PUT', '/admin/loggers/some.namespace', { level: 'error' }), [
    'some.namespace',
    child,
  ])
  const after = (await scene.call('GET', '/admin/loggers')) as Levels
  for (const name of ['some.namespace', child]) {
    assert.equal(after[name]?.level, 'ERROR')
    assert.ok((after[name]?.last_modified ?? 0) >= start)
  }
  for (const [name, logger] of Object.entries(before)) assert.deepEqual(after[name], logger)
})

test('statement 146: standalone, created stopped, then resumed', options, async () => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers)
  const worker = await (await cluster.start('standalone')).ready()
  const config: Config = { 'connector.class': 'FileStreamSource', file: join(cluster.folder, 'in'), topic: 't' }
  const created = await worker.rest('POST', '/connectors', { name: 'a', config, initial_state: 'STOPPED' })
  assert.equal(created.status, 201)
  assert.deepEqual((await worker.rest('GET', '/connectors/a/tasks')).body, [])
  await worker.rest('PUT', '/connectors/a/resume')
  await eventually(async () => {
    const status = (await worker.rest('GET', '/connectors/a/status')).body as { tasks: { state: string }[] }
    assert.deepEqual(
      status.tasks.map((task) => task.state),
      ['RUNNING'],
    )
  }, waitMs)
  await worker.signal('SIGTERM')
})
