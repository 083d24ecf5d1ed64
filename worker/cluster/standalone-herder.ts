import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { AlreadyExistsError, NotFoundError, RequestError, toError } from '../api/errors.ts'
import type { OffsetEntry, TargetState, TaskId } from '../runtime/worker-types.ts'
import type { ClusterState } from './cluster-state.ts'
import { CommandQueue } from './command-queue.ts'
import type { ConnectorInfo, ConnectorStateInfo, Herder, RestartRequest } from './herder.ts'
import { HerderBase, type HerderBaseOptions } from './herder-base.ts'
import { LocalWork } from './local-work.ts'
import { MemoryConfigStore } from './memory-config-store.ts'
import { planRestart } from './restart-plan.ts'
import { applyLogLevel, configOf, infoOf, mergeConfig, offsetsNeedStop, statusOf } from './views.ts'
import { taskKey, WorkSet } from './work-set.ts'

export interface StandaloneHerderOptions extends HerderBaseOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** `topic.tracking.enable` */
  readonly tracksTopics: boolean
  /** Id of the Kafka cluster; '' when it cannot be asked. */
  clusterId(signal: AbortSignal): Promise<string>
}

/** The commands of a worker that runs alone: configs and statuses in memory, offsets in a file (4.16). */
export class StandaloneHerder extends HerderBase implements Herder {
  readonly #options: StandaloneHerderOptions
  readonly #configs = new MemoryConfigStore()
  readonly #local: LocalWork
  readonly #stopping = new AbortController()
  readonly #commands = new CommandQueue(() => this.#wake())
  readonly #ready = Promise.withResolvers<void>()
  #draining: Promise<void> | null = null
  #stopped: Promise<void> | null = null
  protected isReady = false

  constructor(options: StandaloneHerderOptions) {
    super(options)
    this.#options = options
    this.#local = new LocalWork({
      ...options,
      generation: () => 0,
      state: () => this.state(),
      preflight: () => null,
      publishTaskConfigs: (connector, configs) =>
        this.#commands.submit(() => this.#applyTaskConfigs(connector, configs)),
      restartTask: (id) => this.restartTask(id),
      restartConnector: (connector) => this.restartConnector(connector),
    })
  }

  async start(): Promise<void> {
    await this.stages.during('initializing and reading to the end of internal topics', async () => {
      this.kafkaClusterId = await this.#options.clusterId(this.#stopping.signal)
      await this.worker.start(this.#local)
      await this.statuses.start()
    })
    this.#options.logger.info({}, 'Herder started')
  }

  /** The connectors of the command line run, or there are none: from now on `/health` is 200 (statement 147). */
  markReady(): void {
    this.isReady = true
    this.#ready.resolve()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.isReady = false
    this.#stopping.abort()
    this.#commands.close(new RequestError(503, 'CONNECT_SHUTTING_DOWN', 'Worker is shutting down'))
    // Whoever asks for its health hears that, rather than to keep the server open.
    this.#ready.resolve()
    await this.#draining
    this.#local.cancelReconfigurations()
    const outcomes: PromiseSettledResult<void>[] = []
    outcomes.push(...(await Promise.allSettled([this.#local.stopAll()])))
    outcomes.push(...(await Promise.allSettled([this.worker.close()])))
    outcomes.push(...(await Promise.allSettled([this.statuses.close()])))
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
    if (failures.length > 0) throw new AggregateError(failures, 'the worker did not stop cleanly')
  }

  protected state(): ClusterState {
    return this.#configs.snapshot()
  }

  /** As in Connect, a connector that does not give its task configs makes a worker of this mode unhealthy. */
  protected async throughLoop(): Promise<void> {
    await this.#ready.promise
    await this.#commands.submit(() => undefined)
    await this.#local.taskConfigsGenerated()
  }

  #wake(): void {
    this.#draining ??= this.#drain().finally(() => {
      this.#draining = null
    })
  }

  async #drain(): Promise<void> {
    // Commands are submitted by callers that still run: let them get their promise first.
    await Promise.resolve()
    while (!this.#commands.isEmpty) await this.#commands.drain(() => true)
  }

  // ---- configs -----------------------------------------------------------------------------------------------------------

  async putConnector(
    connector: string,
    config: RawConfig,
    options: { readonly replace: boolean; readonly initialState: TargetState | null },
  ): Promise<{ readonly created: boolean; readonly info: ConnectorInfo }> {
    await this.requireValid(connector, config)
    return await this.#commands.submit(async () => {
      const exists = this.state().hasConnector(connector)
      if (exists && !options.replace) throw new AlreadyExistsError(`Connector ${connector} already exists`)
      if (exists) await this.#local.stop(new WorkSet([connector], []))
      this.#configs.putConnectorConfig(connector, config, options.initialState)
      const info = infoOf(this.state(), this.worker, connector)
      this.#local.start(new WorkSet([connector], []))
      return { created: !exists, info }
    })
  }

  async patchConnector(connector: string, patch: Readonly<Record<string, string | null>>): Promise<ConnectorInfo> {
    const merged = mergeConfig(configOf(this.state(), connector), patch)
    const { info } = await this.putConnector(connector, merged, { replace: true, initialState: null })
    return info
  }

  async deleteConnector(connector: string): Promise<void> {
    await this.#commands.submit(async () => {
      configOf(this.state(), connector)
      await this.#local.stop(new WorkSet([connector], this.#local.tasksOf(connector)))
      this.#configs.removeConnector(connector)
      const gone = { state: 'DESTROYED', trace: null, version: null, workerId: this.workerId, generation: 0 } as const
      this.statuses.putConnector(connector, gone, false)
      for (const task of this.statuses.tasks(connector).keys()) this.statuses.putTask({ connector, task }, gone, false)
      for (const topic of this.statuses.topics(connector)) this.statuses.deleteTopic(topic)
    })
  }

  async setTargetState(connector: string, target: TargetState): Promise<void> {
    await this.#commands.submit(async () => {
      this.requireKnown(connector, (name) => `Unknown connector ${name}`)
      if (this.state().targetState(connector) === target) return
      this.#configs.putTargetState(connector, target)
      if (target === 'STOPPED') await this.#applyTaskConfigs(connector, [])
      this.#local.transition(connector)
    })
  }

  /** Replaces the running tasks of a connector by a new set. */
  async #applyTaskConfigs(connector: string, configs: readonly RawConfig[]): Promise<void> {
    if (!this.state().hasConnector(connector)) return
    if (configs.length > 0 && this.state().targetState(connector) === 'STOPPED') return
    await this.#local.stop(new WorkSet([], this.#local.tasksOf(connector)))
    this.#configs.putTaskConfigs(connector, configs)
    const gone = { state: 'DESTROYED', trace: null, version: null, workerId: this.workerId, generation: 0 } as const
    for (const task of this.statuses.tasks(connector).keys()) {
      if (task >= configs.length) this.statuses.putTask({ connector, task }, gone, false)
    }
    this.#local.start(new WorkSet([], this.state().tasks(connector)))
  }

  async putTaskConfigs(): Promise<void> {
    const text = 'Kafka Connect in standalone mode does not support externally setting task configurations.'
    throw new RequestError(500, 'CONNECT_STANDALONE', text)
  }

  async fenceZombieSourceTasks(): Promise<void> {
    const text = 'Kafka Connect in standalone mode does not support exactly-once source connectors.'
    throw new RequestError(500, 'CONNECT_STANDALONE', text)
  }

  // ---- restarts ----------------------------------------------------------------------------------------------------------

  async restartConnector(connector: string): Promise<void> {
    const start = await this.#commands.submit(async () => {
      configOf(this.state(), connector)
      await this.#local.stop(new WorkSet([connector], []))
      // Wrapped, so that other commands do not wait for the plugin's start.
      return { done: this.#local.startConnector(connector) }
    })
    try {
      await start.done
    } catch (cause) {
      throw new RequestError(500, 'CONNECT_CONNECTOR_START', `Failed to start connector: ${connector}`, { cause })
    }
  }

  async restartTask(id: TaskId): Promise<void> {
    const start = await this.#commands.submit(async () => {
      configOf(this.state(), id.connector)
      if (this.state().taskConfig(id) === null) throw new NotFoundError(`Task ${taskKey(id)} not found`)
      await this.#local.stop(new WorkSet([], [id]))
      return { done: this.#local.startTask(id) }
    })
    await start.done
  }

  async restartConnectorAndTasks(request: RestartRequest): Promise<ConnectorStateInfo> {
    const { connector } = request
    return await this.#commands.submit(async () => {
      this.requireKnown(connector, (name) => `Unknown connector: ${name}`)
      if (this.statuses.connector(connector) === null) {
        throw new NotFoundError(`Status for connector ${connector} not found`)
      }
      const plan = planRestart(request, statusOf(this.state(), this.statuses, this.worker, connector))
      const work = new WorkSet(plan.restartConnector ? [connector] : [], plan.tasks)
      await this.#local.stop(work)
      for (const name of work.connectors) this.#local.onConnectorState(name, 'RESTARTING', null, null)
      for (const id of work.tasks()) this.#local.onTaskState(id, 'RESTARTING', null, null)
      this.#local.start(work)
      return plan.answer
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
    const config = await this.#commands.submit(() => {
      const known = configOf(this.state(), connector)
      const isStopped = this.state().targetState(connector) === 'STOPPED' && this.state().taskCount(connector) === 0
      if (!isStopped) throw offsetsNeedStop(connector)
      return known
    })
    return await this.stages.beside(`modifying offsets for connector ${connector}`, () =>
      this.worker.alterOffsets(connector, config, offsets),
    )
  }

  async setLoggerLevel(namespace: string, level: string, scope: 'worker' | 'cluster'): Promise<readonly string[]> {
    const changed = applyLogLevel(this.loggersOfProcess, this.worker, namespace, level)
    this.#options.logger.debug({ namespace, level, scope }, 'changed log levels')
    return changed
  }

  /** Waits until a connector from the command line runs. @throws Error with the trace of its failure */
  async whenStarted(connector: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const status = this.statuses.connector(connector)
      if (status?.state === 'FAILED') throw toError(status.trace ?? `connector ${connector} failed`)
      if (status !== null) return
      await this.#options.clock.sleep(20, signal)
    }
  }
}
