import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { ConfigError, ConnectError, RequestError, toError } from '../api/errors.ts'
import type { TaskFailure } from '../runtime/task-failure.ts'
import type {
  ReportedState,
  TargetState,
  TaskId,
  TaskPreflight,
  Worker,
  WorkerListener,
} from '../runtime/worker-types.ts'
import { traceOf } from '../util/error-codec.ts'
import type { ClusterState } from './cluster-state.ts'
import { ConfigReloads } from './config-reloads.ts'
import type { Stages } from './stages.ts'
import type { StatusStore } from './status-store.ts'
import { type RestartStatus, TaskRestarts } from './task-restarts.ts'
import { taskKey, WorkSet } from './work-set.ts'

export interface LocalWorkOptions {
  readonly worker: Worker
  readonly statuses: StatusStore
  readonly clock: Clock
  readonly logger: Logger
  readonly stages: Stages
  readonly workerId: string
  /** `topic.tracking.enable` */
  readonly tracksTopics: boolean
  /** Group generation that statuses carry; 0 in a standalone worker. */
  generation(): number
  state(): ClusterState
  /** Exactly-once: what a task of this connector has to pass before its transactions; null for none. */
  preflight(id: TaskId, config: RawConfig): TaskPreflight | null
  /** Stores new task configs, here or at the leader. Called only when they differ from the stored ones. */
  publishTaskConfigs(connector: string, configs: readonly RawConfig[]): Promise<void>
  /** Restarts a task that failed, in the order of the herder's commands; rejects when that cannot be now. */
  restartTask(id: TaskId): Promise<void>
  /** Restarts a connector whose values have expired, as `restartTask`. */
  restartConnector(connector: string): Promise<void>
}

const firstRetryMs = 250
const longestRetryMs = 60_000

function sameConfig(a: RawConfig, b: RawConfig | null | undefined): boolean {
  if (b === null || b === undefined) return false
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}

/** The first option without a value: JSON null passes validation and the config topic, against the type. */
function nullOption(config: RawConfig): string | null {
  const options: Readonly<Record<string, string | null>> = config
  return Object.keys(options).find((option) => options[option] === null) ?? null
}

/** Whether task configs must be stored again (3.5): other count or texts, or tasks made from an older connector config. */
export function taskConfigsDiffer(state: ClusterState, connector: string, configs: readonly RawConfig[]): boolean {
  const stored = state.taskConfigsOf(connector)
  if (state.isInconsistent(connector) || state.taskCount(connector) !== configs.length) return true
  if (configs.some((config, index) => !sameConfig(config, stored[index]))) return true
  return !sameConfig(state.connectorConfig(connector) ?? {}, state.appliedConfig(connector))
}

/**
 * The connectors and tasks of this process: starts and stops them as the herder decides, reports their states, and
 * keeps task configs up to date. Starting runs beside the herder's loop; stopping is awaited (within the worker's
 * graceful deadline), because work may start elsewhere only after it stopped here (I7).
 */
export class LocalWork implements WorkerListener {
  readonly #options: LocalWorkOptions
  readonly #connectors = new Set<string>()
  readonly #tasks = new Map<string, TaskId>()
  readonly #reconfigurations = new Map<string, AbortController>()
  readonly #background = new Set<Promise<void>>()
  /** Calls of `taskConfigs` that have not come back. */
  readonly #generations = new Set<{ readonly connector: string; readonly done: Promise<void> }>()
  readonly #restarts: TaskRestarts
  readonly #reloads: ConfigReloads
  /** Of connector configs, references resolved, when their task configs were last made here. */
  readonly #digests = new Map<string, string>()

  constructor(options: LocalWorkOptions) {
    this.#options = options
    const { clock, logger, statuses, worker } = options
    statuses.onTopicRemoved((connector, topic) => worker.forgetTopic(connector, topic))
    this.#reloads = new ConfigReloads(options)
    this.#restarts = new TaskRestarts({ clock, logger, random: Math.random, restart: (id) => options.restartTask(id) })
  }

  /** Everything started here and not stopped, failed or not. */
  running(): WorkSet {
    return new WorkSet(this.#connectors, this.#tasks.values())
  }

  runsConnector(connector: string): boolean {
    return this.#connectors.has(connector)
  }

  runsTask(id: TaskId): boolean {
    return this.#tasks.has(taskKey(id))
  }

  tasksOf(connector: string): readonly TaskId[] {
    return [...this.#tasks.values()].filter((id) => id.connector === connector)
  }

  /** Starts what is not running yet, without waiting. */
  start(work: WorkSet): void {
    for (const connector of work.connectors) {
      if (!this.#connectors.has(connector)) this.#detach(this.startConnector(connector), { connector })
    }
    for (const id of work.tasks()) {
      if (!this.#tasks.has(taskKey(id))) this.#detach(this.startTask(id), { task: taskKey(id) })
    }
  }

  /** Rejects when the connector does not start (its FAILED state has been reported by then). */
  async startConnector(connector: string): Promise<void> {
    const state = this.#options.state()
    const config = state.connectorConfig(connector)
    if (config === null) return
    const target = state.targetState(connector)
    this.#connectors.add(connector)
    const unset = nullOption(config)
    if (unset !== null) {
      const message = `Option ${unset} of connector ${connector} is null; give it a value, or leave it out`
      this.onConnectorState(connector, 'FAILED', `org.apache.kafka.common.config.ConfigException: ${message}`, null)
      throw new ConfigError([{ option: unset, message }])
    }
    await this.#options.stages.beside('starting the connector', () =>
      this.#options.worker.startConnector(connector, config, target),
    )
    // Tasks are made only for connectors that are to run: one that is created paused has none until it is resumed.
    if (target === 'STARTED') this.reconfigure(connector)
  }

  async startTask(id: TaskId): Promise<void> {
    const state = this.#options.state()
    const connectorConfig = state.connectorConfig(id.connector)
    const taskConfig = state.taskConfig(id)
    if (connectorConfig === null || taskConfig === null) return
    this.#tasks.set(taskKey(id), id)
    await this.#options.worker.startTask({
      id,
      connectorConfig,
      taskConfig,
      target: state.targetState(id.connector),
      taskCount: state.taskCount(id.connector),
      preflight: this.#options.preflight(id, connectorConfig),
    })
  }

  /** Stops these; what does not run here is ignored. Statuses have been handed to the store when it resolves. */
  async stop(work: WorkSet): Promise<void> {
    const mine = work.intersect(this.running())
    if (mine.size === 0) return
    const stage = `stopping ${mine.connectors.size} connectors and ${mine.taskCount} tasks`
    await this.#options.stages.during(stage, async () => {
      for (const connector of mine.connectors) {
        this.#cancelReconfiguration(connector)
        this.#reloads.cancel(connector)
      }
      for (const id of mine.tasks()) this.#restarts.forget(id)
      const outcomes = await Promise.allSettled([
        this.#options.worker.stopConnectors([...mine.connectors]),
        this.#options.worker.stopTasks([...mine.tasks()]),
      ])
      for (const connector of mine.connectors) this.#connectors.delete(connector)
      for (const id of mine.tasks()) this.#tasks.delete(taskKey(id))
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue
        this.#options.logger.error({ error: toError(outcome.reason) }, 'stopping connectors and tasks failed')
      }
    })
    this.#forgetTopics(mine)
  }

  async stopAll(): Promise<void> {
    await this.stop(this.running())
  }

  /** Another start of a connector that runs here, with the config as it is now. */
  async restartConnector(connector: string): Promise<void> {
    await this.stop(new WorkSet([connector], []))
    await this.startConnector(connector)
  }

  /** Brings connector and tasks into the stored target state, without waiting. */
  transition(connector: string): void {
    const state = this.#options.state()
    if (!state.hasConnector(connector)) return
    const target = state.targetState(connector)
    if (this.#connectors.has(connector)) this.#detach(this.#transitionConnector(connector, target), { connector })
    // Tasks of a stopped connector go by the empty set of task configs that was stored before.
    if (target === 'STOPPED') return
    for (const id of this.tasksOf(connector)) this.#options.worker.transitionTask(id, target)
  }

  async #transitionConnector(connector: string, target: TargetState): Promise<void> {
    if (target !== 'STARTED') this.#cancelReconfiguration(connector)
    await this.#options.worker.transitionConnector(connector, target)
    if (target === 'STARTED') this.reconfigure(connector)
  }

  /** Asks the connector for its task configs and stores them if they are new; tried again until it works. */
  reconfigure(connector: string): void {
    this.#cancelReconfiguration(connector)
    const controller = new AbortController()
    this.#reconfigurations.set(connector, controller)
    this.#detach(this.#reconfigureUntilDone(connector, controller.signal), { connector })
  }

  /** Waits for what was started beside the loop; for shutdown and tests. */
  async settled(): Promise<void> {
    while (this.#background.size > 0) await Promise.allSettled(this.#background)
  }

  cancelReconfigurations(): void {
    for (const connector of this.#reconfigurations.keys()) this.#cancelReconfiguration(connector)
  }

  // ---- WorkerListener --------------------------------------------------------------------------------------------------

  onConnectorState(connector: string, state: ReportedState, trace: string | null, version: string | null): void {
    this.#options.statuses.putConnector(connector, this.#status(state, trace, version), isSafe(state))
  }

  onTaskState(
    id: TaskId,
    state: ReportedState,
    trace: string | null,
    version: string | null,
    failure: TaskFailure | null = null,
  ): void {
    const status = this.#status(state, trace, version)
    const restart = failure === null ? null : this.#planRestart(id, failure)
    this.#options.statuses.putTask(id, restart === null ? status : { ...status, restart }, isSafe(state))
  }

  #planRestart(id: TaskId, failure: TaskFailure): RestartStatus | null {
    const config = this.#options.state().connectorConfig(id.connector)
    return config === null || !this.runsTask(id) ? null : this.#restarts.failed(id, failure, config)
  }

  onTaskReconfigurationRequested(connector: string): void {
    if (this.#connectors.has(connector)) this.reconfigure(connector)
  }

  onConfigRead(connector: string, ttlMs: number | null): void {
    const config = this.#options.state().connectorConfig(connector)
    if (config !== null && this.#connectors.has(connector)) this.#reloads.read(connector, config, ttlMs)
  }

  onTopicActive(id: TaskId, topic: string): void {
    const { statuses, clock, tracksTopics } = this.#options
    if (!tracksTopics || !this.runsTask(id)) return
    if (statuses.topics(id.connector).some((known) => known.topic === topic)) return
    statuses.putTopic({ topic, connector: id.connector, task: id.task, discoveredMs: clock.now() })
  }

  // ---- inner -----------------------------------------------------------------------------------------------------------

  #status(state: ReportedState, trace: string | null, version: string | null) {
    return { state, trace, version, workerId: this.#options.workerId, generation: this.#options.generation() }
  }

  async #reconfigureUntilDone(connector: string, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    const startedMs = clock.monotonicMs()
    for (let delayMs = firstRetryMs; !signal.aborted; delayMs = Math.min(delayMs * 2, longestRetryMs)) {
      const config = this.#options.state().connectorConfig(connector)
      if (config === null || !this.#connectors.has(connector)) return
      try {
        const digest = await this.#options.worker.configDigest(config)
        const configs = await this.#generateTaskConfigs(connector, config)
        if (signal.aborted) return
        const before = this.#digests.get(connector)
        // Tasks with the same texts as before run with the old values of their references until they start again.
        const isReread = before !== undefined && before !== digest
        if (isReread || taskConfigsDiffer(this.#options.state(), connector, configs)) {
          await this.#options.publishTaskConfigs(connector, configs)
        }
        this.#digests.set(connector, digest)
        return
      } catch (error) {
        if (signal.aborted) return
        if (isTooManyTasks(error)) {
          logger.error({ connector, error }, 'the connector asks for more tasks than tasks.max allows')
          // Tasks that run already go on (statements 57, 60).
          const version = this.#options.statuses.connector(connector)?.version ?? null
          this.onConnectorState(connector, 'FAILED', traceOf(error), version)
          return
        }
        const isRotatedKey = error instanceof RequestError && error.status === 403
        const fields = { connector, error: toError(error), retryMs: delayMs }
        const text = 'reconfiguring the tasks of a connector failed and is tried again'
        // Right after a rotation the leader may already check with a key that this worker has not read yet.
        if (isRotatedKey && clock.monotonicMs() - startedMs < longestRetryMs) logger.debug(fields, text)
        else logger.warn(fields, text)
        await clock.sleep(delayMs, signal)
      }
    }
  }

  async #generateTaskConfigs(connector: string, config: RawConfig): Promise<readonly RawConfig[]> {
    const { worker, stages } = this.#options
    const generating = stages.beside(`generating task configs for connector ${connector}`, () =>
      worker.taskConfigs(connector, config),
    )
    const entry = { connector, done: generating.then(ignore, ignore) }
    this.#generations.add(entry)
    try {
      return await generating
    } finally {
      this.#generations.delete(entry)
    }
  }

  /** Resolves when the connectors that run here and have been asked for their task configs have answered. */
  async taskConfigsGenerated(): Promise<void> {
    const waiting = [...this.#generations].filter(({ connector }) => this.#connectors.has(connector))
    await Promise.all(waiting.map(({ done }) => done))
  }

  #cancelReconfiguration(connector: string): void {
    this.#reconfigurations.get(connector)?.abort()
    this.#reconfigurations.delete(connector)
  }

  /** The owner of a connector that was deleted clears the list of its topics. */
  #forgetTopics(stopped: WorkSet): void {
    const state = this.#options.state()
    for (const connector of stopped.connectors) {
      if (state.hasConnector(connector)) continue
      this.#digests.delete(connector)
      for (const topic of this.#options.statuses.topics(connector)) this.#options.statuses.deleteTopic(topic)
    }
  }

  #detach(work: Promise<void>, fields: Readonly<Record<string, string>>): void {
    const watched = work
      .catch((error: unknown) => this.#options.logger.error({ ...fields, error: toError(error) }, 'it did not start'))
      .finally(() => this.#background.delete(watched))
    this.#background.add(watched)
  }
}

function ignore(): void {}

/** Written only if no later owner has reported (2.6). */
function isSafe(state: ReportedState): boolean {
  return state === 'UNASSIGNED' || state === 'FAILED'
}

function isTooManyTasks(error: unknown): boolean {
  return error instanceof ConnectError && error.code === 'CONNECT_TASKS_MAX'
}
