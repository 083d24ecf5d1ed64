import type { Clock, Metrics } from './context.ts'
import type { ConnectRecord } from './record.ts'

/** What a task gives to the transformations and predicates it makes. Absent where there is no task, as in tools. */
export interface TransformationContext {
  /** Of the task, shared with its plugin. */
  readonly metrics: Metrics
  readonly clock: Clock
  /** Entries of the worker's `plugin.path`: all that code named by a connector's config may be loaded from. */
  readonly pluginPath: readonly string[]
}

/**
 * Changes one record at a time, synchronously and without side effects. What it throws counts against that record
 * (`errors.tolerance`); a `RetriableError` is repeated until `errors.retry.timeout`.
 */
export interface Transformation<C> {
  /** Called once, before the first record. @throws ConfigError */
  configure(config: C): void
  /** The changed record, the same one, or null to drop it. The input is never changed in place (I5). */
  apply<R extends ConnectRecord>(record: R): R | null
  close?(): void
}

export interface Predicate<C> {
  configure(config: C): void
  test(record: ConnectRecord): boolean
  close?(): void
}
