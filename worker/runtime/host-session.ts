/**
 * What runs inside a host, whether that is a thread or this process: answers the main thread's requests, with one
 * task, or with all connector instances. What only some hosts need is imported on use: a source task's thread never
 * loads the sink runner, and validation stays in the host of the connectors.
 */
import type { RawConfig } from '../api/connector.ts'
import type { Clock } from '../api/context.ts'
import type { ConfigInfos } from '../config/config-infos.ts'
import type { ConfigProviders } from '../config/config-provider.ts'
import type { KafkaClientFactory } from '../kafka/types.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import type { PluginIndex, PluginRegistry } from '../plugins/registry.ts'
import { traceOf } from '../util/error-codec.ts'
import { type Loggers, parseLogLevel, rootNamespace } from '../util/log.ts'
import type { ActiveTopics } from './active-topics.ts'
import type { ConnectorInstances } from './connector-instances.ts'
import { HostChannel, hostGone, type Port } from './host-channel.ts'
import type { Handlers, HostCalls, HostEvent, HostInit, MainCalls, TaskSpec } from './host-protocol.ts'
import type { RunState } from './run-state.ts'
import type { MainServices, RunnerListener, TaskEnvironment } from './task-environment.ts'
import { failureOf } from './task-failure.ts'
import { SinkTaskMetrics, SourceTaskMetrics, type TaskMetrics } from './task-metrics.ts'
import { taskName } from './task-options.ts'

/** What the surroundings of a host provide. */
export interface HostRuntime {
  readonly registry: PluginIndex
  /** Loaded on first use: a host of connectors needs no Kafka client. */
  readonly loadKafka: () => Promise<KafkaClientFactory>
  readonly loggers: Loggers
  readonly clock: Clock
  readonly random: () => number
}

interface Runner {
  readonly metrics: TaskMetrics
  readonly state: RunState
  readonly topics: ActiveTopics
  run(): Promise<void>
}

interface RunningTask {
  readonly runner: Runner
  /** Resolves when the task is over; never rejects. */
  readonly done: Promise<void>
}

export class HostSession {
  readonly #init: HostInit
  readonly #runtime: HostRuntime
  readonly #channel: HostChannel<MainCalls, HostCalls, never>
  readonly #services: MainServices
  #connectors: Promise<ConnectorInstances> | null = null
  readonly #metrics = new MetricRegistry()
  /** Made by the first validation. */
  #providers: Promise<ConfigProviders> | null = null
  /** All of them, loaded by the first validation. */
  #plugins: Promise<PluginRegistry> | null = null
  #task: RunningTask | null = null
  /** A stop that comes while the runner is still being loaded must not be lost. */
  #stopRequested = false

  constructor(port: Port, init: HostInit, runtime: HostRuntime) {
    this.#init = init
    this.#runtime = runtime
    this.#channel = new HostChannel(port, this.#handlers(), () => undefined)
    this.#services = {
      readOffsets: (connector, partitions) => this.#channel.call('offsets.read', { connector, partitions }),
      writeOffsets: async (records) => {
        await this.#channel.call('offsets.write', { records })
      },
      fence: async () => {
        await this.#channel.call('preflight.fence', null)
      },
      verify: async () => {
        await this.#channel.call('preflight.verify', null)
      },
    }
    for (const [namespace, level] of init.logLevels) this.#setLevel(namespace, level)
  }

  /** Tells the main thread that requests are answered from now on. */
  announce(): void {
    this.#tell({ event: 'ready' })
  }

  /** Nobody listens any more (in-process host only): whatever runs is told to give up. */
  abandon(): void {
    this.#channel.abandon(hostGone('The main thread'))
    this.#stopRequested = true
    this.#task?.runner.state.stop(true)
  }

  #tell(event: HostEvent): void {
    this.#channel.tell(event)
  }

  #setLevel(namespace: string, level: string | null): void {
    const { loggers } = this.#runtime
    const known = level === null ? (loggers.levels().get(rootNamespace)?.level ?? 'INFO') : parseLogLevel(level)
    if (known !== null) loggers.setLevel(namespace, known)
  }

  #handlers(): Handlers<HostCalls> {
    const connectors = (): Promise<ConnectorInstances> => (this.#connectors ??= this.#openConnectors())
    return {
      ping: async () => null,
      'log.level': async ({ namespace, level }) => {
        this.#setLevel(namespace, level)
        return null
      },
      metrics: async () => [...this.#metrics.snapshot(), ...(this.#task?.runner.metrics.snapshots() ?? [])],
      'task.start': async (spec) => {
        await this.#startTask(spec)
        return null
      },
      'task.transition': async ({ target }) => {
        this.#task?.runner.state.setPaused(target === 'PAUSED')
        return null
      },
      'task.topicForgotten': async ({ topic }) => {
        this.#task?.runner.topics.forget(topic)
        return null
      },
      'task.stop': async ({ hard }) => {
        this.#stopRequested = true
        this.#task?.runner.state.stop(hard)
        await this.#task?.done
        return null
      },
      close: async () => {
        await (await this.#connectors)?.close()
        await (await this.#providers)?.close()
        return null
      },
      'connectors.idle': async () => (this.#connectors === null ? [] : (await this.#connectors).idle()),
      'connector.start': async ({ connector, epoch, config, target }) => {
        await (await connectors()).start(connector, epoch, config, target)
        return null
      },
      'connector.transition': async ({ connector, target }) => {
        await (await connectors()).transition(connector, target)
        return null
      },
      'connector.stop': async ({ connector }) => {
        await (await connectors()).stop(connector)
        return null
      },
      'connector.taskConfigs': async ({ connector, maxTasks }) =>
        await (await connectors()).taskConfigs(connector, maxTasks),
      'connector.alterSourceOffsets': async ({ connector, config, offsets }) =>
        await (await connectors()).alterSourceOffsets(connector, config, offsets),
      'connector.alterSinkOffsets': async ({ connector, config, offsets }) =>
        await (await connectors()).alterSinkOffsets(connector, config, offsets),
      validate: ({ config }) => this.#validate(config),
      'plugin.config': async ({ name, version }) => {
        const { registry } = this.#runtime
        const { pluginConfigInfos } = await import('../config/connector-config.ts')
        return pluginConfigInfos(await registry.loadAny(name, version), registry.findAny(name)?.version)
      },
    }
  }

  async #openConnectors(): Promise<ConnectorInstances> {
    const { registry, clock, loggers } = this.#runtime
    const instances = await import('./connector-instances.ts')
    return new instances.ConnectorInstances({
      registry,
      services: this.#services,
      clock,
      metrics: this.#metrics,
      logger: (connector) => loggers.logger(`connector.${connector}`, { connector }),
      tell: (event) => this.#tell(event),
    })
  }

  async #loadPlugins(): Promise<PluginRegistry> {
    this.#tell({ event: 'loading' })
    try {
      return await this.#runtime.registry.complete()
    } finally {
      this.announce()
    }
  }

  async #validate(config: RawConfig): Promise<ConfigInfos> {
    const [{ validateConnector }, { parseWorkerConfig }, { ConfigProviders }] = await Promise.all([
      import('../config/validate-connector.ts'),
      import('../config/worker-config.ts'),
      import('../config/config-provider.ts'),
    ])
    return await validateConnector({
      raw: config,
      plugins: await (this.#plugins ??= this.#loadPlugins()),
      worker: parseWorkerConfig(this.#init.worker, this.#init.mode),
      providers: await (this.#providers ??= ConfigProviders.fromWorkerConfig(this.#init.worker)),
    })
  }

  /** Resolves when the start has been reported: RUNNING, PAUSED, or FAILED with its trace. */
  async #startTask(spec: TaskSpec): Promise<void> {
    const started = Promise.withResolvers<void>()
    let version: string | null = null
    const listener: RunnerListener = {
      onState: (state) => {
        this.#tell({ event: 'task.state', state, trace: null, version, failure: null })
        started.resolve()
      },
      onTopic: (topic) => {
        if (this.#init.settings.topicTrackingEnabled) this.#tell({ event: 'task.topic', topic })
      },
    }
    let runner: Runner
    try {
      version = this.#runtime.registry.getConnector(spec.connectorConfig).version
      runner = await this.#runner(spec, listener)
    } catch (error) {
      this.#tell(failedState(error, version))
      this.#tell({ event: 'task.ended', metrics: [] })
      return
    }
    if (this.#stopRequested) runner.state.stop(true)
    const done = this.#run(spec, runner, version)
    this.#task = { runner, done }
    void done.then(() => started.resolve())
    await started.promise
  }

  async #run(spec: TaskSpec, runner: Runner, version: string | null): Promise<void> {
    const logger = this.#runtime.loggers.logger('task', { ...spec.id })
    try {
      await runner.run()
      runner.metrics.setStatus('unassigned')
    } catch (error) {
      runner.metrics.setStatus('failed')
      logger.error({ error }, `Task ${taskName(spec.id)} failed; see its trace`)
      this.#tell(failedState(error, version))
    }
    this.#tell({ event: 'task.ended', metrics: runner.metrics.snapshots() })
  }

  async #runner(spec: TaskSpec, listener: RunnerListener): Promise<Runner> {
    const { registry, clock, random, loggers, loadKafka } = this.#runtime
    const { settings, worker, clusterId } = this.#init
    const plugin = await registry.loadConnector(spec.connectorConfig)
    const env: TaskEnvironment = {
      id: spec.id,
      registry,
      kafka: await loadKafka(),
      clock,
      logger: loggers.logger(`connector.${spec.id.connector}`, { ...spec.id }),
      settings,
      scope: { worker, connector: spec.connectorConfig, clusterId },
      services: this.#services,
      random,
    }
    const { pluginAttributes } = await import('./plugin-attributes.ts')
    const metrics = {
      id: spec.id,
      clock,
      windowMs: settings.metricsWindowMs,
      samples: settings.metricsSamples,
      plugins: pluginAttributes(plugin, { connector: spec.connectorConfig, worker }, registry),
    }
    if (plugin.type === 'source') {
      const { SourceTaskRunner } = await import('./source-task-runner.ts')
      return new SourceTaskRunner({ env, plugin, spec, listener, metrics: new SourceTaskMetrics(metrics) })
    }
    const { SinkTaskRunner } = await import('./sink-task-runner.ts')
    return new SinkTaskRunner({ env, plugin, spec, listener, metrics: new SinkTaskMetrics(metrics) })
  }
}

function failedState(error: unknown, version: string | null): HostEvent {
  return { event: 'task.state', state: 'FAILED', trace: traceOf(error), version, failure: failureOf(error) }
}
