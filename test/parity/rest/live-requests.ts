/** Requests that no recording holds: every option of every plugin with bad and odd values, and the corners of each endpoint. */

export interface LiveRequest {
  readonly method: string
  readonly path: string
  readonly body?: string
  readonly contentType?: string
  readonly accept?: string
}

/** An option as `GET /connector-plugins/{p}/config` lists it. */
export interface OptionInfo {
  readonly name: string
  readonly type: string
}

export interface PluginOptions {
  readonly type: string
  readonly class: string
  readonly options: readonly OptionInfo[]
}

type Config = Readonly<Record<string, string | null>>

/** Values that a type takes, takes after trimming, or refuses. */
const oddValues: readonly (string | null)[] = [
  '',
  ' ',
  ' 1 ',
  '0',
  '-1',
  '-2',
  '1.5',
  'x',
  'a,b',
  'a, a',
  ',a',
  'a,,b',
  'TRUE',
  'true',
  '2147483648',
  '99999999999999999999',
  'java.lang.String',
  'org.apache.kafka.connect.json.JsonConverter',
  '(',
  'none',
  'ALL',
  'a:b',
  'a:int8',
  null,
]

const source: Config = { name: 'x', 'connector.class': 'FileStreamSource', topic: 't', file: '/tmp/none' }
const sink: Config = { name: 'x', 'connector.class': 'FileStreamSink', topics: 't', file: '/tmp/none' }

const validation = (config: Config): LiveRequest => ({
  method: 'PUT',
  path: `/connector-plugins/${config['connector.class']}/config/validate`,
  body: JSON.stringify(config),
})

function* connectorOptions(plugins: readonly PluginOptions[]): Generator<LiveRequest> {
  for (const [base, name] of [
    [source, 'FileStreamSourceConnector'],
    [sink, 'FileStreamSinkConnector'],
  ] as const) {
    const plugin = plugins.find((p) => p.class.endsWith(name))
    for (const { name: option } of plugin?.options ?? []) {
      if (option === 'connector.class') continue
      for (const value of oddValues) yield validation({ ...base, [option]: value })
      const { [option]: _, ...without } = base
      yield validation(without)
    }
  }
}

function* nestedOptions(plugins: readonly PluginOptions[]): Generator<LiveRequest> {
  for (const plugin of plugins) {
    const isPredicate = plugin.type === 'predicate'
    if (!isPredicate && plugin.type !== 'transformation') continue
    const prefix = isPredicate ? 'predicates.p.' : 'transforms.a.'
    const base: Config = isPredicate
      ? {
          ...sink,
          transforms: 'a',
          'transforms.a.type': 'org.apache.kafka.connect.transforms.Filter',
          'transforms.a.predicate': 'p',
          predicates: 'p',
          'predicates.p.type': plugin.class,
        }
      : { ...source, transforms: 'a', 'transforms.a.type': plugin.class }
    yield validation(base)
    for (const { name } of plugin.options) {
      for (const value of oddValues) yield validation({ ...base, [`${prefix}${name}`]: value })
    }
  }
}

function* converterOptions(plugins: readonly PluginOptions[]): Generator<LiveRequest> {
  for (const plugin of plugins.filter(({ type }) => type === 'converter' || type === 'header_converter')) {
    const slots = plugin.type === 'converter' ? ['key.converter', 'value.converter'] : ['header.converter']
    for (const slot of slots) {
      yield validation({ ...source, [slot]: plugin.class })
      yield validation({ ...source, [slot]: plugin.class.slice(plugin.class.lastIndexOf('.') + 1) })
      for (const { name } of plugin.options) {
        for (const value of oddValues) yield validation({ ...source, [slot]: plugin.class, [`${slot}.${name}`]: value })
        // Without the class the option belongs to the worker's converter, which is not this one's business.
        yield validation({ ...source, [`${slot}.${name}`]: 'x' })
      }
    }
  }
}

const cast = 'org.apache.kafka.connect.transforms.Cast$Value'
const filter = 'org.apache.kafka.connect.transforms.Filter'
const isNull = 'org.apache.kafka.connect.transforms.predicates.RecordIsTombstone'

/** Several options at once, in the ways that people get them wrong. */
const combinations: readonly Config[] = [
  {},
  { name: '' },
  { 'tasks.max': 'x', transforms: 'a' },
  { transforms: 'a,b', 'transforms.a.type': cast, 'transforms.a.spec': 'int8', 'transforms.b.type': 'Nope' },
  { transforms: 'a,a', 'transforms.a.type': cast },
  { transforms: 'a', 'transforms.a.type': cast, 'transforms.a.spec': 'int8', 'transforms.a.predicate': 'p' },
  { transforms: 'a', 'transforms.a.type': cast, 'transforms.a.spec': 'int8', 'transforms.a.negate': 'true' },
  { transforms: 'a', 'transforms.a.type': isNull },
  { transforms: 'a', 'transforms.a.type': 'java.lang.String' },
  { transforms: 'a', 'transforms.a.type': filter, 'transforms.a.unknown': '1' },
  { transforms: ' a , b ', 'transforms.a.type': filter, 'transforms.b.type': filter },
  { predicates: 'p', 'predicates.p.type': cast },
  { predicates: 'p', 'predicates.p.type': '' },
  { predicates: 'p,q', 'predicates.p.type': isNull, 'predicates.q.type': isNull },
  { predicates: 'p,p', 'predicates.p.type': isNull },
  { predicates: 'p' },
  { 'transforms.a.type': filter },
  { 'key.converter': 'org.apache.kafka.connect.converters.LongConverter', 'key.converter.x': '1' },
  { 'header.converter': 'org.apache.kafka.connect.converters.LongConverter' },
  { 'value.converter': 'org.apache.kafka.connect.storage.SimpleHeaderConverter' },
  { 'topic.creation.groups': 'g' },
  { 'topic.creation.groups': 'g,h', 'topic.creation.default.partitions': '1' },
  {
    'topic.creation.groups': 'g',
    'topic.creation.default.replication.factor': '1',
    'topic.creation.default.partitions': '1',
    'topic.creation.g.include': '(',
    'topic.creation.g.partitions': '0',
  },
  { 'topic.creation.default.replication.factor': '-2', 'topic.creation.default.partitions': 'x' },
  { 'topic.creation.default.cleanup.policy': 'compact' },
  { 'producer.override.acks': 'all', 'producer.override.linger.ms': 'x' },
  { 'producer.override.acks': 'many' },
  { 'producer.override.batch.size': '-5', 'admin.override.retries': 'x' },
  { 'consumer.override.max.poll.records': '0' },
  { 'consumer.override.group.id': 'g' },
  { 'admin.override.bootstrap.servers': '' },
  { 'errors.tolerance': 'all', 'errors.deadletterqueue.topic.name': 't' },
  { 'errors.deadletterqueue.topic.name': ' t ', topics: 't' },
  { topics: '', 'topics.regex': '' },
  { topics: 't', 'topics.regex': 't.*' },
  { topics: '', 'topics.regex': 't.*', 'errors.deadletterqueue.topic.name': 't1' },
  { topics: ' , ' },
  { 'topics.regex': '(?i)T[a-z&&[^b]]++', topics: '' },
  { topics: null },
  { 'connector.plugin.version': '4.3.0' },
  { 'connector.plugin.version': '1.0' },
  { 'connector.plugin.version': '[4.0,)' },
  { 'connector.plugin.version': '[1.0,2.0)' },
  { 'connector.plugin.version': 'latest' },
  { 'connector.plugin.version': '[' },
  { 'value.converter': 'org.apache.kafka.connect.json.JsonConverter', 'value.converter.plugin.version': '1.0' },
  { 'value.converter': 'org.apache.kafka.connect.json.JsonConverter', 'value.converter.plugin.version': '[4.0,5)' },
  { 'value.converter.plugin.version': '[4.0,5)' },
  { 'value.converter.plugin.version': '[9,)' },
  { 'value.converter': 'org.apache.kafka.connect.storage.StringConverter', 'value.converter.plugin.version': '[' },
  { 'value.converter': 'org.apache.kafka.connect.storage.StringConverter', 'value.converter.plugin.version': '' },
  { 'header.converter': 'Nope', 'header.converter.plugin.version': '[9,)' },
  { transforms: 'a', 'transforms.a.type': filter, 'transforms.a.plugin.version': '[' },
  { transforms: 'a', 'transforms.a.type': filter, 'transforms.a.plugin.version': '' },
  { transforms: 'a', 'transforms.a.plugin.version': '[9,)' },
  { predicates: 'p', 'predicates.p.type': isNull, 'predicates.p.plugin.version': '[' },
  { extra: null },
  { 'producer.override.acks': null, 'consumer.override.group.id': null },
  { transforms: 'a', 'transforms.a.type': filter, 'transforms.a.plugin.version': '1' },
  { transforms: 'a', 'transforms.a.type': filter, 'transforms.a.plugin.version': '4.3.0' },
  { predicates: 'p', 'predicates.p.type': isNull, 'predicates.p.plugin.version': '1' },
  { 'offsets.storage.topic': '', 'exactly.once.support': 'required' },
  { 'exactly.once.support': 'Requested', 'transaction.boundary': 'CONNECTOR' },
  { 'transaction.boundary': 'interval', 'transaction.boundary.interval.ms': '-1' },
  { 'tasks.max': '0', 'tasks.max.enforce': 'maybe' },
  { 'config.action.reload': 'NONE' },
  { file: null },
  { file: '${file:/none:key}' },
  { 'tasks.max': '${env:NOPE}' },
]

function* manyAtOnce(): Generator<LiveRequest> {
  for (const base of [source, sink]) for (const config of combinations) yield validation({ ...base, ...config })
}

const text = (body: string, contentType?: string) => ({ body, ...(contentType === undefined ? {} : { contentType }) })

/** Paths, methods, media types and parameters. */
function* protocol(): Generator<LiveRequest> {
  const paths = [
    '/',
    '/connectors',
    '/connectors/none',
    '/connectors/none/config',
    '/connectors/none/status',
    '/connectors/none/pause',
    '/connectors/none/resume',
    '/connectors/none/stop',
    '/connectors/none/restart',
    '/connectors/none/tasks',
    '/connectors/none/tasks/0',
    '/connectors/none/tasks/0/status',
    '/connectors/none/tasks/0/restart',
    '/connectors/none/tasks/x/status',
    '/connectors/none/tasks/-1/restart',
    '/connectors/none/tasks/99999999999/status',
    '/connectors/none/tasks-config',
    '/connectors/none/topics',
    '/connectors/none/topics/reset',
    '/connectors/none/offsets',
    '/connectors/none/other',
    '/connector-plugins',
    '/connector-plugins/FileStreamSource',
    '/connector-plugins/FileStreamSource/config',
    '/connector-plugins/none/config',
    '/connector-plugins/FileStreamSource/config/validate',
    '/admin',
    '/admin/loggers',
    '/admin/loggers/none',
    '/health',
    '/application.wadl',
  ]
  for (const path of paths) {
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'HEAD']) {
      if (path.endsWith('/tasks') && method === 'POST') continue
      if (path === '/admin/loggers' && method === 'GET') continue
      if (path === '/connector-plugins' && method === 'GET') continue
      yield { method, path }
      if (['POST', 'PUT', 'PATCH'].includes(method)) {
        for (const body of ['{}', '[]', 'null', '1', '"x"', '{', '', '{"a":[]}']) yield { method, path, body }
        yield { method, path, ...text('{}', 'text/plain') }
        yield { method, path, ...text('{}', 'application/json; charset=utf-8') }
      }
    }
    for (const accept of ['text/html', 'application/json;q=0.1', 'text/*, */*;q=0.5', 'application/xml']) {
      if (path !== '/admin/loggers' && path !== '/connector-plugins') yield { method: 'GET', path, accept }
    }
  }
  for (const version of ['4.3.0', '1.0', '[4.0,5.0)', 'latest', '[', '']) {
    yield { method: 'GET', path: `/connector-plugins/FileStreamSource/config?version=${encodeURIComponent(version)}` }
    yield { method: 'GET', path: `/connector-plugins/JsonConverter/config?version=${encodeURIComponent(version)}` }
  }
}

/** What a connector of our own goes through: in this order. */
function* lifeOf(name: string, config: Config): Generator<LiveRequest> {
  const at = `/connectors/${name}`
  const json = (value: unknown): string => JSON.stringify(value)
  yield { method: 'POST', path: '/connectors', body: json({ name, config, initial_state: 'stopped' }) }
  yield { method: 'POST', path: '/connectors', body: json({ name, config }) }
  for (const query of ['expand=info', 'expand=status', 'expand=info&expand=status', 'expand=', 'expand=INFO']) {
    yield { method: 'GET', path: `/connectors?${query}` }
  }
  for (const patch of [
    { file: null },
    { file: '/tmp/none', extra: 'y' },
    { extra: null, never: null },
    { 'tasks.max': 'x' },
    { 'tasks.max': 2 },
    { 'tasks.max': true },
    { 'tasks.max': 1.5 },
    { 'tasks.max': [] },
    { 'tasks.max': {} },
    { 'tasks.max': null },
    { 'connector.class': null },
    { 'connector.class': 'Nope' },
    { name: null },
    {},
  ]) {
    yield { method: 'PATCH', path: `${at}/config`, body: json(patch) }
    yield { method: 'GET', path: `${at}/config` }
  }
  yield { method: 'PUT', path: `${at}/config`, body: json(config) }
  const isSource = config['topics'] === undefined
  const offsets = (partition: unknown, offset: unknown): unknown => ({ offsets: [{ partition, offset }] })
  const bodies: readonly unknown[] = isSource
    ? [
        offsets({ filename: '/tmp/none' }, { position: 5 }),
        offsets({ filename: '/tmp/none' }, { position: '5' }),
        offsets({ filename: '/tmp/none' }, { position: -1 }),
        offsets({ filename: '/tmp/none' }, { position: 1.5 }),
        offsets({ filename: '/tmp/none' }, { other: 1 }),
        offsets({ filename: '/tmp/none' }, {}),
        offsets({ filename: '/tmp/none' }, null),
        offsets({ filename: 1 }, { position: 5 }),
        offsets({ filename: null }, { position: 5 }),
        offsets({ other: 'x' }, { position: 5 }),
        offsets({}, { position: 5 }),
        offsets({}, null),
        offsets(null, { position: 5 }),
        {
          offsets: [
            { partition: { filename: 'a' }, offset: { position: 1 } },
            { partition: { filename: 'a' }, offset: { position: 2 } },
          ],
        },
        { offsets: [{ offset: { position: 2 } }] },
        { offsets: [null] },
        { offsets: null },
        { offsets: {} },
        { offsets: 'x' },
        { offsets: [[]] },
        { offsets: [], x: 1 },
      ]
    : [
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 'no-such-topic', kafka_partition: '0' }, { kafka_offset: '5' }),
        offsets({ kafka_topic: 't', kafka_partition: -1 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: 'x' }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: 1.5 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: 2147483648 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: '', kafka_partition: 0 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 1, kafka_partition: 0 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: null, kafka_partition: 0 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't' }, { kafka_offset: 5 }),
        offsets({ kafka_partition: 0 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: null }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: 0, more: 1 }, { kafka_offset: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { kafka_offset: 'x' }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { kafka_offset: 1.5 }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { kafka_offset: -1 }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { kafka_offset: null }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { kafka_offset: 5, more: 1 }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, { other: 5 }),
        offsets({ kafka_topic: 't', kafka_partition: 0 }, {}),
        { offsets: [{}] },
        { offsets: null },
      ]
  for (const body of bodies) {
    yield { method: 'PATCH', path: `${at}/offsets`, body: json(body) }
    yield { method: 'GET', path: `${at}/offsets` }
  }
  for (const query of ['includeTasks=true', 'onlyFailed=true', 'includeTasks=1&onlyFailed=', 'includeTasks']) {
    yield { method: 'POST', path: `${at}/restart?${query}` }
  }
  yield { method: 'GET', path: `${at}/status` }
  yield { method: 'GET', path: `${at}/tasks` }
  yield { method: 'PUT', path: `${at}/topics/reset` }
  yield { method: 'GET', path: `${at}/topics` }
  yield { method: 'DELETE', path: `${at}/offsets` }
  yield { method: 'GET', path: `${at}/offsets` }
  for (const bad of ['"x"', '1', '[]', '{"name":1}', '{"name":"b","config":[]}', '{"name":"b","config":{"a":{}}}']) {
    yield { method: 'POST', path: '/connectors', body: bad }
  }
  for (const state of ['"PAUSED "', '""', '1', 'null', '[]']) {
    yield {
      method: 'POST',
      path: '/connectors',
      body: `{"name":"${name}","config":${json(config)},"initial_state":${state}}`,
    }
  }
  yield { method: 'DELETE', path: at }
}

function* loggers(): Generator<LiveRequest> {
  for (const [i, scope] of ['', '?scope=worker', '?scope=cluster', '?scope=CLUSTER', '?scope=x'].entries()) {
    // Levels of the cluster take effect some time later, so no other request may be about the same logger.
    const logger = `no.such.logger.${i}`
    for (const body of [
      '{"level":"debug"}',
      '{"level":" INFO "}',
      '{"level":""}',
      '{"level":null}',
      '{"level":1}',
      '{"level":[]}',
      '{}',
      '[]',
      '{"level":"x"}',
      '{"level":"INFO","more":1}',
    ]) {
      yield { method: 'PUT', path: `/admin/loggers/${logger}${scope}`, body }
    }
  }
}

/**
 * @param plugins of the worker that is the measure, with their options
 * @param token makes the names of connectors unique
 */
export function* liveRequests(plugins: readonly PluginOptions[], token: string): Generator<LiveRequest> {
  yield* protocol()
  yield* manyAtOnce()
  yield* converterOptions(plugins)
  yield* nestedOptions(plugins)
  yield* connectorOptions(plugins)
  yield* loggers()
  yield* lifeOf(`a-${token}`, { ...source, name: `a-${token}` })
  yield* lifeOf(`b-${token}`, { ...sink, name: `b-${token}`, topics: `t-${token}` })
}
