import type { Clock, Logger } from '../api/context.ts'
import type { WorkLease } from '../util/work-lease.ts'
import type { Accumulator } from './accumulator.ts'
import type { Cluster } from './cluster.ts'
import type { ProducerConfig } from './producer-config.ts'
import type { TransactionManager } from './transaction-manager.ts'

/** What a producer's sender works with, and what becomes of its batches. */
export interface SenderParts {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  readonly transactions: TransactionManager
  readonly clock: Clock
  readonly log: Logger | null
  /** While it is over nothing is sent; null: nothing ends. */
  readonly lease: WorkLease | null
  /** Bytes were freed, or the producer died. */
  readonly onProgress: () => void
}
