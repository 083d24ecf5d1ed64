/** `connect-worker-rebalance-metrics` and `connect-coordinator-metrics`: what a worker has seen of its group. */
import type { Clock, Counter } from '../api/context.ts'
import type { MetricGroup, MetricRegistry, Stat } from '../metrics/registry.ts'
import { Samples, type WindowOptions } from '../metrics/samples.ts'
import type { ProtocolVersion } from './protocol.ts'
import type { WorkSet } from './work-set.ts'

/** What a rebalance has brought. */
interface Outcome {
  readonly generation: number
  readonly protocol: ProtocolVersion
  readonly leaderUrl: string
  readonly held: WorkSet
}

const protocols = ['EAGER', 'COMPATIBLE', 'SESSIONED'] as const

/** Under the names of Connect and, for the group, of Kafka's group members. */
export class GroupMetrics {
  readonly #clock: Clock
  readonly #joins: Timed
  readonly #syncs: Timed
  readonly #heartbeats: Timed
  readonly #rebalances: Stat
  readonly #latency: Stat
  readonly #counts: Readonly<Record<'completed' | 'rebalances' | 'failed' | 'latency', Counter>>
  readonly #hourly: Readonly<Record<'rebalances' | 'failed', Samples>>
  #outcome: Outcome | null = null
  /** Monotonic ms; null: none is under way, or there was none. */
  #startedMs: number | null = null
  #completedMs: number | null = null
  #heartbeatMs: number | null = null

  /**
   * @param clientId of this worker in its group
   * @param windows those of the registry
   */
  constructor(options: {
    readonly registry: MetricRegistry
    readonly windows: WindowOptions
    readonly clock: Clock
    readonly clientId: string
  }) {
    const { registry, windows, clock } = options
    this.#clock = clock
    const worker = registry.group('connect-worker-rebalance-metrics')
    const coordinator = registry.group('connect-coordinator-metrics', { 'client-id': options.clientId })
    this.#joins = new Timed(coordinator, 'join', 'joins of the group')
    this.#syncs = new Timed(coordinator, 'sync', 'syncs with the group')
    this.#heartbeats = new Timed(coordinator, 'heartbeat', 'heartbeats', { max: 'heartbeat-response-time-max' })
    const times = { avg: 'rebalance-avg-time-ms', max: 'rebalance-max-time-ms' }
    this.#rebalances = worker.stat(times, 'time of a rebalance, from joining to starting the work, in ms')
    const latency = { avg: 'rebalance-latency-avg', max: 'rebalance-latency-max' }
    this.#latency = coordinator.stat(latency, 'time of a rebalance in the group, in ms')
    this.#counts = {
      completed: worker.counter('completed-rebalances-total', 'Rebalances that were completed'),
      rebalances: coordinator.counter('rebalance-total', 'Rebalances that succeeded'),
      failed: coordinator.counter('failed-rebalance-total', 'Rebalances that failed'),
      latency: coordinator.counter('rebalance-latency-total', 'Time of all rebalances in the group, in ms'),
    }
    this.#hourly = { rebalances: new Samples(windows), failed: new Samples(windows) }
    this.#declareWorker(worker)
    this.#declareCoordinator(coordinator)
  }

  #declareWorker(group: MetricGroup): void {
    group.textOf('connect-protocol', 'Protocol of the group', () => protocols[this.#outcome?.protocol ?? 0])
    group.textOf('leader-name', 'URL of the leader', () => this.#outcome?.leaderUrl ?? '')
    group.gaugeOf('epoch', 'Generation of the group', () => this.#outcome?.generation ?? -1)
    group.gaugeOf('rebalancing', '1 while this worker rebalances, else 0', () => (this.#startedMs === null ? 0 : 1))
    group.gaugeOf('time-since-last-rebalance-ms', 'Time since the last rebalance was completed, in ms', () => {
      return this.#since(this.#completedMs) ?? Number.POSITIVE_INFINITY
    })
  }

  #declareCoordinator(group: MetricGroup): void {
    const held = (): WorkSet | undefined => this.#outcome?.held
    group.gaugeOf('assigned-connectors', 'Connectors assigned to this worker', () => held()?.connectors.size ?? 0)
    group.gaugeOf('assigned-tasks', 'Tasks assigned to this worker', () => held()?.taskCount ?? 0)
    for (const [name, at] of [
      ['last-heartbeat-seconds-ago', () => this.#heartbeatMs],
      ['last-rebalance-seconds-ago', () => this.#completedMs],
    ] as const) {
      group.gaugeOf(name, 'In seconds; -1 when there was none', () => Math.floor((this.#since(at()) ?? -1000) / 1000))
    }
    for (const [name, samples] of [
      ['rebalance-rate-per-hour', this.#hourly.rebalances],
      ['failed-rebalance-rate-per-hour', this.#hourly.failed],
    ] as const) {
      group.gaugeOf(name, 'Per hour', () => samples.ratePerSecond() * 3600)
    }
  }

  #since(ms: number | null): number | null {
    return ms === null ? null : this.#clock.monotonicMs() - ms
  }

  /** Runs a join of the group, and measures it. */
  async join<T>(work: () => Promise<T>): Promise<T> {
    return await this.#measured(this.#joins, work)
  }

  /** Runs a sync with the group, and measures it. */
  async sync<T>(work: () => Promise<T>): Promise<T> {
    return await this.#measured(this.#syncs, work)
  }

  async #measured<T>(timed: Timed, work: () => Promise<T>): Promise<T> {
    const startMs = this.#clock.monotonicMs()
    const result = await work()
    timed.took(this.#clock.monotonicMs() - startMs)
    return result
  }

  heartbeat(durationMs: number): void {
    this.#heartbeatMs = this.#clock.monotonicMs()
    this.#heartbeats.took(durationMs)
  }

  started(): void {
    this.#startedMs ??= this.#clock.monotonicMs()
  }

  /** The group has dealt out its work. */
  joined(outcome: Outcome): void {
    this.#outcome = outcome
    const tookMs = this.#since(this.#startedMs) ?? 0
    this.#latency.observe(tookMs)
    this.#counts.latency.add(tookMs)
    this.#counts.rebalances.add(1)
    this.#hourly.rebalances.observe(1)
  }

  failed(): void {
    this.#counts.failed.add(1)
    this.#hourly.failed.observe(1)
  }

  /** The new assignment has been acted on. */
  completed(): void {
    const tookMs = this.#since(this.#startedMs)
    if (tookMs === null) return
    this.#rebalances.observe(tookMs)
    this.#counts.completed.add(1)
    this.#startedMs = null
    this.#completedMs = this.#clock.monotonicMs()
  }
}

/** `<name>-rate`, `<name>-total`, and times of one kind of request. */
class Timed {
  readonly #count: Counter
  readonly #time: Stat

  constructor(
    group: MetricGroup,
    name: string,
    what: string,
    times: { readonly avg?: string; readonly max: string } = { avg: `${name}-time-avg`, max: `${name}-time-max` },
  ) {
    this.#count = group.meter(name, `Number of ${what}`)
    this.#time = group.stat(times, `time of ${what}, in ms`)
  }

  took(durationMs: number): void {
    this.#count.add(1)
    this.#time.observe(durationMs)
  }
}
