/**
 * Decoder of `pgoutput` protocol version 1 (PostgreSQL, "Logical Replication Message Formats"). Pure: bytes in,
 * offsets into the same bytes out; no object per column and, for row changes, none per message.
 */
import { ConnectError } from '../../worker/api/errors.ts'
import { type Lsn, readLsn } from './lsn.ts'

/** First byte of each message. */
export const Tag = {
  begin: 0x42,
  commit: 0x43,
  origin: 0x4f,
  relation: 0x52,
  type: 0x59,
  insert: 0x49,
  update: 0x55,
  delete: 0x44,
  truncate: 0x54,
  message: 0x4d,
} as const

/** Kind of a tuple's column: null, unchanged TOAST value, text. */
export const Cell = { null: 0x6e, unchanged: 0x75, text: 0x74 } as const

/** Kind of a tuple: `K` key columns only, `O` whole old row, `N` new row. */
export const TupleKind = { key: 0x4b, old: 0x4f, new: 0x4e } as const

/** Microseconds between 1970-01-01 and PostgreSQL's epoch 2000-01-01. */
export const postgresEpochUs = 946_684_800_000_000n

export interface Begin {
  /** Start of the commit record. */
  readonly finalLsn: Lsn
  /** Microseconds since 1970. */
  readonly commitTimeUs: bigint
  /** Transaction id without its epoch, unsigned. */
  readonly xid: number
}

export interface Commit {
  readonly commitLsn: Lsn
  readonly endLsn: Lsn
}

export interface RelationColumn {
  readonly name: string
  /** Part of the replica identity. */
  readonly key: boolean
  readonly typeOid: number
  readonly typmod: number
}

export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly table: string
  /** d, n, f or i. */
  readonly replicaIdentity: string
  readonly columns: readonly RelationColumn[]
}

export interface LogicalMessage {
  readonly transactional: boolean
  readonly lsn: Lsn
  readonly prefix: string
  readonly content: Uint8Array
}

export interface Origin {
  readonly lsn: Lsn
  readonly name: string
}

/** Where the tuples of one row change start; −1 where there is none. One object is reused for all changes. */
export class RowChange {
  relationOid = 0
  /** Start of the old tuple's column count. */
  oldTuple = -1
  /** Whether the old tuple holds the whole row (REPLICA IDENTITY FULL). */
  oldIsFull = false
  newTuple = -1
}

function malformed(what: string): ConnectError {
  return new ConnectError(
    'fatal',
    'CONNECT_POSTGRES_PROTOCOL',
    `Malformed replication message: ${what}. Check that the server is PostgreSQL 10 or newer and the plugin pgoutput.`,
  )
}

function cstring(bytes: Buffer, at: number): number {
  const end = bytes.indexOf(0, at)
  if (end < 0) throw malformed('text without end')
  return end
}

export function decodeBegin(bytes: Buffer, at: number): Begin {
  return {
    finalLsn: readLsn(bytes, at + 1),
    commitTimeUs: bytes.readBigInt64BE(at + 9) + postgresEpochUs,
    xid: bytes.readUInt32BE(at + 17),
  }
}

export function decodeCommit(bytes: Buffer, at: number): Commit {
  return { commitLsn: readLsn(bytes, at + 2), endLsn: readLsn(bytes, at + 10) }
}

export function decodeOrigin(bytes: Buffer, at: number): Origin {
  const end = cstring(bytes, at + 9)
  return { lsn: readLsn(bytes, at + 1), name: bytes.toString('utf8', at + 9, end) }
}

export function decodeRelation(bytes: Buffer, at: number): Relation {
  const oid = bytes.readUInt32BE(at + 1)
  let end = cstring(bytes, at + 5)
  const schema = bytes.toString('utf8', at + 5, end)
  let next = end + 1
  end = cstring(bytes, next)
  const table = bytes.toString('utf8', next, end)
  const replicaIdentity = String.fromCharCode(bytes.readUInt8(end + 1))
  const count = bytes.readUInt16BE(end + 2)
  next = end + 4
  const columns: RelationColumn[] = []
  for (let i = 0; i < count; i++) {
    const flags = bytes.readUInt8(next)
    end = cstring(bytes, next + 1)
    columns.push({
      name: bytes.toString('utf8', next + 1, end),
      key: (flags & 1) === 1,
      typeOid: bytes.readUInt32BE(end + 1),
      typmod: bytes.readInt32BE(end + 5),
    })
    next = end + 9
  }
  // The empty name stands for pg_catalog.
  return { oid, schema: schema === '' ? 'pg_catalog' : schema, table, replicaIdentity, columns }
}

/** Relation oids of a TRUNCATE, in the order of the message. */
export function decodeTruncate(bytes: Buffer, at: number): readonly number[] {
  const count = bytes.readUInt32BE(at + 1)
  return Array.from({ length: count }, (_, i) => bytes.readUInt32BE(at + 6 + 4 * i))
}

/** The content is copied: it may outlive the buffer. */
export function decodeMessage(bytes: Buffer, at: number): LogicalMessage {
  const end = cstring(bytes, at + 10)
  const length = bytes.readUInt32BE(end + 1)
  return {
    transactional: (bytes.readUInt8(at + 1) & 1) === 1,
    lsn: readLsn(bytes, at + 2),
    prefix: bytes.toString('utf8', at + 10, end),
    content: Uint8Array.prototype.slice.call(bytes, end + 5, end + 5 + length),
  }
}

/** End of the tuple whose column count stands at `at`. */
export function skipTuple(bytes: Buffer, at: number): number {
  const count = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  let next = at + 2
  for (let i = 0; i < count; i++) {
    const kind = bytes[next]
    if (kind === Cell.text) next += 5 + bytes.readInt32BE(next + 1)
    else if (kind === Cell.null || kind === Cell.unchanged) next += 1
    else throw malformed(`column kind ${kind}`)
  }
  return next
}

/** Fills `change` from an insert, update or delete that starts at `at`. */
export function decodeRowChange(bytes: Buffer, at: number, change: RowChange): void {
  const tag = bytes[at]
  change.relationOid = bytes.readUInt32BE(at + 1)
  change.oldTuple = -1
  change.newTuple = -1
  change.oldIsFull = false
  const kind = bytes[at + 5]
  if (tag === Tag.insert) {
    if (kind !== TupleKind.new) throw malformed(`tuple ${kind} in an insert`)
    change.newTuple = at + 6
    return
  }
  if (kind === TupleKind.key || kind === TupleKind.old) {
    change.oldTuple = at + 6
    change.oldIsFull = kind === TupleKind.old
    if (tag === Tag.delete) return
    const next = skipTuple(bytes, at + 6)
    if (bytes[next] !== TupleKind.new) throw malformed(`tuple ${bytes[next]} after the old row of an update`)
    change.newTuple = next + 1
    return
  }
  if (tag !== Tag.update || kind !== TupleKind.new) throw malformed(`tuple ${kind}`)
  change.newTuple = at + 6
}

/** Marks in `TupleIndex` instead of a start offset. */
export const isNull = -1
export const isUnchanged = -2
/** The tuple has no such column. */
export const isAbsent = -3

/**
 * Start and end of each column's text of one tuple. One instance serves many tuples, one at a time: `load`, read,
 * `load` the next.
 */
export class TupleIndex {
  #starts = new Int32Array(64)
  #ends = new Int32Array(64)
  columnCount = 0

  load(bytes: Buffer, at: number): void {
    const count = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
    if (count > this.#starts.length) {
      this.#starts = new Int32Array(count * 2)
      this.#ends = new Int32Array(count * 2)
    }
    this.columnCount = count
    const starts = this.#starts
    const ends = this.#ends
    let next = at + 2
    for (let i = 0; i < count; i++) {
      const kind = bytes[next]
      if (kind === Cell.text) {
        const length =
          ((bytes[next + 1] as number) << 24) |
          ((bytes[next + 2] as number) << 16) |
          ((bytes[next + 3] as number) << 8) |
          (bytes[next + 4] as number)
        next += 5
        starts[i] = next
        next += length
        ends[i] = next
      } else if (kind === Cell.null || kind === Cell.unchanged) {
        starts[i] = kind === Cell.null ? isNull : isUnchanged
        next += 1
      } else {
        throw malformed(`column kind ${kind}`)
      }
    }
  }

  /** Offset of the column's text, or `isNull`, `isUnchanged`, `isAbsent`. */
  start(column: number): number {
    return column >= 0 && column < this.columnCount ? (this.#starts[column] as number) : isAbsent
  }

  /** End of the column's text; meaningful only when `start` is an offset. */
  end(column: number): number {
    return this.#ends[column] as number
  }
}

/** A tuple of its own buffer, with other texts (null: NULL) in some of its columns. */
export function copyTuple(bytes: Buffer, at: number, texts: ReadonlyMap<number, string | null>): Buffer {
  const count = bytes.readUInt16BE(at)
  const parts: Buffer[] = [bytes.subarray(at, at + 2)]
  let next = at + 2
  for (let i = 0; i < count; i++) {
    const start = next
    next += bytes[next] === Cell.text ? 5 + bytes.readUInt32BE(next + 1) : 1
    const text = texts.get(i)
    if (text === undefined) parts.push(bytes.subarray(start, next))
    else if (text === null) parts.push(Buffer.from([Cell.null]))
    else {
      const value = Buffer.from(text, 'utf8')
      const head = Buffer.alloc(5)
      head.writeUInt8(Cell.text, 0)
      head.writeUInt32BE(value.length, 1)
      parts.push(head, value)
    }
  }
  return Buffer.concat(parts)
}
