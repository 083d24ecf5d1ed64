/** When tables are read as a whole, and whether the stream follows: `snapshot.mode` (spec of Debezium's snapshotters). */
import type { PostgresConfig } from './config.ts'

/** What the stored offset says of a snapshot. */
export type OffsetState = 'none' | 'unfinished' | 'finished'

export interface SnapshotPolicy {
  /** Whether a start with such an offset reads the tables. */
  readsData(offset: OffsetState): boolean
  /** Whether a start may find the offset of a snapshot that was interrupted, though it reads no rows itself. */
  readonly passesUnfinished: boolean
  readonly streams: boolean
  /** A position that is gone is forgotten, and the start is one without an offset; else it fails. */
  readonly forgetsLostPosition: boolean
}

const whenMissing = (offset: OffsetState) => offset !== 'finished'
const never = () => false
const stream = { passesUnfinished: false, streams: true, forgetsLostPosition: false }

/** By Debezium's names, which `snapshot.mode.custom.name` may give, too. */
const policies: Readonly<Record<string, SnapshotPolicy>> = {
  always: { ...stream, readsData: () => true },
  initial: { ...stream, readsData: whenMissing },
  initial_only: { ...stream, readsData: whenMissing, streams: false },
  no_data: { ...stream, readsData: never },
  // Rebuilds a history of schemas, which PostgreSQL does not have.
  recovery: { ...stream, readsData: never, passesUnfinished: true },
  when_needed: { ...stream, readsData: whenMissing, forgetsLostPosition: true },
  when_needed_no_data: { ...stream, readsData: never, forgetsLostPosition: true },
}

const flag = 'snapshot.mode.configuration.based'

/** @returns null for a snapshotter that does not exist here */
export function snapshotPolicy(config: PostgresConfig): SnapshotPolicy | null {
  const mode = config['snapshot.mode']
  const name = mode === 'custom' ? (config['snapshot.mode.custom.name'] ?? mode) : mode
  if (name !== 'configuration_based') return policies[name] ?? null
  const data = config[`${flag}.snapshot.data`]
  return {
    readsData: () => data,
    passesUnfinished: config[`${flag}.snapshot.schema`],
    streams: config[`${flag}.start.stream`],
    forgetsLostPosition: config[`${flag}.snapshot.on.data.error`],
  }
}
