import type { SinkRecord } from '../../worker/api/record.ts'

/** Carries the records of one topic partition into objects; the task feeds it and asks how far offsets may go. */
export interface PartitionWriter {
  /** Records that wait to be written. */
  readonly waiting: number
  /** Whether a `write` may have something to do. */
  readonly isActive: boolean
  /** Whether it pauses after a retriable failure. */
  readonly isBackingOff: boolean
  /** Next offset to read after a crash now: everything before it is durable, reported or skipped (I1, I2). */
  readonly committable: bigint | null
  enqueue(record: SinkRecord): void
  /** Never rejects for a retriable failure. `deadline`: monotonic ms after which records are left for the next call. */
  write(deadline: number, signal: AbortSignal): Promise<void>
  /** Ms until time alone calls for a `write`; null when it does not. */
  wakeAfterMs(): number | null
  close(): Promise<void>
}
