/**
 * Runs connectors and tasks of this process in hosts: one for all connector instances and validation, one per task.
 * No plugin code runs on this thread.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { NotFoundError, toError } from '../api/errors.ts'
import type { OffsetStore } from '../cluster/offset-store.ts'
import type { ConfigInfos, ConfigKeyInfo } from '../config/config-infos.ts'
import { type ConfigProviders, reverseTransform } from '../config/config-provider.ts'
import type { WorkerConfig } from '../config/worker-config.ts'
import type { KafkaClientFactory } from '../kafka/types.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import type { PluginModule } from '../plugins/catalog.ts'
import type { PluginIndex } from '../plugins/registry.ts'
import { traceOf } from '../util/error-codec.ts'
import { type Loggers, parseLogLevel, rootNamespace } from '../util/log.ts'
import type { WorkLease } from '../util/work-lease.ts'
import { adminProperties, type ClientScope, transactionalId } from './client-properties.ts'
import { ConnectorHost, type Linger } from './connector-host.ts'
import { ConnectorOffsetReader } from './connector-offsets.ts'
import type { Handlers, HostInit, MainCalls, RuntimeSettings } from './host-protocol.ts'
import { OffsetCommands } from './offset-commands.ts'
import { type Pings, TaskHandle } from './task-handle.ts'
import type { HostFactory } from './task-host.ts'
import { checkTaskCount, parseCommonOptions } from './task-options.ts'
import { runtimeSettings, WorkerMetrics } from './worker-metrics.ts'
import type {
  ConnectorOffsets,
  OffsetEntry,
  PluginInfo,
  TargetState,
  TaskId,
  TaskStart,
  Worker,
  WorkerListener,
} from './worker-types.ts'

export interface WorkerOptions {
  readonly config: WorkerConfig
  /** Resolves references in connector and task configs. */
  readonly providers: ConfigProviders
  readonly clusterId: string
  /** The worker's own offset store; started and closed by the worker. */
  readonly offsets: OffsetStore
  readonly kafka: KafkaClientFactory
  /** Of this thread; the same plugins as the hosts load. */
  readonly registry: PluginIndex
  /** Modules of plugins that are not built in (`usablePlugins` of `plugin.path`). */
  readonly pluginModules: readonly PluginModule[]
  /** How long tasks may write; absent in a worker without a group. */
  readonly lease?: WorkLease
  /** `threadHosts`, or `inProcessHosts` with `task.isolation=none`. */
  readonly hosts: HostFactory
  readonly loggers: Loggers
  readonly clock: Clock
  /** How soon a blocked host of connectors is noticed; default 5 s between pings, 10 s for an answer. */
  readonly connectorPings?: Pings
  /** How long the thread of connectors that watch nothing stays after the last call; default 0.25 s or 5 s. */
  readonly connectorLinger?: Linger
  /** How soon a task that blocks its thread is noticed. */
  readonly taskPings?: Pings
}

/**
 * By default as long as Kafka waits for a consumer that does not poll (`max.poll.interval.ms`): a sink whose thread is
 * blocked for that long has lost its partitions anyway.
 */
const defaultTaskPings: Pings = { intervalMs: 30_000, timeoutMs: 300_000 }

/**
 * A new connector is validated, started and asked for its tasks within one stay of the thread, with a rebalance between
 * at most. While the thread is there it costs 20 MB, which the tasks that start then can use. A start of the thread takes
 * about 0.1 s, so that many connectors in a row share one.
 */
const defaultConnectorLinger: Linger = { afterTaskConfigsMs: 250, otherwiseMs: 5000 }

const metricsTimeoutMs = 2000

type MainHandlers = Handlers<MainCalls>

export class ConnectWorker implements Worker {
  readonly #options: WorkerOptions
  readonly #settings: RuntimeSettings
  readonly #logger: Logger
  readonly #registry: MetricRegistry
  readonly #metrics: WorkerMetrics
  readonly #tasks = new Map<string, TaskHandle>()
  readonly #connectorHost: ConnectorHost
  readonly #offsetCommands: OffsetCommands
  /** Readers of connector instances. */
  readonly #connectorOffsets = new Map<string, ConnectorOffsetReader>()
  /** Keeps digests from being compared with those of guessed secrets. */
  readonly #digestKey = randomBytes(16)
  /** Levels changed at run time, for hosts that start later. */
  readonly #logLevels = new Map<string, string>()
  /** Disowned tasks that are still being ended. */
  readonly #endings = new Set<Promise<void>>()
  #listener: WorkerListener | null = null
  #closed: Promise<void> | null = null

  constructor(options: WorkerOptions) {
    this.#options = options
    this.#settings = runtimeSettings(options.config)
    this.#logger = options.loggers.logger('runtime.worker')
    this.#registry = new MetricRegistry({
      windowMs: this.#settings.metricsWindowMs,
      samples: this.#settings.metricsSamples,
      nowMs: () => options.clock.monotonicMs(),
    })
    this.#metrics = new WorkerMetrics(this.#registry, {
      connectors: () => this.#connectorHost.connectors().length,
      tasks: () => this.#tasks.size,
    })
    this.#connectorHost = new ConnectorHost({
      hosts: options.hosts,
      // Connectors write on request of an operator only, and their host outlives a session.
      init: () => ({ ...this.#hostInit(), lease: null }),
      handlers: this.#mainCalls(null, (params) => this.#readConnectorOffsets(params)),
      clock: options.clock,
      logger: this.#logger,
      gracefulTimeoutMs: this.#settings.gracefulTimeoutMs,
      pings: options.connectorPings ?? { intervalMs: 5000, timeoutMs: 10_000 },
      linger: options.connectorLinger ?? defaultConnectorLinger,
      listener: {
        onState: (connector, state, trace, version) => {
          this.#metrics.connectorState(connector, state)
          this.#listener?.onConnectorState(connector, state, trace, version)
        },
        onReconfigure: (connector) => this.#listener?.onTaskReconfigurationRequested(connector),
      },
    })
    this.#offsetCommands = new OffsetCommands({
      open: (connector, scope) => this.#openOffsets(connector, scope),
      kafka: options.kafka,
      askSource: (connector, config, offsets) =>
        this.#connectorHost.call('connector.alterSourceOffsets', { connector, config, offsets }),
      askSink: (connector, config, offsets) =>
        this.#connectorHost.call('connector.alterSinkOffsets', { connector, config, offsets }),
    })
  }

  async start(listener: WorkerListener): Promise<void> {
    this.#listener = listener
    await this.#options.offsets.start()
    await this.#connectorHost.start()
  }

  #hostInit(): HostInit {
    const { config, clusterId, pluginModules } = this.#options
    return {
      mode: config.mode,
      worker: config.raw,
      settings: this.#settings,
      clusterId,
      pluginModules,
      logLevels: [...this.#logLevels],
      lease: this.#options.lease?.shared ?? null,
    }
  }

  /** Answers to requests of a host. */
  #mainCalls(start: TaskStart | null, readOffsets: MainHandlers['offsets.read']): MainHandlers {
    const { offsets } = this.#options
    return {
      'offsets.read': readOffsets,
      'offsets.write': async ({ records }) => {
        await offsets.write(records)
        return null
      },
      'preflight.fence': async () => {
        await start?.preflight?.fence()
        return null
      },
      'preflight.verify': async () => {
        await start?.preflight?.verify()
        return null
      },
    }
  }

  #openOffsets(connector: string, scope: ClientScope): ConnectorOffsetReader {
    const { offsets: worker, kafka, clock } = this.#options
    return new ConnectorOffsetReader(connector, scope, {
      worker,
      kafka,
      settings: this.#settings,
      clock,
      logger: this.#logger,
    })
  }

  /** For a connector instance: opened by its first read, closed when the connector stops. */
  async #readConnectorOffsets({ connector, partitions }: MainCalls['offsets.read']['params']) {
    let reader = this.#connectorOffsets.get(connector)
    if (reader === undefined) {
      const config = this.#connectorHost.configOf(connector)
      if (config === null) throw new NotFoundError(`Connector ${connector} is not running on this worker`)
      reader = this.#openOffsets(connector, this.#scopeOf(config))
      this.#connectorOffsets.set(connector, reader)
    }
    return await reader.read(partitions)
  }

  async #closeConnectorOffsets(connector: string): Promise<void> {
    const reader = this.#connectorOffsets.get(connector)
    this.#connectorOffsets.delete(connector)
    await reader?.close()
  }

  connectors(): readonly string[] {
    return this.#connectorHost.connectors()
  }

  tasks(): readonly TaskId[] {
    return Array.from(this.#tasks.values(), ({ id }) => id)
  }

  // ---- connectors ---------------------------------------------------------------------------------------------------

  async startConnector(connector: string, config: RawConfig, target: TargetState): Promise<void> {
    this.#logger.info({ connector, target }, `Creating connector ${connector}`)
    try {
      const { config: resolved, ttlMs } = await this.#options.providers.resolve(config)
      this.#listener?.onConfigRead(connector, ttlMs)
      // The options may name another offset topic than those of the instance before.
      await this.#closeConnectorOffsets(connector)
      const plugin = this.#options.registry.findConnector(resolved)
      if (plugin !== null) this.#metrics.describeConnector(connector, plugin)
      await this.#connectorHost.startConnector(connector, resolved, target)
      this.#metrics.startup('connector', true)
    } catch (error) {
      this.#metrics.startup('connector', false)
      // The host reports what goes wrong in it; a config that cannot be resolved never gets there.
      if (!this.#connectorHost.connectors().includes(connector)) {
        this.#listener?.onConnectorState(connector, 'FAILED', traceOf(error), null)
      }
      throw error
    }
  }

  async transitionConnector(connector: string, target: TargetState): Promise<void> {
    await this.#connectorHost.transitionConnector(connector, target)
  }

  async stopConnectors(connectors: readonly string[]): Promise<void> {
    await this.#connectorHost.stopConnectors(connectors)
    await Promise.all(connectors.map((connector) => this.#closeConnectorOffsets(connector)))
    for (const connector of connectors) this.#metrics.forgetConnector(connector)
  }

  async taskConfigs(connector: string, config: RawConfig): Promise<readonly RawConfig[]> {
    const { config: resolved } = await this.#options.providers.resolve(config)
    const options = parseCommonOptions(resolved)
    const generated = await this.#connectorHost.taskConfigs(connector, options['tasks.max'])
    checkTaskCount(connector, generated.configs.length, options)
    if (generated.configs.length > options['tasks.max']) {
      this.#logger.warn(
        { connector, tasks: generated.configs.length, max: options['tasks.max'] },
        'The connector has generated more tasks than tasks.max; they run because tasks.max.enforce is false',
      )
    }
    const topics: Record<string, string> = {}
    for (const option of ['topics', 'topics.regex']) {
      const value = config[option]
      if (generated.type === 'sink' && value !== undefined) topics[option] = value
    }
    return generated.configs.map((task) => ({
      ...reverseTransform(config, task),
      'task.class': generated.taskClass,
      ...topics,
    }))
  }

  async configDigest(config: RawConfig): Promise<string> {
    const { config: resolved } = await this.#options.providers.resolve(config)
    const entries = Object.entries(resolved).sort(([a], [b]) => (a < b ? -1 : 1))
    return createHash('sha256').update(this.#digestKey).update(JSON.stringify(entries)).digest('base64')
  }

  // ---- tasks --------------------------------------------------------------------------------------------------------

  async startTask(start: TaskStart): Promise<void> {
    const key = keyOf(start.id)
    const previous = this.#tasks.get(key)
    if (previous !== undefined) await this.stopTasks([start.id])
    const type = this.connectorType(start.connectorConfig)
    // Known before the task starts, so before it reads.
    let offsets: ConnectorOffsetReader | null = null
    const handle = new TaskHandle({
      id: start.id,
      hosts: this.#options.hosts,
      init: this.#hostInit(),
      type: type === 'sink' ? 'sink' : 'source',
      handlers: this.#mainCalls(start, async ({ partitions }) => {
        if (offsets === null) throw new Error('a task read offsets before it was started')
        return await offsets.read(partitions)
      }),
      onEnded: async () => await offsets?.close(),
      clock: this.#options.clock,
      logger: this.#logger,
      pings: this.#options.taskPings ?? defaultTaskPings,
      listener: {
        onState: (state, trace, version, failure) => {
          this.#metrics.taskState(start.id, state)
          this.#listener?.onTaskState(start.id, state, trace, version, failure)
        },
        onTopic: (topic) => this.#listener?.onTopicActive(start.id, topic),
      },
    })
    this.#tasks.set(key, handle)
    this.#logger.info({ ...start.id, target: start.target }, `Creating task ${key}`)
    const { providers } = this.#options
    try {
      const [connectorConfig, taskConfig] = await Promise.all([
        providers.resolve(start.connectorConfig),
        providers.resolve(start.taskConfig),
      ])
      if (type === 'source') {
        offsets = this.#openOffsets(start.id.connector, this.#scopeOf(connectorConfig.config))
      }
      await handle.start({
        id: start.id,
        connectorConfig: connectorConfig.config,
        taskConfig: taskConfig.config,
        target: start.target,
        taskCount: start.taskCount,
        preflight: start.preflight !== null,
      })
    } catch (error) {
      handle.failed(toError(error))
    }
    this.#metrics.startup('task', !handle.hasFailed)
  }

  transitionTask(id: TaskId, target: TargetState): void {
    this.#tasks.get(keyOf(id))?.transition(target)
  }

  forgetTopic(connector: string, topic: string): void {
    for (const task of this.#tasks.values()) if (task.id.connector === connector) task.forgetTopic(topic)
  }

  async stopTasks(ids: readonly TaskId[]): Promise<void> {
    const deadlineAt = this.#options.clock.monotonicMs() + this.#settings.gracefulTimeoutMs
    await Promise.all(
      ids.map(async (id) => {
        const key = keyOf(id)
        const handle = this.#tasks.get(key)
        if (handle === undefined) return
        await handle.stop(deadlineAt - this.#options.clock.monotonicMs())
        if (this.#tasks.get(key) === handle) this.#tasks.delete(key)
        this.#metrics.forgetTask(id)
        this.#endLater(handle)
      }),
    )
  }

  /** The thread of a stopped or disowned task is ended beside everything else. */
  #endLater(handle: TaskHandle): void {
    const ending = handle.end().catch((error: unknown) => {
      this.#logger.warn({ ...handle.id, error }, 'the host of a task could not be ended')
    })
    this.#endings.add(ending)
    void ending.finally(() => this.#endings.delete(ending))
  }

  // ---- plugins and validation ---------------------------------------------------------------------------------------

  async validate(config: RawConfig): Promise<ConfigInfos> {
    return await this.#connectorHost.call('validate', { config })
  }

  plugins(connectorsOnly: boolean): readonly PluginInfo[] {
    return this.#options.registry.infos(connectorsOnly)
  }

  async pluginConfig(name: string, version: string | null): Promise<readonly ConfigKeyInfo[]> {
    // Here, so that its error keeps its class.
    this.#options.registry.getAny(name, version)
    return await this.#connectorHost.call('plugin.config', { name, version })
  }

  connectorType(config: RawConfig): 'source' | 'sink' | 'unknown' {
    return this.#options.registry.findConnector(config)?.type ?? 'unknown'
  }

  // ---- offsets ------------------------------------------------------------------------------------------------------

  async connectorOffsets(connector: string, config: RawConfig): Promise<ConnectorOffsets> {
    const scope = await this.#scope(config)
    return this.connectorType(scope.connector) === 'sink'
      ? await this.#offsetCommands.sinkOffsets(connector, scope)
      : await this.#offsetCommands.sourceOffsets(connector, scope)
  }

  async alterOffsets(connector: string, config: RawConfig, offsets: readonly OffsetEntry[] | null): Promise<string> {
    const scope = await this.#scope(config)
    return this.connectorType(scope.connector) === 'sink'
      ? await this.#offsetCommands.alterSink(connector, scope, offsets)
      : await this.#offsetCommands.alterSource(connector, scope, offsets)
  }

  async fenceZombies(connector: string, config: RawConfig, taskCount: number): Promise<void> {
    const scope = await this.#scope(config)
    const group = scope.worker['group.id'] ?? ''
    const ids = Array.from({ length: taskCount }, (_, task) => transactionalId(group, { connector, task }))
    await using admin = this.#options.kafka.admin(adminProperties(scope, `connector-worker-adminclient-${connector}`))
    await admin.fenceProducers(ids)
  }

  async #scope(config: RawConfig): Promise<ClientScope> {
    const { config: resolved } = await this.#options.providers.resolve(config)
    return this.#scopeOf(resolved)
  }

  #scopeOf(connector: RawConfig): ClientScope {
    return { worker: this.#options.config.raw, connector, clusterId: this.#options.clusterId }
  }

  // ---- operation ----------------------------------------------------------------------------------------------------

  async metrics(): Promise<readonly MetricSnapshot[]> {
    const hosts = await Promise.all([
      this.#connectorHost.metrics(metricsTimeoutMs),
      ...Array.from(this.#tasks.values(), (handle) => handle.metrics(metricsTimeoutMs)),
    ])
    return [...this.#registry.snapshot(), ...hosts.flat()]
  }

  setLogLevel(namespace: string, level: string | null): void {
    const { loggers } = this.#options
    const known = level === null ? (loggers.levels().get(rootNamespace)?.level ?? 'INFO') : parseLogLevel(level)
    if (known === null) return
    loggers.setLevel(namespace, known)
    this.#logLevels.set(namespace, known)
    this.#connectorHost.setLogLevel(namespace, known)
    for (const handle of this.#tasks.values()) handle.setLogLevel(namespace, known)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Every step runs, whatever the others do (AggregateError). */
  async #close(): Promise<void> {
    const stopped = await Promise.allSettled([this.stopConnectors(this.connectors()), this.stopTasks(this.tasks())])
    const closed = await Promise.allSettled([
      this.#connectorHost.close(),
      ...this.#endings,
      this.#options.offsets.close(),
    ])
    const failures = [...stopped, ...closed].flatMap((r) => (r.status === 'rejected' ? [r.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'closing the worker')
  }
}

function keyOf({ connector, task }: TaskId): string {
  return `${connector}-${task}`
}
