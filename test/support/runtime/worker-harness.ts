/** A worker of this process for tests: standalone, over a real Kafka, with what it reported in order. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RawConfig } from '../../../worker/api/connector.ts'
import { FileOffsetStore } from '../../../worker/cluster/file-offset-store.ts'
import { resolveWorkerConfig } from '../../../worker/config/worker-config.ts'
import { createKafkaClientFactory } from '../../../worker/kafka/client.ts'
import type { KafkaClientFactory } from '../../../worker/kafka/types.ts'
import { PluginCatalog, type PluginModule } from '../../../worker/plugins/catalog.ts'
import { loadModule } from '../../../worker/plugins/load.ts'
import type { Linger } from '../../../worker/runtime/connector-host.ts'
import type { Pings } from '../../../worker/runtime/task-handle.ts'
import { type HostFactory, inProcessHosts, threadHosts } from '../../../worker/runtime/task-host.ts'
import { ConnectWorker } from '../../../worker/runtime/worker.ts'
import type { ReportedState, TaskId, WorkerListener } from '../../../worker/runtime/worker-types.ts'
import { systemClock } from '../../../worker/util/clock.ts'
import { Loggers } from '../../../worker/util/log.ts'

export interface Reported {
  readonly what: string
  readonly state: ReportedState
  readonly trace: string | null
}

export interface WorkerHarness extends AsyncDisposable {
  readonly worker: ConnectWorker
  readonly folder: string
  readonly states: readonly Reported[]
  readonly topics: readonly string[]
  readonly reconfigurations: readonly string[]
  /** Last state of `connector` or `connector-0`. */
  state(what: string): Reported | null
  /** Starts the connector, and all the tasks that it asks for. */
  run(connector: string, config: RawConfig): Promise<readonly TaskId[]>
}

export interface HarnessOptions {
  readonly bootstrap: string
  readonly isolation?: 'thread' | 'none'
  readonly settings?: RawConfig
  readonly pluginModules?: readonly string[]
  readonly kafka?: KafkaClientFactory
  readonly connectorPings?: Pings
  readonly taskPings?: Pings
  /** Default: long, so that a slow machine lets no connector fall asleep in a test of something else. */
  readonly connectorLinger?: Linger
}

/** Log lines of a test's worker: only what may explain a failure. */
function quietLoggers(): Loggers {
  return new Loggers({ level: process.env['TEST_LOG'] === undefined ? 'OFF' : 'INFO' })
}

export async function openWorker(options: HarnessOptions): Promise<WorkerHarness> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-runtime-'))
  const { config, providers } = await resolveWorkerConfig(
    {
      'bootstrap.servers': options.bootstrap,
      'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
      'offset.storage.file.filename': join(folder, 'offsets'),
      'offset.flush.interval.ms': '200',
      ...options.settings,
    },
    'standalone',
  )
  const loggers = quietLoggers()
  const modules = await Promise.all((options.pluginModules ?? []).map(describeModule))
  const registry = new PluginCatalog(modules)
  const kafka = options.kafka ?? createKafkaClientFactory()
  const hosts: HostFactory =
    options.isolation === 'none'
      ? inProcessHosts({ registry, loadKafka: async () => kafka, loggers, clock: systemClock, random: Math.random })
      : threadHosts
  const worker = new ConnectWorker({
    config,
    providers,
    clusterId: 'test',
    offsets: new FileOffsetStore(join(folder, 'offsets')),
    kafka,
    registry,
    pluginModules: modules,
    hosts,
    loggers,
    clock: systemClock,
    connectorLinger: options.connectorLinger ?? { afterTaskConfigsMs: 600_000, otherwiseMs: 600_000 },
    ...(options.connectorPings === undefined ? {} : { connectorPings: options.connectorPings }),
    ...(options.taskPings === undefined ? {} : { taskPings: options.taskPings }),
  })
  if (process.env['TEST_LOG'] === undefined) worker.setLogLevel('root', 'OFF')
  const recorded = recorder()
  await worker.start(recorded.listener)
  return {
    worker,
    folder,
    states: recorded.states,
    topics: recorded.topics,
    reconfigurations: recorded.reconfigurations,
    state: (what) => recorded.states.findLast((reported) => reported.what === what) ?? null,
    run: (connector, given) => runConnector(worker, connector, given),
    [Symbol.asyncDispose]: async () => {
      await worker.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** As `usablePlugins` finds it, without a thread. */
async function describeModule(url: string): Promise<PluginModule> {
  const plugins = await loadModule(url)
  return { url, plugins: plugins.map(({ type, name, aliases, version }) => ({ type, name, aliases, version })) }
}

function recorder() {
  const states: Reported[] = []
  const topics: string[] = []
  const reconfigurations: string[] = []
  const listener: WorkerListener = {
    onConnectorState: (what, state, trace) => states.push({ what, state, trace }),
    onTaskState: ({ connector, task }, state, trace) => states.push({ what: `${connector}-${task}`, state, trace }),
    onTaskReconfigurationRequested: (connector) => reconfigurations.push(connector),
    onTopicActive: (_, topic) => topics.push(topic),
    onConfigRead: () => undefined,
  }
  return { listener, states, topics, reconfigurations }
}

async function runConnector(worker: ConnectWorker, connector: string, given: RawConfig): Promise<readonly TaskId[]> {
  const config = { name: connector, ...given }
  await worker.startConnector(connector, config, 'STARTED')
  const taskConfigs = await worker.taskConfigs(connector, config)
  const ids = taskConfigs.map((_, task) => ({ connector, task }))
  await Promise.all(
    taskConfigs.map((taskConfig, task) =>
      worker.startTask({
        id: { connector, task },
        connectorConfig: config,
        taskConfig,
        target: 'STARTED',
        taskCount: taskConfigs.length,
        preflight: null,
      }),
    ),
  )
  return ids
}
