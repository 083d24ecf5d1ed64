/**
 * Bytes of the group protocol `connect` (big-endian, as in `ConnectProtocol` and `IncrementalCooperativeConnectProtocol`):
 * what a worker tells on joining, and what the leader hands out. Pure.
 */
import { ConnectError } from '../api/errors.ts'
import type { TaskId } from '../runtime/worker-types.ts'

/** 0: eager. 1: incremental cooperative (KIP-415). 2: the same with signed internal requests (KIP-507). */
export type ProtocolVersion = 0 | 1 | 2

/** Names under which the broker knows the versions. */
export const protocolNames: Readonly<Record<ProtocolVersion, string>> = {
  0: 'default',
  1: 'compatible',
  2: 'sessioned',
}

export function protocolVersion(name: string): ProtocolVersion {
  for (const version of [0, 1, 2] as const) if (protocolNames[version] === name) return version
  throw new ConnectError('fatal', 'CONNECT_GROUP_PROTOCOL', `the group chose protocol ${name}, which no worker speaks`)
}

/** Versions offered to the group, most preferred first, by `connect.protocol`. */
export const offeredVersions: Readonly<Record<'eager' | 'compatible' | 'sessioned', readonly ProtocolVersion[]>> = {
  sessioned: [2, 1, 0],
  compatible: [1, 0],
  eager: [0],
}

/** Connectors and tasks, in a meaningful order (the bytes keep it). */
export interface Work {
  readonly connectors: readonly string[]
  readonly tasks: readonly TaskId[]
}

export const noWork: Work = Object.freeze({ connectors: [], tasks: [] })

export type AssignmentError = 'none' | 'config-mismatch'

export interface Assignment {
  readonly version: ProtocolVersion
  readonly error: AssignmentError
  /** Member id. */
  readonly leader: string
  readonly leaderUrl: string
  /** Config topic offset that the work refers to. */
  readonly offset: bigint
  /** In v0 everything, in v1 and v2 only what is new. */
  readonly assigned: Work
  readonly revoked: Work
  /** Milliseconds until the next rebalance is due; 0 for none. */
  readonly delayMs: number
}

export interface MemberState {
  readonly version: ProtocolVersion
  /** REST URL that other workers reach, with a slash at its end. */
  readonly url: string
  /** Offset of the last config record read + 1, -1 when there is none. */
  readonly offset: bigint
  /** Work held now; null in v0, and in a member that holds none. */
  readonly allocation: Assignment | null
  /**
   * The member has stopped its work and is about to leave: give it nothing, and its work to others at once. An
   * extension after the fields of Connect, whose readers ignore it; never there in a member that stays.
   */
  readonly leaving: boolean
}

const connectorTask = -1

class Writer {
  readonly #parts: Buffer[] = []

  int16(value: number): void {
    const bytes = Buffer.allocUnsafe(2)
    bytes.writeInt16BE(value)
    this.#parts.push(bytes)
  }

  int32(value: number): void {
    const bytes = Buffer.allocUnsafe(4)
    bytes.writeInt32BE(value)
    this.#parts.push(bytes)
  }

  int64(value: bigint): void {
    const bytes = Buffer.allocUnsafe(8)
    bytes.writeBigInt64BE(value)
    this.#parts.push(bytes)
  }

  string(text: string): void {
    const bytes = Buffer.from(text)
    this.int16(bytes.length)
    this.#parts.push(bytes)
  }

  nullableBytes(bytes: Uint8Array | null): void {
    this.int32(bytes === null ? -1 : bytes.length)
    if (bytes !== null) this.#parts.push(Buffer.from(bytes))
  }

  done(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4))
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8))
  }

  string(): string {
    const length = this.int16()
    const start = this.#take(length)
    return this.#bytes.toString('utf8', start, start + length)
  }

  nullableBytes(): Uint8Array | null {
    const length = this.int32()
    if (length < 0) return null
    const start = this.#take(length)
    return this.#bytes.subarray(start, start + length)
  }

  #take(count: number): number {
    const start = this.#at
    if (count < 0 || start + count > this.#bytes.length) {
      throw new ConnectError('fatal', 'CONNECT_GROUP_BYTES', 'a member of the worker group sent truncated data', {
        context: { position: start, length: this.#bytes.length },
      })
    }
    this.#at += count
    return start
  }
}

function asVersion(value: number): ProtocolVersion {
  if (value === 0 || value === 1) return value
  // A later version keeps the fields of this one, as the Java reader assumes too.
  if (value >= 2) return 2
  throw new ConnectError('fatal', 'CONNECT_GROUP_BYTES', `a member of the worker group sent protocol version ${value}`)
}

/** One entry per connector in order of first appearance, instances first; the instance itself is task -1. */
function writeWork(out: Writer, work: Work): void {
  const entries = new Map<string, number[]>()
  for (const connector of work.connectors) entries.set(connector, [connectorTask])
  for (const { connector, task } of work.tasks) {
    const tasks = entries.get(connector)
    if (tasks === undefined) entries.set(connector, [task])
    else tasks.push(task)
  }
  out.int32(entries.size)
  for (const [connector, tasks] of entries) {
    out.string(connector)
    out.int32(tasks.length)
    for (const task of tasks) out.int32(task)
  }
}

function readWork(input: Reader): Work {
  const count = input.int32()
  const connectors: string[] = []
  const tasks: TaskId[] = []
  for (let i = 0; i < count; i++) {
    const connector = input.string()
    const taskCount = input.int32()
    for (let j = 0; j < taskCount; j++) {
      const task = input.int32()
      if (task === connectorTask) connectors.push(connector)
      else tasks.push({ connector, task })
    }
  }
  return { connectors, tasks }
}

export function encodeAssignment(assignment: Assignment): Uint8Array {
  const out = new Writer()
  out.int16(assignment.version)
  out.int16(assignment.error === 'none' ? 0 : 1)
  out.string(assignment.leader)
  out.string(assignment.leaderUrl)
  out.int64(assignment.offset)
  writeWork(out, assignment.assigned)
  if (assignment.version > 0) {
    writeWork(out, assignment.revoked)
    out.int32(assignment.delayMs)
  }
  return out.done()
}

/** @throws ConnectError for truncated data */
export function decodeAssignment(bytes: Uint8Array): Assignment {
  const input = new Reader(bytes)
  const version = asVersion(input.int16())
  const error: AssignmentError = input.int16() === 0 ? 'none' : 'config-mismatch'
  const leader = input.string()
  const leaderUrl = input.string()
  const offset = input.int64()
  const assigned = input.atEnd ? noWork : readWork(input)
  const revoked = version === 0 || input.atEnd ? noWork : readWork(input)
  const delayMs = version === 0 || input.atEnd ? 0 : input.int32()
  return { version, error, leader, leaderUrl, offset, assigned, revoked, delayMs }
}

export function encodeMemberState(state: MemberState): Uint8Array {
  const out = new Writer()
  out.int16(state.version)
  out.string(state.url)
  out.int64(state.offset)
  if (state.version > 0) {
    out.nullableBytes(
      state.allocation === null ? null : encodeAssignment({ ...state.allocation, version: state.version }),
    )
    if (state.leaving) out.int16(1)
  }
  return out.done()
}

/** @throws ConnectError for truncated data */
export function decodeMemberState(bytes: Uint8Array): MemberState {
  const input = new Reader(bytes)
  const version = asVersion(input.int16())
  const url = input.string()
  const offset = input.int64()
  const allocation = version === 0 || input.atEnd ? null : input.nullableBytes()
  const leaving = version > 0 && !input.atEnd && input.int16() === 1
  return { version, url, offset, allocation: allocation === null ? null : decodeAssignment(allocation), leaving }
}
