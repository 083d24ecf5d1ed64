import type { Clock, Logger } from '../api/context.ts'
import { kindOf, RetriableError, toError } from '../api/errors.ts'
import type { GroupEvent, GroupMember } from '../kafka/types.ts'
import type { WorkLease } from '../util/work-lease.ts'
import type { ClusterState } from './cluster-state.ts'
import { CommandQueue } from './command-queue.ts'
import { ConfigChanges } from './config-changes.ts'
import type { ConfigEvent } from './config-log.ts'
import type { ConfigStore } from './config-store.ts'
import type { GroupMetrics } from './group-metrics.ts'
import type { RestartRequest } from './herder.ts'
import type { LocalWork } from './local-work.ts'
import { type Membership, WorkerGroup } from './membership.ts'
import { PollWatchdog } from './poll-watchdog.ts'
import { generateSessionKey, needsNewKey, type SessionKeySettings } from './session-keys.ts'
import type { Stages } from './stages.ts'
import type { StatusStore } from './status-store.ts'
import { WorkSet } from './work-set.ts'

export interface ClusterLoopOptions {
  readonly member: GroupMember
  readonly configs: ConfigStore
  readonly statuses: StatusStore
  readonly local: LocalWork
  readonly clock: Clock
  readonly logger: Logger
  readonly stages: Stages
  readonly groupMetrics: GroupMetrics
  /** REST URL of this worker, with a slash at its end. */
  readonly url: string
  readonly connectProtocol: 'eager' | 'compatible' | 'sessioned'
  /** `scheduled.rebalance.max.delay.ms` */
  readonly maxDelayMs: number
  /** `worker.sync.timeout.ms` */
  readonly syncTimeoutMs: number
  /** `worker.unsync.backoff.ms` */
  readonly unsyncBackoffMs: number
  readonly heartbeatIntervalMs: number
  /** `rebalance.timeout.ms`: how long the loop may work on something before it gives up its membership. */
  readonly rebalanceTimeoutMs: number
  readonly sessionKeys: SessionKeySettings
  /** Over when this process was held up beyond its session; absent: never. */
  readonly lease?: WorkLease
  /** Carries out one restart request (KIP-745), on every worker. */
  restart(request: RestartRequest): Promise<void>
}

/**
 * Time that a leaving worker gives the others to take its work over, in ms, before it goes without waiting. They hear
 * of it with their next heartbeat, so `heartbeat.interval.ms` comes on top.
 */
const farewellTimeoutMs = 2_000
const rejoinBackoffMs = 250
/** What the leader gives the status topic before it removes stale statuses from what it knows. */
const statusReadTimeoutMs = 2_000
const syncAttempts = 5

/**
 * The herder's one loop over membership and config state: joins and rejoins the group, starts and stops work as
 * assigned, follows the config topic, does the leader's duties and runs the queued commands, one thing at a time.
 */
export class ClusterLoop {
  readonly #options: ClusterLoopOptions
  readonly #group: WorkerGroup
  readonly #changes = new ConfigChanges()
  readonly #stopping = new AbortController()
  readonly #watchdog: PollWatchdog
  readonly commands: CommandQueue
  #membership: Membership | null = null
  #needsRejoin = true
  /** The last assignment has been acted on. */
  #isSettled = false
  /** Others may own what runs here: it has to stop before this worker joins again (I7). */
  #mustDropWork = false
  #joining: AbortController | null = null
  #syncAttemptsLeft = syncAttempts
  #hasNews = false
  #sleep: AbortController | null = null
  /** Earliest next try of something that failed, on `Clock.now`. */
  #retryAtMs: number | null = null

  constructor(options: ClusterLoopOptions) {
    this.#options = options
    this.commands = new CommandQueue(() => this.wake())
    this.#watchdog = new PollWatchdog({
      clock: options.clock,
      timeoutMs: options.rebalanceTimeoutMs,
      expired: () => this.#giveUpMembership(),
    })
    this.#group = new WorkerGroup({
      ...options,
      snapshot: () => options.configs.snapshot(),
      freshSnapshot: async (signal) => {
        await this.#readConfigs(signal)
        return options.configs.snapshot()
      },
    })
    options.member.onEvent((event) => this.#onGroupEvent(event))
  }

  /** Null before the first rebalance is complete. */
  get membership(): Membership | null {
    return this.#membership
  }

  get isLeader(): boolean {
    return this.#membership?.isLeader === true
  }

  /** Null while unknown. */
  get leaderUrl(): string | null {
    const url = this.#membership?.leaderUrl
    return url === undefined || url === '' ? null : url
  }

  /** Connectors or task sets have changed and the group has not been told yet. */
  get rebalanceIsDue(): boolean {
    return this.#needsRejoin || !this.#isSettled
  }

  ownerUrl(item: Parameters<WorkerGroup['ownerUrl']>[0]): string | null {
    return this.#group.ownerUrl(item)
  }

  onConfigEvent(event: ConfigEvent): void {
    this.#changes.add(event)
    this.wake()
  }

  wake(): void {
    this.#hasNews = true
    this.#sleep?.abort()
  }

  /** Runs until `stop`. @throws what makes going on impossible (not authorised, a foreign group, …) */
  async run(): Promise<void> {
    try {
      while (!this.#stopping.signal.aborted) {
        this.#hasNews = false
        this.#watchdog.busy()
        await this.#turn()
        this.#watchdog.polling()
        await this.#idle()
      }
    } finally {
      await this.#watchdog.close()
    }
  }

  /** Ends `run` after the step it is in. */
  stop(): void {
    this.#stopping.abort()
    this.#joining?.abort()
    this.wake()
  }

  /**
   * After `run` has ended: stops all work and leaves the group; others take the work over at once (I9).
   */
  async leave(): Promise<void> {
    const { local, statuses, member, logger, stages } = this.#options
    await stages.during('shutting down', async () => {
      local.cancelReconfigurations()
      await local.stopAll()
      await statuses.flush(AbortSignal.timeout(farewellTimeoutMs)).catch((error: unknown) => {
        logger.warn({ error: toError(error) }, 'the last statuses could not be written')
      })
      const held = this.#group.held
      this.#group.dropHeld()
      if (this.#membership !== null && this.#membership.protocol > 0 && held.size > 0) await this.#sayGoodBye()
      await member.leave('the worker is shutting down', AbortSignal.timeout(farewellTimeoutMs))
    })
  }

  // ---- one turn ----------------------------------------------------------------------------------------------------------

  async #turn(): Promise<void> {
    await this.#applyChanges()
    if (!(await this.#ensureMembership())) return
    if (!(await this.#settle())) return
    await this.#leaderDuties()
    await this.commands.drain(() => !this.#stopping.signal.aborted)
    for (const request of this.#changes.takeRestarts()) await this.#options.restart(request)
  }

  /** Sleeps until there is news or something falls due. */
  async #idle(): Promise<void> {
    if (this.#hasNews || this.#stopping.signal.aborted || !this.#changes.isEmpty) return
    const { clock, stages } = this.#options
    const due = [this.#membership?.rejoinAtMs ?? null, this.#retryAtMs, this.#keyExpiryMs()].filter((at) => at !== null)
    if (this.#needsRejoin && this.#retryAtMs === null) return
    const waitMs = due.length === 0 ? 2 ** 31 - 1 : Math.max(0, Math.min(...due) - clock.now())
    const sleep = new AbortController()
    this.#sleep = sleep
    await stages.waiting('polling the group coordinator until interrupted', () => clock.sleep(waitMs, sleep.signal))
    this.#sleep = null
    this.#retryAtMs = null
    const rejoinAt = this.#membership?.rejoinAtMs
    if (rejoinAt !== null && rejoinAt !== undefined && clock.now() >= rejoinAt) this.#needsRejoin = true
  }

  /** Acts on what the config topic told (3.5), before the next rebalance. */
  async #applyChanges(): Promise<void> {
    const { local, stages, logger } = this.#options
    const changes = this.#changes.take()
    if (changes.needsRebalance || changes.tasks.size > 0) this.#needsRejoin = true
    const reconfigured = [...changes.tasks].flatMap((connector) => local.tasksOf(connector))
    if (reconfigured.length > 0) {
      // They start again after the rebalance, if they are still assigned here.
      await stages.during(`stopping ${reconfigured.length} reconfigured tasks`, () =>
        local.stop(new WorkSet([], reconfigured)),
      )
    }
    for (const connector of changes.connectors) {
      if (!local.runsConnector(connector)) continue
      logger.info({ connector }, 'restarting a connector with its new config')
      const stopped = new WorkSet([connector], [])
      await stages.during(`stopping connector ${connector}`, () => local.stop(stopped))
      local.start(stopped)
    }
    for (const connector of changes.targets) local.transition(connector)
  }

  async #ensureMembership(): Promise<boolean> {
    const { local, clock, logger, stages, groupMetrics } = this.#options
    await this.#watchdog.settled()
    if (this.#mustDropWork || this.#options.lease?.isOver === true) {
      await local.stopAll()
      // What did not stop in time must not write when the membership is back.
      this.#options.lease?.revoke()
      this.#group.dropHeld()
      this.#mustDropWork = false
      this.#needsRejoin = true
    }
    if (!this.#needsRejoin) return true
    groupMetrics.started()
    // The eager protocol gives everything up before joining.
    if (this.#group.isEager) await local.stopAll()
    const joining = new AbortController()
    this.#joining = joining
    if (this.#stopping.signal.aborted) return false
    try {
      this.#needsRejoin = false
      const signal = joining.signal
      this.#watchdog.polling()
      this.#membership = await stages.during('ensuring membership in the cluster', () =>
        this.#group.rebalance(false, signal),
      )
      this.#isSettled = false
      this.#retryAtMs = null
      groupMetrics.joined(this.#membership)
    } catch (error) {
      this.#needsRejoin = true
      groupMetrics.failed()
      if (joining.signal.aborted) return false
      const kind = kindOf(error)
      if (kind !== 'retriable' && kind !== 'fenced') throw error
      logger.info({ error: toError(error) }, 'joining the group did not succeed and is tried again')
      this.#retryAtMs = clock.now() + rejoinBackoffMs
      return false
    } finally {
      this.#watchdog.busy()
      this.#joining = null
    }
    await local.stop(this.#membership.revoked)
    await this.#flushStatuses()
    return true
  }

  /** Acts on a new assignment once this worker has read the configs that the group agreed on. */
  async #settle(): Promise<boolean> {
    const { local, configs, logger } = this.#options
    const membership = this.#membership
    if (membership === null) return false
    if (this.#isSettled) return true
    const isBehind = configs.snapshot().offset < membership.offset
    if (isBehind || (membership.error !== 'none' && membership.isLeader)) {
      if (!(await this.#catchUp())) return false
      // The membership may have been given up meanwhile (poll timeout).
      if (this.#membership !== membership) return false
    }
    if (membership.error !== 'none' || configs.snapshot().offset !== membership.offset) {
      // Behind, or already past: nothing may start from configs that others do not have yet.
      this.#needsRejoin = true
      this.wake()
      return false
    }
    local.start(membership.held.minus(local.running()))
    this.#isSettled = true
    this.#options.groupMetrics.completed()
    this.#syncAttemptsLeft = syncAttempts
    logger.info({ offset: membership.offset }, 'Finished starting connectors and tasks')
    if (membership.isLeader) await this.#forgetDeleted()
    if (membership.revoked.size > 0) {
      // What was given up here is dealt out in a second round.
      this.#needsRejoin = true
      this.wake()
      return false
    }
    return true
  }

  /** Reads the config topic to its end; leaves the group for a while when that takes too long. */
  async #catchUp(): Promise<boolean> {
    const { configs, syncTimeoutMs, logger, member, maxDelayMs, unsyncBackoffMs, clock, stages, local } = this.#options
    try {
      await this.#readConfigs(AbortSignal.timeout(syncTimeoutMs))
      return true
    } catch (error) {
      this.#needsRejoin = true
      if (this.#stopping.signal.aborted) return false
      logger.warn({ error: toError(error), offset: configs.snapshot().offset }, 'cannot catch up with the config topic')
    }
    await member.leave('taking too long to read the config topic', AbortSignal.timeout(syncTimeoutMs))
    let backoffMs = unsyncBackoffMs
    if (!this.#group.isEager) {
      backoffMs = maxDelayMs / 10 / Math.max(1, this.#syncAttemptsLeft)
      this.#syncAttemptsLeft--
      if (this.#syncAttemptsLeft <= 0) {
        this.#syncAttemptsLeft = syncAttempts
        await local.stopAll()
        this.#group.dropHeld()
      }
    }
    await stages.during(`sleeping for a backoff duration of ${backoffMs}ms`, () =>
      clock.sleep(backoffMs, this.#stopping.signal),
    )
    this.wake()
    return false
  }

  async #readConfigs(signal?: AbortSignal): Promise<void> {
    const both = signal === undefined ? this.#stopping.signal : AbortSignal.any([signal, this.#stopping.signal])
    await this.#options.stages.during('reading to the end of the config topic', () =>
      this.#options.configs.readToEnd(both),
    )
  }

  // ---- leader ------------------------------------------------------------------------------------------------------------

  async #leaderDuties(): Promise<void> {
    const { configs, clock, logger, stages, sessionKeys } = this.#options
    if (!this.isLeader) return
    try {
      await stages.during('reclaiming write privileges for the config topic', () =>
        configs.claimWritePrivileges(this.#stopping.signal),
      )
      const isSigned = (this.#membership?.protocol ?? 0) >= 2
      if (isSigned && needsNewKey(configs.snapshot().sessionKey, sessionKeys, clock.now())) {
        await stages.during('writing a new session key to the config topic', () =>
          configs.putSessionKey(generateSessionKey(sessionKeys, clock.now())),
        )
      }
    } catch (error) {
      if (this.#stopping.signal.aborted) return
      logger.warn({ error: toError(error) }, "a duty of the group's leader failed and is tried again")
      this.#retryAtMs = clock.now() + rejoinBackoffMs
    }
  }

  #keyExpiryMs(): number | null {
    const { sessionKeys, configs } = this.#options
    const key = configs.snapshot().sessionKey
    if (!this.isLeader || key === null || sessionKeys.ttlMs === 0) return null
    return key.createdMs + sessionKeys.ttlMs
  }

  /**
   * Removes the statuses of connectors and tasks that are no longer configured. The log is read to its end first: a
   * status that is not known yet would be left over for ever, as the UNASSIGNED of a task that has just been stopped.
   */
  async #forgetDeleted(): Promise<void> {
    const { configs, statuses, logger } = this.#options
    try {
      const limit = AbortSignal.timeout(statusReadTimeoutMs)
      await statuses.flush(limit)
      await statuses.readToEnd(limit)
    } catch (error) {
      logger.warn({ error: toError(error) }, 'cannot read the status topic to its end; stale statuses may be left over')
    }
    const state: ClusterState = configs.snapshot()
    const gone = { state: 'DESTROYED', trace: null, version: null, workerId: '', generation: 0 } as const
    for (const connector of statuses.connectors()) {
      if (!state.hasConnector(connector) && statuses.connector(connector) !== null) {
        statuses.putConnector(connector, gone, false)
      }
      const configured = new Set(state.tasks(connector).map((id) => id.task))
      for (const task of statuses.tasks(connector).keys()) {
        if (!configured.has(task)) statuses.putTask({ connector, task }, gone, false)
      }
    }
  }

  // ---- group -------------------------------------------------------------------------------------------------------------

  #onGroupEvent(event: GroupEvent): void {
    const { logger, heartbeatIntervalMs } = this.#options
    switch (event.kind) {
      case 'rebalance':
        this.#needsRejoin = true
        break
      case 'lost':
        logger.warn({ error: event.error }, 'this worker is no longer a member of its group and joins again')
        this.#needsRejoin = true
        // Not refused but out of reach for a whole session: the others own the work by now (I7).
        if (kindOf(event.error) === 'retriable') this.#mustDropWork = true
        break
      case 'coordinator-unavailable':
        if (event.sinceMs < heartbeatIntervalMs || this.#mustDropWork) return
        if (this.#options.local.running().size === 0 && this.#group.held.size === 0) return
        logger.warn({ sinceMs: event.sinceMs }, 'the group coordinator cannot be reached: all work here is stopped')
        // The session may end any moment and the work start elsewhere (I7).
        this.#mustDropWork = true
        this.#joining?.abort(new RetriableError('CONNECT_KAFKA_COORDINATOR', 'the group coordinator cannot be reached'))
        break
      case 'coordinator-found':
        break
    }
    this.wake()
  }

  /**
   * The loop has not come back to the group within `rebalance.timeout.ms`: the others need not wait for this worker,
   * nor may it keep its work (I7). Runs beside whatever holds the loop up; once free, the loop drops what it may have
   * started meanwhile and joins again.
   */
  async #giveUpMembership(): Promise<void> {
    const { local, member, logger, stages, rebalanceTimeoutMs } = this.#options
    const stage = stages.lastAction()
    logger.warn(
      { stage, rebalanceTimeoutMs },
      `worker poll timeout has expired. The last known action being performed by the worker is : ${stage} and may ` +
        `contribute to the timeout. Raise rebalance.timeout.ms if it needs that long`,
    )
    this.#mustDropWork = true
    this.#needsRejoin = true
    try {
      await local.stopAll()
      this.#membership = null
      await member.leave('worker poll timeout has expired.', AbortSignal.timeout(farewellTimeoutMs))
    } catch (error) {
      logger.warn({ error: toError(error) }, 'leaving the group after the poll timeout failed')
    }
    this.wake()
  }

  async #flushStatuses(): Promise<void> {
    if ((this.#membership?.revoked.size ?? 0) === 0) return
    await this.#options.stages.during('flushing updates to the status topic', () => this.#options.statuses.flush())
  }

  /** Tells the group that this worker goes, so that its work does not wait for `scheduled.rebalance.max.delay.ms`. */
  async #sayGoodBye(): Promise<void> {
    try {
      const timeoutMs = this.#options.heartbeatIntervalMs + farewellTimeoutMs
      await this.#group.rebalance(true, AbortSignal.timeout(timeoutMs))
    } catch (error) {
      this.#options.logger.info({ error: toError(error) }, 'the group did not answer the farewell; leaving without it')
    }
  }
}
