import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import {
  AlreadyExistsError,
  ConnectError,
  NotFoundError,
  NotLeaderError,
  RebalanceInProgressError,
  RequestError,
  toError,
} from '../api/errors.ts'
import type { GroupMember } from '../kafka/types.ts'
import type { OffsetEntry, TargetState, TaskId, TaskPreflight } from '../runtime/worker-types.ts'
import { parseLogLevel } from '../util/log.ts'
import { ClusterLoop, type ClusterLoopOptions } from './cluster-loop.ts'
import type { ClusterState } from './cluster-state.ts'
import type { ConfigEvent } from './config-log.ts'
import type { ConfigStore } from './config-store.ts'
import type { ConnectorInfo, ConnectorStateInfo, Herder, RequestSignature, RestartRequest } from './herder.ts'
import { HerderBase, type HerderBaseOptions } from './herder-base.ts'
import { LocalWork } from './local-work.ts'
import { describePlan, planRestart } from './restart-plan.ts'
import { type SessionKeySettings, type SignedHeaders, signRequest, verifyRequest } from './session-keys.ts'
import { SourcePreflight } from './source-preflight.ts'
import { applyLogLevel, configOf, mergeConfig, offsetsNeedStop, statusOf } from './views.ts'
import { taskKey, WorkSet } from './work-set.ts'
import { ZombieFencing } from './zombie-fencing.ts'

/** Signs exactly the bytes that are sent; null where the group's protocol does without. */
export type Sign = (body: Uint8Array) => SignedHeaders | null

/** The two requests that workers send each other on their own account (KIP-507, KIP-618). */
export interface LeaderClient {
  /** @throws RequestError with the leader's status and message */
  putTaskConfigs(leaderUrl: string, connector: string, configs: readonly RawConfig[], sign: Sign): Promise<void>
  /** @throws RequestError with the leader's status and message */
  fenceZombies(leaderUrl: string, connector: string, sign: Sign): Promise<void>
}

export interface DistributedHerderOptions
  extends HerderBaseOptions,
    Pick<
      ClusterLoopOptions,
      | 'url'
      | 'connectProtocol'
      | 'maxDelayMs'
      | 'syncTimeoutMs'
      | 'unsyncBackoffMs'
      | 'heartbeatIntervalMs'
      | 'rebalanceTimeoutMs'
      | 'lease'
      | 'groupMetrics'
    > {
  readonly member: GroupMember
  readonly clock: Clock
  readonly logger: Logger
  readonly sessionKeys: SessionKeySettings
  /** `topic.tracking.enable` */
  readonly tracksTopics: boolean
  /** `exactly.once.source.support=enabled` */
  readonly exactlyOnce: boolean
  readonly leaderClient: LeaderClient
  /** The herder hears of every change of the config topic through `onEvent`. */
  createConfigStore(onEvent: (event: ConfigEvent) => void): ConfigStore
  /** Creates the internal topics that are not there yet, and gives the id of the Kafka cluster. */
  prepareCluster(signal: AbortSignal): Promise<string>
  /** The loop cannot go on: the process should end with exit code 1. */
  onFatal(error: Error): void
}

/** Time to read the config topic before offsets are changed, in ms. */
const readConfigsTimeoutMs = 30_000

/** The commands of a worker that shares its work with others through a Kafka group and the config topic. */
export class DistributedHerder extends HerderBase implements Herder {
  readonly #options: DistributedHerderOptions
  readonly #configs: ConfigStore
  readonly #local: LocalWork
  readonly #loop: ClusterLoop
  readonly #fencing: ZombieFencing
  readonly #preflight: SourcePreflight
  readonly #starting = new AbortController()
  #running: Promise<void> | null = null
  #stopped: Promise<void> | null = null
  protected isReady = false

  constructor(options: DistributedHerderOptions) {
    super(options)
    this.#options = options
    this.#configs = options.createConfigStore((event) => this.#onConfigEvent(event))
    this.#local = new LocalWork({
      ...options,
      generation: () => this.#loop.membership?.generation ?? 0,
      state: () => this.state(),
      preflight: (id, config) => this.#preflightOf(id, config),
      publishTaskConfigs: (connector, configs) => this.#publishTaskConfigs(connector, configs),
      restartTask: (id) => this.restartTask(id),
      restartConnector: (connector) => this.restartConnector(connector),
    })
    this.#loop = new ClusterLoop({
      ...options,
      configs: this.#configs,
      local: this.#local,
      restart: (request) => this.#carryOutRestart(request),
    })
    this.#fencing = new ZombieFencing({
      configs: this.#configs,
      worker: options.worker,
      submit: (work) => this.#loop.commands.submit(work),
    })
    this.#preflight = new SourcePreflight({
      clock: options.clock,
      fence: (connector) => this.#askForFencing(connector),
      readConfigs: () => this.#configs.readToEnd(AbortSignal.timeout(readConfigsTimeoutMs)),
      taskGeneration: (connector) => this.state().taskGeneration(connector),
      runsTask: (id) => this.#local.runsTask(id),
    })
  }

  // ---- life cycle --------------------------------------------------------------------------------------------------------

  /** Opens the stores and joins the group in the background. @throws ConnectError when the worker cannot start */
  async start(): Promise<void> {
    const { signal } = this.#starting
    await this.stages.during('initializing and reading to the end of internal topics', async () => {
      this.kafkaClusterId = await this.#options.prepareCluster(signal)
      await this.worker.start(this.#local)
      await this.statuses.start(signal)
      await this.#configs.start(signal)
    })
    signal.throwIfAborted()
    this.#options.logger.info({ offset: this.state().offset }, 'Herder started')
    this.#running = this.#loop.run().catch((error: unknown) => {
      this.isReady = false
      this.#loop.commands.close(toError(error))
      this.#options.onFatal(toError(error))
    })
    this.#loop.commands
      .submit(() => undefined)
      .then(
        () => {
          this.isReady = true
        },
        (error: unknown) => this.#options.logger.debug({ error: toError(error) }, 'stopped before it was ready'),
      )
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.isReady = false
    this.#starting.abort()
    this.#loop.stop()
    this.#loop.commands.close(new RequestError(503, 'CONNECT_SHUTTING_DOWN', 'Worker is shutting down'))
    const failures: unknown[] = []
    const steps: readonly (() => Promise<unknown>)[] = [
      async () => this.#running,
      () => this.#loop.leave(),
      () => this.#options.member.close(),
      () => this.worker.close(),
      () => this.statuses.flush(AbortSignal.timeout(1_000)),
      () => this.statuses.close(),
      () => this.#configs.close(),
    ]
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the worker did not stop cleanly')
  }

  protected state(): ClusterState {
    return this.#configs.snapshot()
  }

  protected async throughLoop(): Promise<void> {
    await this.#loop.commands.submit(() => undefined)
  }

  #onConfigEvent(event: ConfigEvent): void {
    if (event.kind === 'logger') {
      const isKnown = parseLogLevel(event.level) !== null
      if (isKnown) applyLogLevel(this.loggersOfProcess, this.worker, event.namespace, event.level)
      else this.#options.logger.warn({ namespace: event.namespace }, 'ignoring an unknown log level for the cluster')
      return
    }
    this.#loop.onConfigEvent(event)
  }

  #requireLeader(message: string): void {
    if (!this.#loop.isLeader) throw new NotLeaderError(message, this.#loop.leaderUrl)
  }

  /** As Connect for calls that need settled work: 409 while a rebalance is due. */
  #requireSettled(): void {
    if (!this.#loop.rebalanceIsDue) return
    throw new RebalanceInProgressError(
      'Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)',
    )
  }

  // ---- configs -----------------------------------------------------------------------------------------------------------

  async putConnector(
    connector: string,
    config: RawConfig,
    options: { readonly replace: boolean; readonly initialState: TargetState | null },
  ): Promise<{ readonly created: boolean; readonly info: ConnectorInfo }> {
    // Validation may take long and runs beside the loop; the leader validates again what is forwarded to it.
    await this.requireValid(connector, config)
    return await this.#loop.commands.submit(async () => {
      this.#requireLeader('Only the leader can set connector configs.')
      const exists = this.state().hasConnector(connector)
      if (exists && !options.replace) throw new AlreadyExistsError(`Connector ${connector} already exists`)
      const tasksBefore = this.state().tasks(connector)
      await this.stages.during(`writing a config for connector ${connector} to the config topic`, () =>
        this.#configs.putConnectorConfig(connector, config, options.initialState),
      )
      const info: ConnectorInfo = {
        name: connector,
        config,
        tasks: tasksBefore,
        type: this.worker.connectorType(config),
      }
      return { created: !exists, info }
    })
  }

  async patchConnector(connector: string, patch: Readonly<Record<string, string | null>>): Promise<ConnectorInfo> {
    const current = await this.#loop.commands.submit(() => {
      // A follower may be behind: whoever merges must be the one who writes.
      this.#requireLeader('Only the leader can set connector configs.')
      return configOf(this.state(), connector)
    })
    const merged = mergeConfig(current, patch)
    const { info } = await this.putConnector(connector, merged, { replace: true, initialState: null })
    return info
  }

  async deleteConnector(connector: string): Promise<void> {
    await this.#loop.commands.submit(async () => {
      this.#requireLeader('Only the leader can delete connector configs.')
      configOf(this.state(), connector)
      await this.stages.during(`removing the config for connector ${connector} from the config topic`, () =>
        this.#configs.removeConnector(connector),
      )
    })
  }

  async setTargetState(connector: string, target: TargetState): Promise<void> {
    await this.#loop.commands.submit(async () => {
      if (target !== 'STOPPED') {
        this.requireKnown(connector, (name) => `Unknown connector ${name}`)
        await this.#configs.putTargetState(connector, target)
        return
      }
      this.#requireLeader('Only the leader can transition connectors to the STOPPED state.')
      this.requireKnown(connector, (name) => `Unknown connector ${name}`)
      await this.stages.during(
        `writing the STOPPED target stage for connector ${connector} to the config topic`,
        async () => {
          // The empty set of tasks first: a worker that reads only half keeps the connector, not the tasks.
          await this.#configs.putTaskConfigs(connector, [])
          await this.#configs.putTargetState(connector, 'STOPPED')
          await this.#configs.readToEnd(AbortSignal.timeout(readConfigsTimeoutMs))
        },
      )
    })
  }

  // ---- task configs ------------------------------------------------------------------------------------------------------

  async putTaskConfigs(
    connector: string,
    configs: readonly RawConfig[],
    signature: RequestSignature | null,
  ): Promise<void> {
    this.#verify(signature)
    await this.#loop.commands.submit(() => this.#writeTaskConfigs(connector, configs))
  }

  async #writeTaskConfigs(connector: string, configs: readonly RawConfig[]): Promise<void> {
    this.#requireLeader('Only the leader may write task configurations.')
    configOf(this.state(), connector)
    if (this.state().targetState(connector) === 'STOPPED' && configs.length > 0) {
      throw new RequestError(
        400,
        'CONNECT_CONNECTOR_STOPPED',
        `Cannot submit non-empty set of task configs for stopped connector ${connector}`,
      )
    }
    await this.stages.during(
      `writing ${configs.length} task configs for connector ${connector} to the config topic`,
      () => this.#configs.putTaskConfigs(connector, configs),
    )
  }

  /** From the connector that runs here to the config topic, by way of the leader. */
  async #publishTaskConfigs(connector: string, configs: readonly RawConfig[]): Promise<void> {
    if (this.#loop.isLeader) {
      await this.#loop.commands.submit(() => this.#writeTaskConfigs(connector, configs))
      return
    }
    const { leaderClient } = this.#options
    await leaderClient.putTaskConfigs(this.#knownLeaderUrl(), connector, configs, (body) => this.#sign(body))
  }

  #knownLeaderUrl(): string {
    const url = this.#loop.leaderUrl
    if (url !== null) return url
    throw new NotLeaderError(
      'Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.',
      null,
    )
  }

  #sign(body: Uint8Array): SignedHeaders | null {
    const key = this.state().sessionKey
    if ((this.#loop.membership?.protocol ?? 0) < 2) return null
    if (key !== null) return signRequest(body, key, this.#options.sessionKeys)
    throw new ConnectError('retriable', 'CONNECT_SIGNATURE_NO_KEY', 'no session key has been read yet')
  }

  #verify(signature: RequestSignature | null): void {
    if ((this.#loop.membership?.protocol ?? 2) < 2) return
    verifyRequest(signature, this.state().sessionKey, this.#options.sessionKeys)
  }

  // ---- restarts ----------------------------------------------------------------------------------------------------------

  async restartConnector(connector: string): Promise<void> {
    const start = await this.#loop.commands.submit(async () => {
      this.#requireSettled()
      this.requireKnown(connector, (name) => `Unknown connector: ${name}`)
      this.#requireOwner(connector, this.#local.runsConnector(connector))
      await this.stages.during(`stopping restarted connector ${connector}`, () =>
        this.#local.stop(new WorkSet([connector], [])),
      )
      // Wrapped, so that the loop does not wait for the plugin's start.
      return { done: this.#local.startConnector(connector) }
    })
    try {
      await start.done
    } catch (cause) {
      const text = `Failed to start connector: ${connector}`
      throw new RequestError(500, 'CONNECT_CONNECTOR_START', text, { cause })
    }
  }

  async restartTask(id: TaskId): Promise<void> {
    const start = await this.#loop.commands.submit(async () => {
      this.#requireSettled()
      this.requireKnown(id.connector, (name) => `Unknown connector: ${name}`)
      if (this.state().taskConfig(id) === null) throw new NotFoundError(`Unknown task: ${taskKey(id)}`)
      this.#requireOwner(id, this.#local.runsTask(id))
      await this.stages.during(`restarting task ${taskKey(id)}`, () => this.#local.stop(new WorkSet([], [id])))
      return { done: this.#local.startTask(id) }
    })
    await start.done
  }

  /** Restarts are carried out by the owner: the leader knows who that is, others ask the leader. */
  #requireOwner(item: string | TaskId, isHere: boolean): void {
    if (isHere) return
    const what = typeof item === 'string' ? 'connector' : 'task'
    this.#requireLeader(`Only the leader can process restart requests.`)
    const text = `Cannot restart ${what} since it is not assigned to this member`
    throw new NotLeaderError(text, this.#loop.ownerUrl(item))
  }

  async restartConnectorAndTasks(request: RestartRequest): Promise<ConnectorStateInfo> {
    const { connector } = request
    return await this.#loop.commands.submit(async () => {
      this.requireKnown(connector, (name) => `Unknown connector: ${name}`)
      this.#requireLeader('Only the leader can process restart requests.')
      if (this.statuses.connector(connector) === null) {
        throw new NotFoundError(`Status for connector ${connector} not found`)
      }
      const plan = planRestart(request, statusOf(this.state(), this.statuses, this.worker, connector))
      await this.stages.during(`writing restart request for connector ${connector} to the config topic`, () =>
        this.#configs.putRestartRequest(request),
      )
      return plan.answer
    })
  }

  /** Every worker restarts what it runs of the connector. */
  async #carryOutRestart(request: RestartRequest): Promise<void> {
    const { connector } = request
    if (!this.state().hasConnector(connector) || this.statuses.connector(connector) === null) return
    const plan = planRestart(request, statusOf(this.state(), this.statuses, this.worker, connector))
    const connectors = plan.restartConnector && this.#local.runsConnector(connector) ? [connector] : []
    const tasks = plan.tasks.filter((id) => this.#local.runsTask(id))
    const mine = new WorkSet(connectors, tasks)
    if (mine.size === 0) return
    this.#options.logger.info({ connector }, `restarting ${describePlan(plan)}`)
    await this.stages.during(`handling restart request for connector ${connector}`, async () => {
      await this.#local.stop(mine)
      for (const name of connectors) this.#local.onConnectorState(name, 'RESTARTING', null, null)
      for (const id of tasks) this.#local.onTaskState(id, 'RESTARTING', null, null)
      this.#local.start(mine)
    })
  }

  // ---- offsets -----------------------------------------------------------------------------------------------------------

  async alterOffsets(connector: string, offsets: readonly OffsetEntry[]): Promise<string> {
    return await this.#changeOffsets(connector, offsets)
  }

  async resetOffsets(connector: string): Promise<string> {
    return await this.#changeOffsets(connector, null)
  }

  async #changeOffsets(connector: string, offsets: readonly OffsetEntry[] | null): Promise<string> {
    const config = await this.#loop.commands.submit(() => this.#stoppedConnector(connector))
    if (this.#options.exactlyOnce && this.worker.connectorType(config) === 'source') {
      await this.#fencing.fence(connector)
      await this.#loop.commands.submit(() => this.#stoppedConnector(connector))
    }
    return await this.stages.beside(`modifying offsets for connector ${connector}`, () =>
      this.worker.alterOffsets(connector, config, offsets),
    )
  }

  async #stoppedConnector(connector: string): Promise<RawConfig> {
    this.#requireSettled()
    this.#requireLeader('Only the leader can process external offsets requests')
    try {
      await this.#configs.readToEnd(AbortSignal.timeout(readConfigsTimeoutMs))
    } catch (cause) {
      throw new RequestError(
        500,
        'CONNECT_CONFIG_READ',
        'Failed to read to end of config topic before modifying connector offsets',
        { cause },
      )
    }
    const config = configOf(this.state(), connector)
    if (this.state().targetState(connector) !== 'STOPPED' || this.state().taskCount(connector) > 0) {
      throw offsetsNeedStop(connector)
    }
    return config
  }

  // ---- exactly-once ------------------------------------------------------------------------------------------------------

  async fenceZombieSourceTasks(connector: string, signature: RequestSignature | null): Promise<void> {
    this.#verify(signature)
    await this.#loop.commands.submit(() => {
      this.#requireLeader('Only the leader may perform zombie fencing.')
      const config = configOf(this.state(), connector)
      if (this.worker.connectorType(config) === 'source') return
      const text = `Connector ${connector} is not a source connector`
      throw new RequestError(400, 'CONNECT_NOT_A_SOURCE', text)
    })
    await this.#fencing.fence(connector)
  }

  #preflightOf(id: TaskId, config: RawConfig): TaskPreflight | null {
    if (!this.#options.exactlyOnce || this.worker.connectorType(config) !== 'source') return null
    return this.#preflight.of(id)
  }

  async #askForFencing(connector: string): Promise<void> {
    if (this.#loop.isLeader) return await this.#fencing.fence(connector)
    await this.#options.leaderClient.fenceZombies(this.#knownLeaderUrl(), connector, (body) => this.#sign(body))
  }

  // ---- loggers -----------------------------------------------------------------------------------------------------------

  async setLoggerLevel(namespace: string, level: string, scope: 'worker' | 'cluster'): Promise<readonly string[]> {
    if (scope === 'worker') return applyLogLevel(this.loggersOfProcess, this.worker, namespace, level)
    if (parseLogLevel(level) === null) throw new NotFoundError(`invalid log level '${level}'.`)
    // As it was asked for, like Connect: readers fold the case.
    await this.#configs.putLoggerLevel(namespace, level)
    return []
  }
}
