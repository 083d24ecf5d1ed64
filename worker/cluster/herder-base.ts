import type { RawConfig } from '../api/connector.ts'
import { NotFoundError, RequestError } from '../api/errors.ts'
import type { ConfigInfos, ConfigKeyInfo } from '../config/config-infos.ts'
import { misspeltOptions } from '../config/misspelt-options.ts'
import type { MetricRegistry } from '../metrics/registry.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import type { ConnectorOffsets, PluginInfo, TaskId, Worker } from '../runtime/worker-types.ts'
import type { Loggers } from '../util/log.ts'
import type { ClusterState } from './cluster-state.ts'
import type {
  ConnectorInfo,
  ConnectorStateInfo,
  HealthStatus,
  LoggerLevel,
  ServerInfo,
  StateInfo,
  TaskInfo,
} from './herder.ts'
import type { Stages } from './stages.ts'
import type { StatusStore } from './status-store.ts'
import {
  activeTopicsOf,
  configOf,
  infoOf,
  loggerLevels,
  requireValid,
  statusOf,
  taskStatusOf,
  tasksOf,
} from './views.ts'

/** Level of Connect's REST API that this worker speaks, for clients that look at `GET /`. */
export const connectVersion = '4.3.0'

export interface HerderBaseOptions {
  readonly worker: Worker
  readonly statuses: StatusStore
  readonly loggers: Loggers
  readonly stages: Stages
  /** `host:port` by which the cluster knows this worker. */
  readonly workerId: string
  /** Names the build, in the place of Connect's commit id. */
  readonly commit: string
  /** What the herder itself counts. */
  readonly metrics: MetricRegistry
}

/**
 * Questions that every worker answers from what it knows, whatever its mode: they do not wait for the herder's loop,
 * so that they are answered during a rebalance too.
 */
export abstract class HerderBase {
  protected readonly worker: Worker
  protected readonly statuses: StatusStore
  protected readonly loggersOfProcess: Loggers
  protected readonly stages: Stages
  readonly workerId: string
  readonly #commit: string
  readonly #metrics: MetricRegistry
  protected kafkaClusterId = ''

  constructor(options: HerderBaseOptions) {
    this.worker = options.worker
    this.statuses = options.statuses
    this.loggersOfProcess = options.loggers
    this.stages = options.stages
    this.workerId = options.workerId
    this.#commit = options.commit
    this.#metrics = options.metrics
    const info = options.metrics.group('app-info', { 'client-id': options.workerId })
    info.text('version', "Connect's version").set(connectVersion)
    info.text('commit-id', 'The build').set(options.commit)
    info.gauge('start-time-ms', 'Start of the worker, in ms since 1970').set(Date.now())
  }

  protected abstract state(): ClusterState
  protected abstract readonly isReady: boolean
  /** Runs a no-op where all commands run. */
  protected abstract throughLoop(): Promise<void>

  serverInfo(): ServerInfo {
    return { version: connectVersion, commit: this.#commit, kafka_cluster_id: this.kafkaClusterId }
  }

  health(): { readonly status: HealthStatus; readonly message: string } {
    if (this.isReady) {
      return { status: 'healthy', message: 'Worker has completed startup and is ready to handle requests.' }
    }
    return { status: 'starting', message: `Worker is still starting up. ${this.stages.summary()}` }
  }

  async ping(timeoutMs: number): Promise<void> {
    const timeout = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const text = this.stages.summary()
      timeout.reject(new RequestError(500, 'CONNECT_REQUEST_TIMEOUT', text))
    }, timeoutMs)
    try {
      await Promise.race([this.throughLoop(), timeout.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  stage(): string {
    return this.stages.summary()
  }

  async connectors(): Promise<readonly string[]> {
    return this.state().connectors()
  }

  async connectorInfo(connector: string): Promise<ConnectorInfo> {
    return infoOf(this.state(), this.worker, connector)
  }

  async connectorConfig(connector: string): Promise<RawConfig> {
    return configOf(this.state(), connector)
  }

  async connectorStatus(connector: string): Promise<ConnectorStateInfo> {
    return statusOf(this.state(), this.statuses, this.worker, connector)
  }

  async taskStatus(id: TaskId): Promise<StateInfo & { readonly id: number }> {
    return taskStatusOf(this.statuses, id)
  }

  async tasks(connector: string): Promise<readonly TaskInfo[]> {
    return tasksOf(this.state(), connector)
  }

  async activeTopics(connector: string): Promise<readonly string[]> {
    return activeTopicsOf(this.statuses, connector)
  }

  async resetActiveTopics(connector: string): Promise<void> {
    for (const topic of this.statuses.topics(connector)) this.statuses.deleteTopic(topic)
    await this.statuses.flush()
  }

  async offsets(connector: string): Promise<ConnectorOffsets> {
    return await this.worker.connectorOffsets(connector, configOf(this.state(), connector))
  }

  plugins(connectorsOnly: boolean): readonly PluginInfo[] {
    return this.worker.plugins(connectorsOnly)
  }

  async pluginConfig(plugin: string, version: string | null): Promise<readonly ConfigKeyInfo[]> {
    return await this.worker.pluginConfig(plugin, version)
  }

  async validate(config: RawConfig): Promise<ConfigInfos> {
    return await this.stages.beside('performing multi-property validation for the connector', () =>
      this.worker.validate(config),
    )
  }

  /** @throws RequestError 400 with Connect's list of all problems; what is merely misspelt is a warning in the log */
  protected async requireValid(connector: string, config: RawConfig): Promise<void> {
    const infos = await this.validate(config)
    requireValid(infos)
    const known = infos.configs.map(({ value }) => value.name)
    for (const { option, meant } of misspeltOptions(Object.keys(config), known)) {
      const message = `No part of the connector knows the option ${option}, so it has no effect; ${meant} is an option`
      this.loggersOfProcess.logger('cluster.herder').warn({ connector, option, meant }, message)
    }
  }

  loggers(): ReadonlyMap<string, LoggerLevel> {
    return loggerLevels(this.loggersOfProcess)
  }

  async metrics(): Promise<readonly MetricSnapshot[]> {
    return [...this.#metrics.snapshot(), ...(await this.worker.metrics())]
  }

  /** @throws NotFoundError with the text that commands on states use */
  protected requireKnown(connector: string, text: (name: string) => string): RawConfig {
    const config = this.state().connectorConfig(connector)
    if (config === null) throw new NotFoundError(text(connector))
    return config
  }
}
