/** Runners of tasks over the Kafka fake, with plugins given as plain objects. */

import { builtinTransforms } from '../../../transforms/index.ts'
import { defineConfig } from '../../../worker/api/config.ts'
import type { RawConfig } from '../../../worker/api/connector.ts'
import {
  defineSinkConnector,
  defineSourceConnector,
  defineTransformation,
  type Plugin,
} from '../../../worker/api/plugin.ts'
import type { ConnectRecord } from '../../../worker/api/record.ts'
import type { SinkTask, SourceTask } from '../../../worker/api/task.ts'
import { encodeOffsetKey } from '../../../worker/cluster/offset-format.ts'
import { builtinConverters } from '../../../worker/converters/manifests.ts'
import type { MetricSnapshot } from '../../../worker/metrics/snapshot.ts'
import { PluginRegistry } from '../../../worker/plugins/registry.ts'
import type { RuntimeSettings, TaskSpec } from '../../../worker/runtime/host-protocol.ts'
import { SinkTaskRunner } from '../../../worker/runtime/sink-task-runner.ts'
import { SourceTaskRunner } from '../../../worker/runtime/source-task-runner.ts'
import type { MainServices, TaskEnvironment } from '../../../worker/runtime/task-environment.ts'
import { SinkTaskMetrics, SourceTaskMetrics } from '../../../worker/runtime/task-metrics.ts'
import { systemClock } from '../../../worker/util/clock.ts'
import { RecordingLogger } from '../contexts.ts'
import { FakeKafka } from '../kafka/fake-kafka.ts'

const noOptions = defineConfig({})
export const offsetTopic = 'offsets'

/** `type: Hook`: does what the test says. */
function hookTransform(apply: (record: ConnectRecord) => ConnectRecord | null): Plugin {
  return defineTransformation({
    name: 'test.Hook',
    aliases: [],
    version: '1',
    config: noOptions,
    create: async () => ({
      configure: () => undefined,
      apply: <R extends ConnectRecord>(record: R): R | null => apply(record) as R | null,
    }),
  })
}

export interface RunnerOptions {
  readonly kafka?: FakeKafka
  /** Number of the task, 0 by default; no two that live have the same. */
  readonly task?: number
  readonly config?: RawConfig
  readonly worker?: RawConfig
  readonly settings?: Partial<RuntimeSettings>
  readonly target?: TaskSpec['target']
  readonly transform?: (record: ConnectRecord) => ConnectRecord | null
  readonly services?: Partial<MainServices>
}

export interface RunnerHarness extends AsyncDisposable {
  readonly kafka: FakeKafka
  readonly logger: RecordingLogger
  readonly states: readonly string[]
  readonly topics: readonly string[]
  /** Settles when the task is over. */
  readonly done: Promise<void>
  pause(): void
  resume(): void
  /** Soft stop, awaited. */
  stop(): Promise<void>
  cancel(): Promise<void>
  metric(name: string): number
  /** Text of the values in a topic, over all partitions in order. */
  values(topic: string): readonly (string | null)[]
  /** Offsets in the offset topic, newest per key. */
  committedSource(): ReadonlyMap<string, string | null>
}

export const defaultSettings: RuntimeSettings = {
  offsetFlushIntervalMs: 20,
  offsetFlushTimeoutMs: 1000,
  gracefulTimeoutMs: 1000,
  topicCreationEnabled: true,
  topicTrackingEnabled: true,
  exactlyOnceSource: false,
  metricsWindowMs: 30_000,
  metricsSamples: 2,
  offsetTopic,
}

function open(type: 'source' | 'sink', options: RunnerOptions, createTask: () => unknown): RunnerHarness {
  const kafka = options.kafka ?? new FakeKafka()
  const id = { connector: 'c', task: options.task ?? 0 }
  kafka.topics.create(offsetTopic, 1, {})
  const logger = new RecordingLogger()
  const manifest = { name: 'test.Connector', aliases: [], taskName: 'test.Task', version: '1', config: noOptions }
  const createConnector = async () => {
    throw new Error('not used')
  }
  const source = defineSourceConnector({
    ...manifest,
    createConnector,
    createTask: async () => createTask() as SourceTask<object>,
  })
  const sink = defineSinkConnector({
    ...manifest,
    createConnector,
    createTask: async () => createTask() as SinkTask<object>,
  })
  const registry = new PluginRegistry([
    type === 'source' ? source : sink,
    hookTransform(options.transform ?? ((record) => record)),
    ...builtinConverters,
    ...builtinTransforms,
  ])
  const string = 'org.apache.kafka.connect.storage.StringConverter'
  const worker = {
    'bootstrap.servers': 'fake:9092',
    'group.id': 'g',
    'key.converter': string,
    'value.converter': string,
    ...options.worker,
  }
  const hook = options.transform === undefined ? {} : { transforms: 'hook', 'transforms.hook.type': 'Hook' }
  const connectorConfig = { name: 'c', 'connector.class': 'test.Connector', ...hook, ...options.config }
  const env: TaskEnvironment = {
    id,
    registry,
    kafka: kafka.clients,
    clock: systemClock,
    logger,
    settings: { ...defaultSettings, ...options.settings },
    scope: { worker, connector: connectorConfig, clusterId: 'fake' },
    services: {
      readOffsets: async (_, partitions) => partitions.map(() => ({ offset: null, rawKey: null })),
      writeOffsets: async () => undefined,
      fence: async () => undefined,
      verify: async () => undefined,
      ...options.services,
    },
    random: () => 0.01,
  }
  const spec: TaskSpec = {
    id,
    connectorConfig,
    taskConfig: connectorConfig,
    target: options.target ?? 'STARTED',
    taskCount: 1,
    preflight: true,
  }
  const states: string[] = []
  const topics: string[] = []
  const listener = { onState: (state: string) => states.push(state), onTopic: (topic: string) => topics.push(topic) }
  const noPlugins = { texts: {}, transforms: [], predicates: [] }
  const metrics = { id, clock: systemClock, windowMs: 30_000, samples: 2, plugins: noPlugins }
  const runner =
    type === 'source'
      ? new SourceTaskRunner({ env, plugin: source, spec, listener, metrics: new SourceTaskMetrics(metrics) })
      : new SinkTaskRunner({ env, plugin: sink, spec, listener, metrics: new SinkTaskMetrics(metrics) })
  const done = runner.run()
  // A test that does not look at a failure would otherwise end the process.
  done.catch(() => undefined)
  const end = async (hard: boolean): Promise<void> => {
    runner.state.stop(hard)
    await done
  }
  return {
    kafka,
    logger,
    states,
    topics,
    done,
    pause: () => runner.state.setPaused(true),
    resume: () => runner.state.setPaused(false),
    stop: () => end(false),
    cancel: () => end(true),
    metric: (name) => valueOf(runner.metrics.snapshots(), name),
    values: (topic) => valuesOf(kafka, topic),
    committedSource: () => committed(kafka),
    [Symbol.asyncDispose]: async () => {
      runner.state.stop(true)
      await done.catch(() => undefined)
    },
  }
}

function valueOf(snapshots: readonly MetricSnapshot[], name: string): number {
  const found = snapshots.find((snapshot) => snapshot.name === name)?.value
  if (found === undefined || found.kind === 'text' || found.kind === 'histogram') throw new Error(`no metric ${name}`)
  return found.value
}

function valuesOf(kafka: FakeKafka, topic: string): readonly (string | null)[] {
  const partitions = kafka.topics.get(topic)?.partitions ?? []
  return partitions.flatMap((partition) =>
    partition
      .read(0n, 1_000_000, true)
      .records.map(({ value }) => (value === null ? null : Buffer.from(value).toString())),
  )
}

function committed(kafka: FakeKafka): ReadonlyMap<string, string | null> {
  const offsets = new Map<string, string | null>()
  for (const { key, value } of kafka.topics.get(offsetTopic)?.partitions[0]?.read(0n, 1_000_000, true).records ?? []) {
    if (key !== null) offsets.set(Buffer.from(key).toString(), value === null ? null : Buffer.from(value).toString())
  }
  return offsets
}

/** Key of a source partition in the offset topic. */
export function offsetKey(partition: Readonly<Record<string, string>>): string {
  return Buffer.from(encodeOffsetKey('c', partition)).toString()
}

export function runSource(task: SourceTask<object>, options: RunnerOptions = {}): RunnerHarness {
  return open('source', options, () => task)
}

export function runSink(task: SinkTask<object>, options: RunnerOptions = {}): RunnerHarness {
  return open('sink', { ...options, config: { topics: 't', ...options.config } }, () => task)
}
