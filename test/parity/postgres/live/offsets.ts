/** The source offsets that both connectors of a round have stored: either must be able to go on from the other's. */
import { type Json, stringify } from '../../../conformance/postgres/normalise.ts'

export type Members = Readonly<Record<string, Json>>

/** Members of ours, which Debezium passes over. */
const ownMembers = new Set(['signal_kafka_position', 'system_identifier', 'timeline', 'lsn_idle', 'snapshot_progress'])
/** The count of logical messages: in Debezium under a name with the address of an object. */
const messageCount = /^transaction_data_collection_order_.*(?:LogicalDecodingMessageId@|LOGICAL_DECODING_MESSAGE)/
/** Where a connector stands: its own for a snapshot that it took, and for heartbeats, which come by the clock. */
const placeMembers = new Set(['ts_usec', 'txId', 'lsn', 'lsn_proc', 'lsn_commit'])
const isObject = (value: Json | undefined): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const kindOf = (value: Json): string => (typeof value === 'bigint' ? 'number' : value === null ? 'null' : typeof value)

/** The members of the one offset of an answer of `GET /connectors/<name>/offsets`; null when there is none. */
export function storedOffset(answer: Json): Members | null {
  const offsets = isObject(answer) ? answer['offsets'] : undefined
  const [first] = Array.isArray(offsets) ? (offsets as readonly Json[]) : []
  const offset = isObject(first) ? first['offset'] : undefined
  return isObject(offset) ? offset : null
}

/**
 * @param samePlace both stand at the same message of the log, so that all values are equal; otherwise names and types
 * @returns one line per member that differs
 */
export function compareOffsets(theirs: Members | null, ours: Members | null, samePlace: boolean): readonly string[] {
  if (theirs === null || ours === null) {
    const who = (offset: Members | null) => (offset === null ? 'has none' : stringify(offset))
    return theirs === ours ? [] : [`Debezium ${who(theirs)}, ours ${who(ours)}`]
  }
  const isCommon = (name: string) => !ownMembers.has(name) && !messageCount.test(name)
  const names = new Set([...Object.keys(theirs), ...Object.keys(ours)].filter(isCommon))
  const found = [...names].flatMap((name) => {
    const [expected, actual] = [theirs[name], ours[name]]
    if (expected === undefined || actual === undefined) {
      return [`${name}: Debezium ${shown(expected)}, ours ${shown(actual)}`]
    }
    // Each has a slot of its own.
    const isPlace = name === 'xmin' || (placeMembers.has(name) && !samePlace)
    const isSame = isPlace ? kindOf(expected) === kindOf(actual) : stringify(expected) === stringify(actual)
    return isSame ? [] : [`${name}: Debezium ${shown(expected)}, ours ${shown(actual)}`]
  })
  return found.length === 0 ? [] : [...found, `of ${stringify(theirs)}`, `and ${stringify(ours)}`]
}

const shown = (value: Json | undefined): string => (value === undefined ? 'has none' : stringify(value))
