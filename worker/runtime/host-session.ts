/**
 * What runs inside a host, whether that is a thread or this process: answers the main thread's requests, with one
 * task, or with all connector instances.
 */
import type { Clock } from '../api/context.ts'
import { ConnectError } from '../api/errors.ts'
import { ConfigProviders } from '../config/config-provider.ts'
import { pluginConfigInfos } from '../config/connector-config.ts'
import { validateConnector } from '../config/validate-connector.ts'
import { parseWorkerConfig } from '../config/worker-config.ts'
import type { KafkaClientFactory } from '../kafka/types.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import type { PluginRegistry } from '../plugins/registry.ts'
import { traceOf } from '../util/error-codec.ts'
import { type Loggers, parseLogLevel, rootNamespace } from '../util/log.ts'
import { ConnectorInstances } from './connector-instances.ts'
import { HostChannel, hostGone, type Port } from './host-channel.ts'
import type { Handlers, HostCalls, HostEvent, HostInit, MainCalls, TaskSpec } from './host-protocol.ts'
import { SinkTaskRunner } from './sink-task-runner.ts'
import { SourceTaskRunner } from './source-task-runner.ts'
import type { MainServices, RunnerListener, TaskEnvironment } from './task-environment.ts'
import { SinkTaskMetrics, SourceTaskMetrics, type TaskMetrics } from './task-metrics.ts'
import { taskName } from './task-options.ts'

/** What the surroundings of a host provide. */
export interface HostRuntime {
  readonly registry: PluginRegistry
  /** Loaded on first use: a host of connectors needs no Kafka client. */
  readonly loadKafka: () => Promise<KafkaClientFactory>
  readonly loggers: Loggers
  readonly clock: Clock
  readonly random: () => number
}

interface Runner {
  readonly metrics: TaskMetrics
  run(): Promise<void>
  setPaused(paused: boolean): void
  stop(hard: boolean): void
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
  readonly #connectors: ConnectorInstances
  readonly #metrics = new MetricRegistry()
  #task: RunningTask | null = null

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
    this.#connectors = new ConnectorInstances({
      registry: runtime.registry,
      services: this.#services,
      clock: runtime.clock,
      metrics: this.#metrics,
      logger: (connector) => runtime.loggers.logger(`connector.${connector}`, { connector }),
      tell: (event) => this.#tell(event),
    })
    for (const [namespace, level] of init.logLevels) this.#setLevel(namespace, level)
  }

  /** Tells the main thread that requests are answered from now on. */
  announce(): void {
    this.#tell({ event: 'ready' })
  }

  /** Nobody listens any more (in-process host only): whatever runs is told to give up. */
  abandon(): void {
    this.#channel.abandon(hostGone('The main thread'))
    this.#task?.runner.stop(true)
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
    const connectors = (): ConnectorInstances => this.#connectors
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
        this.#task?.runner.setPaused(target === 'PAUSED')
        return null
      },
      'task.stop': async ({ hard }) => {
        this.#task?.runner.stop(hard)
        await this.#task?.done
        return null
      },
      'connector.start': async ({ connector, epoch, config, target }) => {
        await connectors().start(connector, epoch, config, target)
        return null
      },
      'connector.transition': async ({ connector, target }) => {
        await connectors().transition(connector, target)
        return null
      },
      'connector.stop': async ({ connector }) => {
        await connectors().stop(connector)
        return null
      },
      'connector.taskConfigs': ({ connector, maxTasks }) => connectors().taskConfigs(connector, maxTasks),
      'connector.alterSourceOffsets': ({ connector, config, offsets }) =>
        connectors().alterSourceOffsets(connector, config, offsets),
      'connector.alterSinkOffsets': ({ connector, config, offsets }) =>
        connectors().alterSinkOffsets(connector, config, offsets),
      validate: ({ config }) =>
        validateConnector({
          raw: config,
          plugins: this.#runtime.registry,
          worker: parseWorkerConfig(this.#init.worker, this.#init.mode),
          providers: ConfigProviders.fromWorkerConfig(this.#init.worker),
        }),
      'plugin.config': async ({ name }) => {
        const plugin = this.#runtime.registry.findAny(name)
        if (plugin === null) throw new ConnectError('config', 'CONNECT_PLUGIN_UNKNOWN', `There is no plugin ${name}`)
        return pluginConfigInfos(plugin)
      },
    }
  }

  /** Resolves when the start has been reported: RUNNING, PAUSED, or FAILED with its trace. */
  async #startTask(spec: TaskSpec): Promise<void> {
    const started = Promise.withResolvers<void>()
    let version: string | null = null
    const listener: RunnerListener = {
      onState: (state) => {
        this.#tell({ event: 'task.state', state, trace: null, version })
        started.resolve()
      },
      onTopic: (topic) => {
        if (this.#init.settings.topicTrackingEnabled) this.#tell({ event: 'task.topic', topic })
      },
    }
    let runner: Runner
    try {
      const plugin = this.#runtime.registry.get('connector', spec.connectorConfig['connector.class'] ?? '')
      version = plugin.version
      runner = await this.#runner(spec, listener)
    } catch (error) {
      this.#tell({ event: 'task.state', state: 'FAILED', trace: traceOf(error), version })
      this.#tell({ event: 'task.ended', metrics: [] })
      return
    }
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
      logger.error({ error }, `Task ${taskName(spec.id)} failed and is not restarted by itself; see its trace`)
      this.#tell({ event: 'task.state', state: 'FAILED', trace: traceOf(error), version })
    }
    this.#tell({ event: 'task.ended', metrics: runner.metrics.snapshots() })
  }

  async #runner(spec: TaskSpec, listener: RunnerListener): Promise<Runner> {
    const { registry, clock, random, loggers, loadKafka } = this.#runtime
    const { settings, worker, clusterId } = this.#init
    const plugin = registry.get('connector', spec.connectorConfig['connector.class'] ?? '')
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
    const metrics = {
      id: spec.id,
      clock,
      windowMs: settings.metricsWindowMs,
      samples: settings.metricsSamples,
      texts: {
        'connector-class': plugin.name,
        'connector-type': plugin.type,
        'connector-version': plugin.version,
        'task-class': plugin.taskName,
        'task-version': plugin.version,
      },
    }
    return plugin.type === 'source'
      ? new SourceTaskRunner({ env, plugin, spec, listener, metrics: new SourceTaskMetrics(metrics) })
      : new SinkTaskRunner({ env, plugin, spec, listener, metrics: new SinkTaskMetrics(metrics) })
  }
}
