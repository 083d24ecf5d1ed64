/** Metrics of one task under Connect's groups and names; one registry per task, in the task's thread. */
import type { Clock, Counter, Metrics } from '../api/context.ts'
import { type MetricGroup, MetricRegistry, type Stat, type Text } from '../metrics/registry.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import type { ErrorCounters } from './retry.ts'
import type { TaskId } from './worker-types.ts'

/** Class and version of one transform or predicate. */
export interface AliasedPlugin {
  readonly alias: string
  readonly className: string
  readonly version: string
}

/** Which plugins a task is made of (KIP-891). */
export interface PluginAttributes {
  /** Attributes of `connector-task-metrics`. */
  readonly texts: Readonly<Record<string, string>>
  readonly transforms: readonly AliasedPlugin[]
  readonly predicates: readonly AliasedPlugin[]
}

export interface TaskMetricsOptions {
  readonly id: TaskId
  readonly clock: Clock
  /** `metrics.sample.window.ms` */
  readonly windowMs: number
  /** `metrics.num.samples` */
  readonly samples: number
  readonly plugins: PluginAttributes
}

type Status = 'running' | 'paused' | 'failed' | 'unassigned' | 'destroyed'

/** Time spent in the states of a task, for the ratios. */
class StatusClock {
  readonly #clock: Clock
  readonly #bornMs: number
  #status: Status = 'unassigned'
  #sinceMs: number
  readonly #spentMs = new Map<Status, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#bornMs = clock.monotonicMs()
    this.#sinceMs = this.#bornMs
  }

  enter(status: Status): void {
    this.#settle()
    this.#status = status
  }

  /** Fraction of the task's life in this status. */
  ratio(status: Status): number {
    const now = this.#settle()
    return (this.#spentMs.get(status) ?? 0) / Math.max(1, now - this.#bornMs)
  }

  #settle(): number {
    const now = this.#clock.monotonicMs()
    this.#spentMs.set(this.#status, (this.#spentMs.get(this.#status) ?? 0) + now - this.#sinceMs)
    this.#sinceMs = now
    return now
  }
}

/** What is the same for sources and sinks: `connector-task-metrics` and `task-error-metrics`. */
export abstract class TaskMetrics implements ErrorCounters {
  /** Instruments of the plugin itself (KIP-877). */
  readonly plugin: Metrics
  protected readonly registry: MetricRegistry
  protected readonly labels: Readonly<Record<string, string>>
  readonly #clock: Clock
  readonly #statusClock: StatusClock
  readonly #status: Text
  readonly #commitTime: Stat
  readonly #commits: { record(ok: boolean): void }
  readonly #batchSize: Stat
  readonly #failures: Counter
  readonly #errors: Counter
  readonly #skipped: Counter
  readonly #retries: Counter
  readonly #logged: Counter
  readonly #deadLetterRequests: Counter
  readonly #deadLetterFailures: Counter
  #lastErrorMs = 0

  constructor(options: TaskMetricsOptions) {
    const { id, clock, windowMs, samples, plugins } = options
    this.#clock = clock
    this.#statusClock = new StatusClock(clock)
    this.labels = { connector: id.connector, task: String(id.task) }
    this.registry = new MetricRegistry({ windowMs, samples, nowMs: () => clock.monotonicMs() })
    this.plugin = this.registry.group('plugins', this.labels)
    const task = this.registry.group('connector-task-metrics', this.labels)
    this.#status = task.text('status', 'State of the task')
    this.#status.set('unassigned')
    for (const [name, value] of Object.entries(plugins.texts)) task.text(name, `The task's ${name}`).set(value)
    this.#describe('transform', plugins.transforms)
    this.#describe('predicate', plugins.predicates)
    task.gaugeOf('running-ratio', 'Fraction of time in state running', () => this.#statusClock.ratio('running'))
    task.gaugeOf('pause-ratio', 'Fraction of time in state paused', () => this.#statusClock.ratio('paused'))
    const commitNames = { avg: 'offset-commit-avg-time-ms', max: 'offset-commit-max-time-ms' }
    this.#commitTime = task.stat(commitNames, 'time of an offset commit, in ms')
    this.#commits = task.outcomes(
      { success: 'offset-commit-success-percentage', failure: 'offset-commit-failure-percentage' },
      'Fraction of offset commits',
    )
    this.#batchSize = task.stat({ avg: 'batch-size-avg', max: 'batch-size-max' }, 'records of a batch')
    const errors = this.registry.group('task-error-metrics', this.labels)
    this.#failures = errors.counter('total-record-failures', 'Attempts at a record that failed')
    this.#errors = errors.counter('total-record-errors', 'Operations on a record that failed in the end')
    this.#skipped = errors.counter('total-records-skipped', 'Records skipped because of errors')
    this.#retries = errors.counter('total-retries', 'Repeated operations')
    this.#logged = errors.counter('total-errors-logged', 'Errors written to the log')
    this.#deadLetterRequests = errors.counter('deadletterqueue-produce-requests', 'Records for the dead letter queue')
    this.#deadLetterFailures = errors.counter('deadletterqueue-produce-failures', 'Dead letters that were not written')
    errors.gaugeOf('last-error-timestamp', 'Time of the last error, in ms since 1970', () => this.#lastErrorMs)
  }

  #describe(what: 'transform' | 'predicate', plugins: readonly AliasedPlugin[]): void {
    for (const { alias, className, version } of plugins) {
      const group = this.registry.group(`connector-${what}-metrics`, { ...this.labels, [what]: alias })
      group.text(`${what}-class`, `Class of the ${what}`).set(className)
      group.text(`${what}-version`, `Version of the ${what}`).set(version)
    }
  }

  setStatus(status: Status): void {
    this.#statusClock.enter(status)
    this.#status.set(status)
  }

  commit(durationMs: number, succeeded: boolean): void {
    if (succeeded) this.#commitTime.observe(durationMs)
    this.#commits.record(succeeded)
  }

  protected batch(recordCount: number): void {
    this.#batchSize.observe(recordCount)
  }

  failure(): void {
    this.#failures.add(1)
    this.#lastErrorMs = this.#clock.now()
  }

  error(): void {
    this.#errors.add(1)
    this.#lastErrorMs = this.#clock.now()
  }

  skipped(): void {
    this.#skipped.add(1)
  }

  retry(): void {
    this.#retries.add(1)
  }

  logged(): void {
    this.#logged.add(1)
  }

  deadLetterRequest(): void {
    this.#deadLetterRequests.add(1)
  }

  deadLetterFailure(): void {
    this.#deadLetterFailures.add(1)
  }

  snapshots(): readonly MetricSnapshot[] {
    return this.registry.snapshot()
  }
}

/** Current count of records on their way, with its average and maximum. */
function activeCount(group: MetricGroup, kind: 'source' | 'sink', read: () => number): Stat {
  const name = `${kind}-record-active-count`
  group.gaugeOf(name, 'Records on their way', read)
  return group.stat({ avg: `${name}-avg`, max: `${name}-max` }, 'records on their way')
}

/** Adds `source-task-metrics`. */
export class SourceTaskMetrics extends TaskMetrics {
  readonly #polled: Counter
  readonly #written: Counter
  readonly #pollTime: Stat
  readonly #active: Stat
  readonly #transactionSize: Stat
  #activeCount = 0

  constructor(options: TaskMetricsOptions) {
    super(options)
    const group = this.registry.group('source-task-metrics', this.labels)
    this.#polled = group.meter('source-record-poll', 'Records polled, before transforms')
    this.#written = group.meter('source-record-write', 'Records written to Kafka')
    const pollNames = { avg: 'poll-batch-avg-time-ms', max: 'poll-batch-max-time-ms' }
    this.#pollTime = group.stat(pollNames, 'time of a poll that brought records, in ms')
    this.#active = activeCount(group, 'source', () => this.#activeCount)
    const sizes = { avg: 'transaction-size-avg', max: 'transaction-size-max', min: 'transaction-size-min' }
    this.#transactionSize = group.stat(sizes, 'records of a transaction')
  }

  polled(recordCount: number, durationMs: number): void {
    this.batch(recordCount)
    this.#pollTime.observe(durationMs)
    this.#polled.add(recordCount)
    this.#activeCount += recordCount
    this.#active.observe(this.#activeCount)
  }

  written(recordCount: number): void {
    this.#written.add(recordCount)
    this.#activeCount -= recordCount
  }

  /** Records that will not be written: dropped by a transform, or failed. */
  dropped(recordCount: number): void {
    this.#activeCount -= recordCount
  }

  transaction(recordCount: number): void {
    this.#transactionSize.observe(recordCount)
  }
}

/** Adds `sink-task-metrics`. */
export class SinkTaskMetrics extends TaskMetrics {
  /** Partitions assigned. */
  partitionCount = 0
  /** Number of the current offset commit. */
  sequence = 0
  /** Records read and not yet committed. */
  activeCount = 0
  readonly #read: Counter
  readonly #sent: Counter
  readonly #putTime: Stat
  readonly #active: Stat
  readonly #completed: Counter
  readonly #late: Counter

  constructor(options: TaskMetricsOptions) {
    super(options)
    const group = this.registry.group('sink-task-metrics', this.labels)
    this.#read = group.meter('sink-record-read', 'Records read from Kafka, before transforms')
    this.#sent = group.meter('sink-record-send', 'Records given to the task, after transforms')
    this.#putTime = group.stat({ avg: 'put-batch-avg-time-ms', max: 'put-batch-max-time-ms' }, 'time of a put, in ms')
    group.gaugeOf('partition-count', 'Partitions assigned to the task', () => this.partitionCount)
    group.gaugeOf('offset-commit-seq-no', 'Number of the current offset commit', () => this.sequence)
    this.#completed = group.meter('offset-commit-completion', 'Offset commits that were completed')
    this.#late = group.meter('offset-commit-skip', 'Offset commits whose answer came too late')
    this.#active = activeCount(group, 'sink', () => this.activeCount)
  }

  read(recordCount: number): void {
    this.batch(recordCount)
    this.#read.add(recordCount)
    this.#active.observe(this.activeCount)
  }

  put(recordCount: number, durationMs: number): void {
    this.#sent.add(recordCount)
    this.#putTime.observe(durationMs)
  }

  commitCompleted(): void {
    this.#completed.add(1)
  }

  commitSkipped(): void {
    this.#late.add(1)
  }
}
