import type { ConnectRecord } from './record.ts'

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
