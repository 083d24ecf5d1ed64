/**
 * Metrics of one task under Connect's groups and names (section "Monitoring" of its documentation). Counting is a field increment; rates,
 * averages and maxima over `metrics.sample.window.ms` are computed when somebody asks.
 */
import type { Clock } from '../api/context.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'
import { PluginMetrics } from './plugin-metrics.ts'
import type { ErrorCounters } from './retry.ts'
import type { TaskId } from './worker-types.ts'

interface Window {
  startMs: number
  sum: number
  count: number
  max: number
}

/** Sum, count and maximum over the last windows, as Kafka's `SampledStat` keeps them. */
export class WindowedStat {
  readonly #windows: Window[] = []
  readonly #clock: Clock
  readonly #windowMs: number
  readonly #maxWindows: number

  constructor(clock: Clock, windowMs: number, maxWindows: number) {
    this.#clock = clock
    this.#windowMs = windowMs
    this.#maxWindows = maxWindows
  }

  record(value: number): void {
    const now = this.#clock.monotonicMs()
    let window = this.#windows[this.#windows.length - 1]
    if (window === undefined || now - window.startMs >= this.#windowMs) {
      window = { startMs: now, sum: 0, count: 0, max: -Infinity }
      this.#windows.push(window)
      if (this.#windows.length > this.#maxWindows) this.#windows.shift()
    }
    window.sum += value
    window.count++
    if (value > window.max) window.max = value
  }

  /** Rate per second, average and maximum; zeros when nothing was recorded lately. */
  read(): { readonly rate: number; readonly average: number; readonly max: number } {
    const now = this.#clock.monotonicMs()
    const oldest = now - this.#windowMs * this.#maxWindows
    let sum = 0
    let count = 0
    let max = -Infinity
    let since = now
    for (const window of this.#windows) {
      if (window.startMs < oldest) continue
      sum += window.sum
      count += window.count
      max = Math.max(max, window.max)
      since = Math.min(since, window.startMs)
    }
    if (count === 0) return { rate: 0, average: 0, max: 0 }
    // Kafka counts at least all windows but one as elapsed, so that a rate is not inflated right after the start.
    const elapsedMs = Math.max(now - since, this.#windowMs * (this.#maxWindows - 1), 1)
    return { rate: (sum * 1000) / elapsedMs, average: sum / count, max }
  }
}

type Status = 'running' | 'paused' | 'failed' | 'unassigned' | 'destroyed'

/** What is the same for sources and sinks: `connector-task-metrics` and `task-error-metrics`. */
export abstract class TaskMetrics implements ErrorCounters {
  /** Instruments of the plugin itself (KIP-877). */
  readonly plugin: PluginMetrics
  readonly #labels: Readonly<Record<string, string>>
  readonly #clock: Clock
  readonly #windowMs: number
  readonly #windows: number
  readonly #startedAt: number
  #status: Status = 'unassigned'
  #statusSince: number
  #runningMs = 0
  #pausedMs = 0
  readonly #texts: Readonly<Record<string, string>>
  readonly #commitTime: WindowedStat
  readonly #commitSuccess: WindowedStat
  readonly #batchSize: WindowedStat
  #failures = 0
  #errors = 0
  #skipped = 0
  #retries = 0
  #logged = 0
  #deadLetterRequests = 0
  #deadLetterFailures = 0
  #lastErrorAt = 0

  constructor(options: TaskMetricsOptions) {
    this.#labels = { connector: options.id.connector, task: String(options.id.task) }
    this.plugin = new PluginMetrics(this.#labels)
    this.#clock = options.clock
    this.#windowMs = options.windowMs
    this.#windows = options.windows
    this.#texts = options.texts
    this.#startedAt = this.#clock.monotonicMs()
    this.#statusSince = this.#startedAt
    this.#commitTime = this.stat()
    this.#commitSuccess = this.stat()
    this.#batchSize = this.stat()
  }

  protected stat(): WindowedStat {
    return new WindowedStat(this.#clock, this.#windowMs, this.#windows)
  }

  setStatus(status: Status): void {
    this.#settleStatus()
    this.#status = status
  }

  #settleStatus(): void {
    const now = this.#clock.monotonicMs()
    const elapsed = now - this.#statusSince
    if (this.#status === 'running') this.#runningMs += elapsed
    if (this.#status === 'paused') this.#pausedMs += elapsed
    this.#statusSince = now
  }

  batch(recordCount: number): void {
    this.#batchSize.record(recordCount)
  }

  commit(durationMs: number, succeeded: boolean): void {
    if (succeeded) this.#commitTime.record(durationMs)
    this.#commitSuccess.record(succeeded ? 1 : 0)
  }

  failure(): void {
    this.#failures++
    this.#lastErrorAt = this.#clock.now()
  }

  error(): void {
    this.#errors++
    this.#lastErrorAt = this.#clock.now()
  }

  skipped(): void {
    this.#skipped++
  }

  retry(): void {
    this.#retries++
  }

  logged(): void {
    this.#logged++
  }

  deadLetterRequest(): void {
    this.#deadLetterRequests++
  }

  deadLetterFailure(): void {
    this.#deadLetterFailures++
  }

  protected abstract ownSnapshots(): readonly MetricSnapshot[]

  snapshots(): readonly MetricSnapshot[] {
    this.#settleStatus()
    const lifeMs = Math.max(1, this.#clock.monotonicMs() - this.#startedAt)
    const common = 'connector-task-metrics'
    const commits = this.#commitSuccess.read().average
    const everCommitted = this.#commitSuccess.read().max > 0 || commits > 0
    const times = this.#commitTime.read()
    const sizes = this.#batchSize.read()
    return [
      this.text(common, 'status', 'The status of the task', this.#status),
      ...Object.entries(this.#texts).map(([name, value]) => this.text(common, name, `${name} of the task`, value)),
      this.gauge(common, 'running-ratio', 'The fraction of time this task has spent running', this.#runningMs / lifeMs),
      this.gauge(common, 'pause-ratio', 'The fraction of time this task has spent paused', this.#pausedMs / lifeMs),
      this.gauge(common, 'offset-commit-max-time-ms', 'The longest offset commit, in ms', times.max),
      this.gauge(common, 'offset-commit-avg-time-ms', 'The average offset commit, in ms', times.average),
      this.gauge(common, 'batch-size-max', 'The largest batch of records', sizes.max),
      this.gauge(common, 'batch-size-avg', 'The average batch of records', sizes.average),
      this.gauge(common, 'offset-commit-success-percentage', 'Fraction of offset commits that succeeded', commits),
      this.gauge(
        common,
        'offset-commit-failure-percentage',
        'Fraction of offset commits that failed',
        everCommitted ? 1 - commits : 0,
      ),
      ...this.#errorSnapshots(),
      ...this.ownSnapshots(),
      ...this.plugin.snapshots(),
    ]
  }

  #errorSnapshots(): readonly MetricSnapshot[] {
    const group = 'task-error-metrics'
    return [
      this.counter(group, 'total-record-failures', 'Record processing attempts that failed', this.#failures),
      this.counter(group, 'total-record-errors', 'Record processing operations that failed', this.#errors),
      this.counter(group, 'total-records-skipped', 'Records skipped because of errors', this.#skipped),
      this.counter(group, 'total-retries', 'Operations retried', this.#retries),
      this.counter(group, 'total-errors-logged', 'Errors that were logged', this.#logged),
      this.counter(group, 'deadletterqueue-produce-requests', 'Writes to the DLQ', this.#deadLetterRequests),
      this.counter(group, 'deadletterqueue-produce-failures', 'Failed writes to the DLQ', this.#deadLetterFailures),
      this.gauge(group, 'last-error-timestamp', 'Time of the last error, in ms since 1970', this.#lastErrorAt),
    ]
  }

  protected counter(group: string, name: string, help: string, value: number): MetricSnapshot {
    return { group, name, help, labels: this.#labels, value: { kind: 'counter', value } }
  }

  protected gauge(group: string, name: string, help: string, value: number): MetricSnapshot {
    return { group, name, help, labels: this.#labels, value: { kind: 'gauge', value } }
  }

  protected text(group: string, name: string, help: string, value: string): MetricSnapshot {
    return { group, name, help, labels: this.#labels, value: { kind: 'text', value } }
  }
}

export interface TaskMetricsOptions {
  readonly id: TaskId
  readonly clock: Clock
  /** `metrics.sample.window.ms` */
  readonly windowMs: number
  /** `metrics.num.samples` */
  readonly windows: number
  /** Text attributes of the task: classes and versions of its plugins. */
  readonly texts: Readonly<Record<string, string>>
}

export class SourceTaskMetrics extends TaskMetrics {
  readonly #pollTime = this.stat()
  readonly #polled = this.stat()
  readonly #written = this.stat()
  readonly #active = this.stat()
  readonly #transaction = this.stat()
  #pollTotal = 0
  #writeTotal = 0
  #activeCount = 0

  polled(recordCount: number, durationMs: number): void {
    this.batch(recordCount)
    this.#pollTime.record(durationMs)
    this.#polled.record(recordCount)
    this.#pollTotal += recordCount
    this.#activeCount += recordCount
    this.#active.record(this.#activeCount)
  }

  written(recordCount: number): void {
    this.#written.record(recordCount)
    this.#writeTotal += recordCount
    this.#activeCount -= recordCount
  }

  /** Records that will not be written: dropped by a transform, or failed. */
  dropped(recordCount: number): void {
    this.#activeCount -= recordCount
  }

  transaction(recordCount: number): void {
    this.#transaction.record(recordCount)
  }

  protected override ownSnapshots(): readonly MetricSnapshot[] {
    const group = 'source-task-metrics'
    const polls = this.#pollTime.read()
    const active = this.#active.read()
    const sizes = this.#transaction.read()
    return [
      this.counter(group, 'source-record-poll-total', 'Records polled, before transforms', this.#pollTotal),
      this.gauge(group, 'source-record-poll-rate', 'Records polled per second', this.#polled.read().rate),
      this.counter(group, 'source-record-write-total', 'Records written to Kafka', this.#writeTotal),
      this.gauge(group, 'source-record-write-rate', 'Records written per second', this.#written.read().rate),
      this.gauge(group, 'poll-batch-max-time-ms', 'The longest poll, in ms', polls.max),
      this.gauge(group, 'poll-batch-avg-time-ms', 'The average poll, in ms', polls.average),
      this.gauge(group, 'source-record-active-count', 'Records polled and not yet written', this.#activeCount),
      this.gauge(group, 'source-record-active-count-max', 'Most records polled and not yet written', active.max),
      this.gauge(group, 'source-record-active-count-avg', 'Average records polled and not yet written', active.average),
      this.gauge(group, 'transaction-size-max', 'Records of the largest transaction', sizes.max),
      this.gauge(group, 'transaction-size-avg', 'Average records of a transaction', sizes.average),
    ]
  }
}

export class SinkTaskMetrics extends TaskMetrics {
  readonly #putTime = this.stat()
  readonly #read = this.stat()
  readonly #sent = this.stat()
  readonly #completed = this.stat()
  readonly #skippedCommits = this.stat()
  readonly #active = this.stat()
  #readTotal = 0
  #sendTotal = 0
  #completions = 0
  #skips = 0
  sequence = 0
  partitionCount = 0
  activeCount = 0

  read(recordCount: number): void {
    this.batch(recordCount)
    this.#read.record(recordCount)
    this.#readTotal += recordCount
    this.#active.record(this.activeCount)
  }

  put(recordCount: number, durationMs: number): void {
    this.#sent.record(recordCount)
    this.#sendTotal += recordCount
    this.#putTime.record(durationMs)
  }

  commitCompleted(): void {
    this.#completed.record(1)
    this.#completions++
  }

  commitSkipped(): void {
    this.#skippedCommits.record(1)
    this.#skips++
  }

  protected override ownSnapshots(): readonly MetricSnapshot[] {
    const group = 'sink-task-metrics'
    const puts = this.#putTime.read()
    const active = this.#active.read()
    return [
      this.counter(group, 'sink-record-read-total', 'Records read from Kafka, before transforms', this.#readTotal),
      this.gauge(group, 'sink-record-read-rate', 'Records read per second', this.#read.read().rate),
      this.counter(group, 'sink-record-send-total', 'Records given to the task, after transforms', this.#sendTotal),
      this.gauge(group, 'sink-record-send-rate', 'Records given to the task per second', this.#sent.read().rate),
      this.gauge(group, 'partition-count', 'Partitions assigned', this.partitionCount),
      this.gauge(group, 'offset-commit-seq-no', 'Number of the current offset commit', this.sequence),
      this.counter(group, 'offset-commit-completion-total', 'Offset commits that were completed', this.#completions),
      this.gauge(group, 'offset-commit-completion-rate', 'Offset commits per second', this.#completed.read().rate),
      this.counter(group, 'offset-commit-skip-total', 'Offset commits whose answer came too late', this.#skips),
      this.gauge(group, 'offset-commit-skip-rate', 'Late offset commits per second', this.#skippedCommits.read().rate),
      this.gauge(group, 'put-batch-max-time-ms', 'The longest put, in ms', puts.max),
      this.gauge(group, 'put-batch-avg-time-ms', 'The average put, in ms', puts.average),
      this.gauge(group, 'sink-record-active-count', 'Records read and not yet committed', this.activeCount),
      this.gauge(group, 'sink-record-active-count-max', 'Most records read and not yet committed', active.max),
      this.gauge(group, 'sink-record-active-count-avg', 'Average records read and not yet committed', active.average),
    ]
  }
}
