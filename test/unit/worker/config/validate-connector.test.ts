/** Statements 11.2 that the recording does not hold; plugins are made here, one per case. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { RequestError } from '../../../../worker/api/errors.ts'
import {
  defineConfig,
  defineConverter,
  defineHeaderConverter,
  definePredicate,
  defineSinkConnector,
  defineSourceConnector,
  defineTransformation,
  type ExactlyOnceSupport,
  type Plugin,
} from '../../../../worker/api/index.ts'
import { invalidConfigMessage } from '../../../../worker/config/config-infos.ts'
import { ConfigProviders } from '../../../../worker/config/config-provider.ts'
import { sinkProblems } from '../../../../worker/config/connector-config.ts'
import { compareVersions, versionProblem } from '../../../../worker/config/plugin-versions.ts'
import { validateConnector } from '../../../../worker/config/validate-connector.ts'
import { parseWorkerConfig, type WorkerConfig } from '../../../../worker/config/worker-config.ts'
import { PluginRegistry } from '../../../../worker/plugins/registry.ts'

const unused = async (): Promise<never> => {
  throw new Error('not started here')
}
const common = { aliases: [], version: '1.2.0' }

function source(support: () => ExactlyOnceSupport | undefined, boundaries: () => boolean): Plugin {
  return defineSourceConnector({
    ...common,
    name: 'x.TestSourceConnector',
    taskName: 'x.TestSourceTask',
    config: defineConfig({ token: { type: 'PASSWORD', default: null, importance: 'LOW', doc: '' } }),
    createConnector: async () => ({
      start: unused,
      taskConfigs: unused,
      stop: unused,
      exactlyOnceSupport: () => support() as ExactlyOnceSupport,
      canDefineTransactionBoundaries: () => boundaries(),
    }),
    createTask: unused,
  })
}

const sink = defineSinkConnector({
  ...common,
  name: 'x.TestSinkConnector',
  taskName: 'x.TestSinkTask',
  config: defineConfig(
    {
      low: { type: 'INT', default: 1, importance: 'LOW', doc: '', group: 'Limits' },
      high: { type: 'INT', default: 2, importance: 'LOW', doc: '', group: 'Limits' },
    },
    { validate: ({ low, high }) => (low > high ? [{ option: 'low', message: 'low is above high' }] : []) },
  ),
  createConnector: unused,
  createTask: unused,
  validate: async ({ high }) => (high === 13 ? [{ option: 'high', message: 'the server refuses 13' }] : []),
})

const converter = defineConverter({
  ...common,
  name: 'x.TestConverter',
  config: defineConfig({ flag: { type: 'BOOLEAN', default: true, importance: 'LOW', doc: '' } }),
  create: unused,
})

const parts: readonly Plugin[] = [
  sink,
  converter,
  defineHeaderConverter({ ...common, name: 'x.TestHeaderConverter', config: defineConfig({}), create: unused }),
  defineTransformation({ ...common, name: 'x.Rename', config: defineConfig({}), create: unused }),
  definePredicate({ ...common, name: 'x.Always', config: defineConfig({}), create: unused }),
]

function worker(raw: Record<string, string> = {}): WorkerConfig {
  const topics = { 'config.storage.topic': 'c', 'offset.storage.topic': 'o', 'status.storage.topic': 's' }
  const converters = { 'key.converter': 'x.TestConverter', 'value.converter': 'Test', 'header.converter': 'Test' }
  return parseWorkerConfig({ 'group.id': 'workers', ...converters, ...topics, ...raw }, 'distributed')
}

interface Case {
  readonly raw: Record<string, string>
  readonly workerRaw?: Record<string, string>
  readonly source?: Plugin
}

async function errorsOf({ raw, workerRaw = {}, source: extra }: Case): Promise<Record<string, readonly string[]>> {
  const plugins = new PluginRegistry([
    ...parts,
    extra ??
      source(
        () => undefined,
        () => false,
      ),
  ])
  const input = { raw, plugins, worker: worker(workerRaw), providers: ConfigProviders.none }
  const infos = await validateConnector(input)
  const wrong = infos.configs.filter((info) => info.value.errors.length > 0)
  const total = wrong.reduce((sum, info) => sum + info.value.errors.length, 0)
  assert.equal(infos.error_count, total)
  return Object.fromEntries(wrong.map((info) => [info.value.name, info.value.errors]))
}

const sinkRaw = { name: 's', 'connector.class': 'TestSink', topics: 'a,b' }
const sourceRaw = { name: 's', 'connector.class': 'TestSource' }

test('statements 21, 22: the dead letter queue may not be among the topics', async () => {
  const queue = { 'errors.deadletterqueue.topic.name': ' b ' }
  assert.deepEqual(await errorsOf({ raw: { ...sinkRaw, ...queue } }), {
    topics: ["The DLQ topic 'b' may not be included in the list of topics ('topics=[a, b]') consumed by the connector"],
  })
  const raw = { name: 's', 'connector.class': 'TestSink', 'topics.regex': '[ab]', ...queue }
  assert.deepEqual(await errorsOf({ raw }), {
    'topics.regex': [
      "The DLQ topic 'b' may not be matched by the regex for the topics ('topics.regex=[ab]') consumed by the connector",
    ],
  })
  const part = { topics: [], 'topics.regex': 'b', 'errors.deadletterqueue.topic.name': 'bb' }
  assert.deepEqual(sinkProblems(part), [], 'only a full match counts')
})

test("statements 23, 24: a sink's group may not be that of the workers", async () => {
  const raw = { ...sinkRaw, name: 'x' }
  assert.deepEqual(await errorsOf({ raw, workerRaw: { 'group.id': 'connect-x' } }), {
    name: ['Consumer group for sink connector named x conflicts with Connect worker group connect-x'],
  })
  const errors = await errorsOf({ raw: { ...sinkRaw, 'consumer.override.group.id': 'workers' } })
  assert.deepEqual(errors, {
    'consumer.override.group.id': ['Consumer group workers conflicts with Connect worker group workers'],
  })
})

test('statements 28 to 30: classes of transforms and predicates', async () => {
  const errors = await errorsOf({
    raw: {
      ...sinkRaw,
      transforms: 'none,wrong,neg',
      'transforms.wrong.type': 'x.TestConverter',
      'transforms.neg.type': 'Rename',
      'transforms.neg.negate': 'true',
      predicates: 'p',
      'predicates.p.type': 'x.Rename',
    },
  })
  assert.deepEqual(errors, {
    'transforms.none.type': ['Missing required configuration "transforms.none.type" which has no default value.'],
    'transforms.wrong.type': ['Class class x.TestConverter does not implement the Transformation interface'],
    'transforms.neg.type': [
      "Config 'transforms.neg.negate' was provided but there is no config 'transforms.neg.predicate' defining a predicate to be negated.",
    ],
    'predicates.p.type': ['Class class x.Rename does not implement the Predicate interface'],
  })
})

test('statement 31: a misconfigured converter, its options only when the connector names it', async () => {
  const flag = { 'value.converter.flag': 'perhaps' }
  assert.deepEqual(await errorsOf({ raw: { ...sinkRaw, ...flag } }), {})
  assert.deepEqual(await errorsOf({ raw: { ...sinkRaw, ...flag, 'value.converter': 'Test' } }), {
    'value.converter.flag': ['Invalid value perhaps for configuration flag: Expected value to be either true or false'],
  })
})

const eos = { 'exactly.once.source.support': 'enabled' }

test('statement 33: exactly.once.support=required asks the connector', async () => {
  const raw = { ...sourceRaw, 'exactly.once.support': 'REQUIRED' }
  const ask = async (support: () => ExactlyOnceSupport | undefined) =>
    (await errorsOf({ raw, workerRaw: eos, source: source(support, () => false) }))['exactly.once.support']
  assert.equal(await ask(() => 'supported'), undefined)
  assert.match((await ask(() => undefined))?.[0] ?? '', /^The connector does not implement the API required/u)
  assert.match((await ask(() => 'unsupported'))?.[0] ?? '', /does not support exactly-once semantics/u)
  const broken = await ask(() => {
    throw new Error('boom')
  })
  assert.deepEqual(broken, ['An unexpected error occurred during validation: boom'])
})

test('statement 34: transaction.boundary=connector asks the connector', async () => {
  const raw = { ...sourceRaw, 'transaction.boundary': 'connector' }
  assert.deepEqual(
    await errorsOf({
      raw,
      source: source(
        () => undefined,
        () => true,
      ),
    }),
    {},
  )
  assert.equal(Object.keys(await errorsOf({ raw })).length, 1)
})

test('statements 35 to 37: override policies', async () => {
  const raw = { ...sourceRaw, 'producer.override.acks': '1', 'producer.override.sasl.jaas.config': 'secret' }
  const policy = (name: string) => ({ 'connector.client.config.override.policy': name })
  assert.deepEqual(await errorsOf({ raw, workerRaw: policy('All') }), {})
  const none = await errorsOf({ raw, workerRaw: policy('None') })
  assert.deepEqual(Object.keys(none), ['producer.override.acks', 'producer.override.sasl.jaas.config'])
  assert.match(none['producer.override.acks']?.[0] ?? '', /The 'None' policy does not allow 'acks' to be overridden/u)
  assert.doesNotMatch(JSON.stringify(none), /secret/u, 'I8')
  assert.deepEqual(Object.keys(await errorsOf({ raw, workerRaw: policy('Principal') })), ['producer.override.acks'])
  const allow = { ...policy('Allowlist'), 'connector.client.config.override.allowlist': 'acks' }
  assert.deepEqual(Object.keys(await errorsOf({ raw, workerRaw: allow })), ['producer.override.sasl.jaas.config'])
})

test('what Connect answers with 500 is refused with 400 and the name of the option', async () => {
  const quiet = source(
    () => undefined,
    () => false,
  )
  const plugins = new PluginRegistry([...parts, quiet])
  for (const [option, value, base] of [
    ['offsets.storage.topic', null, sourceRaw],
    ['errors.deadletterqueue.topic.name', null, sinkRaw],
    ['connector.plugin.version', '(', sinkRaw],
  ] as const) {
    const input = { raw: { ...base, [option]: value }, plugins, worker: worker(), providers: ConfigProviders.none }
    await assert.rejects(validateConnector(input), (error) => {
      assert.ok(error instanceof RequestError)
      assert.deepEqual([error.status, error.message.split(':')[0]], [400, option])
      return true
    })
  }
})

test('rules between options, then checks with I/O, one stage after the other', async () => {
  assert.deepEqual(await errorsOf({ raw: { ...sinkRaw, low: '14', high: '13' } }), { low: ['low is above high'] })
  assert.deepEqual(await errorsOf({ raw: { ...sinkRaw, high: '13' } }), { high: ['the server refuses 13'] })
})

test('secrets are hidden in the answer (I8)', async () => {
  const plugins = new PluginRegistry([
    ...parts,
    source(
      () => undefined,
      () => false,
    ),
  ])
  const raw = { ...sourceRaw, token: 'hunter2' }
  const infos = await validateConnector({ raw, plugins, worker: worker(), providers: ConfigProviders.none })
  assert.doesNotMatch(JSON.stringify(infos), /hunter2/u)
  assert.equal(invalidConfigMessage(infos), null)
})

test('plugin versions (KIP-891)', () => {
  for (const fine of [
    null,
    'latest',
    '1.2.0',
    ' 1.2 ',
    '[1.0,2.0)',
    '(1.1,1.2.0]',
    '[1.2.0]',
    '[1.2.0,)',
    '[1.0,1.1],(1.2-rc1,)',
  ]) {
    assert.equal(versionProblem('P', fine, ['1.2.0']), null, String(fine))
  }
  assert.equal(
    versionProblem('P', '1.2.1', ['1.2.0']),
    'Plugin P not found that matches the version range [1.2.1,1.2.1], available versions: [1.2.0]',
  )
  for (const wrong of ['(1.2.0,2.0)', '[1.0,1.2.0)', '[1.10]'])
    assert.notEqual(versionProblem('P', wrong, ['1.2.0']), null)
  assert.match(versionProblem('P', '', ['1.2.0']) ?? '', /range \[,\]/)
  for (const [malformed, message] of [
    ['[1', 'Unbounded range: [1'],
    ['[2,1]', 'Range defies version ordering: [2,1]'],
    ['(1)', 'Single version must be surrounded by []: (1)'],
    ['[1,3],[2,4]', 'Ranges overlap: [1,3],[2,4]'],
    ['[1,2],3', 'Only fully-qualified sets allowed in multiple set scenario: [1,2],3'],
  ] as const) {
    assert.throws(() => versionProblem('P', malformed, ['1.2.0']), { name: 'SyntaxError', message })
  }
})

test('versions are ordered as Maven orders them', () => {
  const ordered = ['1-alpha-1', '1-beta', '1-rc1', '1-SNAPSHOT', '1', '1-sp', '1-custom', '1.0.1', '1.2', '1.10', '2']
  for (const [i, low] of ordered.entries()) {
    for (const [j, high] of ordered.entries()) {
      assert.equal(Math.sign(compareVersions(low, high)), Math.sign(i - j), `${low} and ${high}`)
    }
  }
  for (const same of ['1.0', '1.0.0', '1.Final', '1-ga', '01']) assert.equal(compareVersions(same, '1'), 0, same)
})

test("Apicurio's converters are refused with what takes their place", async () => {
  const given = 'io.apicurio.registry.utils.converter.AvroConverter'
  const errors = await errorsOf({ raw: { ...sinkRaw, 'value.converter': given } })
  assert.deepEqual(Object.keys(errors), ['value.converter'])
  assert.match(
    errors['value.converter']?.[0] ?? '',
    /Class io\.apicurio\.\S+ could not be found\. Use io\.confluent\.connect\.avro\.AvroConverter .*schema\.registry\.url.*\/apis\/ccompat\/v7/,
  )
  const plugins = new PluginRegistry(parts)
  assert.throws(() => plugins.get('converter', 'io.apicurio.registry.utils.converter.SerdeBasedConverter'), {
    code: 'CONNECT_PLUGIN_UNKNOWN',
    message: /Use io\.confluent\.connect\.avro\.AvroConverter \(Avro\) or io\.confluent\.connect\.json\.JsonSchema/,
  })
  const unknown = await errorsOf({ raw: { ...sinkRaw, 'value.converter': 'io.apicurio.Other' } })
  assert.deepEqual(unknown['value.converter'], [
    'Invalid value io.apicurio.Other for configuration value.converter: Class io.apicurio.Other could not be found.',
  ])
})

test('a transform without its part is refused with the parts that there are', async () => {
  const halves = ['x.Half$Key', 'x.Half$Value'].map((name) =>
    defineTransformation({ ...common, name, config: defineConfig({}), create: unused }),
  )
  const plugins = new PluginRegistry([...parts, ...halves])
  const raw = { ...sinkRaw, transforms: 'h', 'transforms.h.type': 'x.Half' }
  const { configs } = await validateConnector({ raw, plugins, worker: worker(), providers: ConfigProviders.none })
  const errors = configs.find((info) => info.value.name === 'transforms.h.type')?.value.errors ?? []
  assert.match(errors[0] ?? '', /Class x\.Half could not be found\. .*write x\.Half\$Key or x\.Half\$Value\./)
})
