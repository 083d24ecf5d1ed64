import { hash } from 'node:crypto'
import { Float64, type Struct, type Value } from '../../worker/api/data.ts'
import { ConnectError, DataError, RetriableError } from '../../worker/api/errors.ts'
import { parseJson, parseJsonBytes } from '../../worker/api/json.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import { isStruct } from '../../worker/api/values.ts'
import type { ObjectAddress, ObjectStore, ReadObject, WriteOptions } from '../common/object-store.ts'
import type { JsonEncoder } from './formats/json-encoder.ts'

/** What the merged objects of a task share. */
export interface MergeSettings {
  readonly store: ObjectStore
  readonly write: WriteOptions
  readonly encoder: JsonEncoder
  /** Members, by path, whose numbers are added instead of replaced. */
  readonly increments: ReadonlySet<string>
}

/** A record's part in an object: members to merge, or null to remove everything before it. */
interface Step {
  readonly offset: bigint
  readonly members: Struct | null
}

/** Lost races after which the partition backs off instead of trying on. */
const maxRaces = 20

/**
 * One object that many records make together. Members are merged, and the object tells in its metadata up to which
 * offset of each topic partition it was made (`kc-fence-<topic>-<partition>`): a step that it holds already is left
 * out, so repeats after a crash and a second owner change nothing, and numbers are added once (I3). It is written back
 * on condition that nobody else did meanwhile; who loses such a race reads and merges again.
 */
export class MergedObject {
  readonly #at: ObjectAddress
  readonly #fence: string
  readonly #settings: MergeSettings
  #steps: Step[] = []

  constructor(at: ObjectAddress, source: TopicPartition, settings: MergeSettings) {
    this.#at = at
    this.#fence = fenceName(source)
    this.#settings = settings
  }

  /** @throws DataError when the value is no JSON object */
  add({ offset, valueSchema, value }: SinkRecord): void {
    if (value === null) {
      this.#steps.push({ offset, members: null })
      return
    }
    const members = parseJson(this.#settings.encoder.encode(valueSchema, value))
    if (!isStruct(members)) {
      throw new DataError('CONNECT_S3_VALUE_NOT_OBJECT', 'compact.merge needs values that are JSON objects')
    }
    this.#checkIncrements(members, '')
    this.#steps.push({ offset, members })
  }

  /** Before the record counts as taken: what cannot be added is the record's fault, not the object's. */
  #checkIncrements(members: Struct, path: string): void {
    for (const [name, value] of Object.entries(members)) {
      const at = path === '' ? name : `${path}.${name}`
      if (isStruct(value)) this.#checkIncrements(value, at)
      if (!this.#settings.increments.has(at) || value === null || numberOf(value) !== null) continue
      throw new DataError('CONNECT_S3_VALUE_MISMATCH', `'${at}' is added up (compact.merge), but a value is no number`)
    }
  }

  /**
   * Makes the steps so far durable, and forgets them.
   * @throws RetriableError: call again later
   * @throws ConnectError CONNECT_S3_MERGE_INVALID when the object there is none of this sink
   */
  async apply(): Promise<void> {
    const steps = [...this.#steps]
    for (let race = 1; !(await this.#tryOnce(steps)); race++) {
      if (race >= maxRaces) {
        const message = `${this.#at.key} was changed by others in ${race} attempts to merge into it`
        throw new RetriableError('CONNECT_S3_MERGE_CONTENDED', message)
      }
    }
    this.#steps = this.#steps.slice(steps.length)
  }

  /** @returns false when another writer was faster */
  async #tryOnce(steps: readonly Step[]): Promise<boolean> {
    const { store, write, encoder } = this.#settings
    const found = await store.read(this.#at)
    if (found !== null && (found.etag === null || isTorn(found))) return false
    const fence = this.#fenceOf(found)
    const left = steps.filter(({ offset }) => fence === null || offset > fence)
    const last = left.at(-1)
    if (last === undefined) return true
    // Nothing before the last removal counts.
    const removal = left.findLastIndex(({ members }) => members === null)
    const merges = left.slice(removal + 1)
    if (merges.length === 0) {
      await store.remove(this.#at)
      return true
    }
    let merged: Struct = removal >= 0 || found === null ? {} : this.#membersOf(found)
    for (const { members } of merges) if (members !== null) merged = this.#merge(merged, members, '')
    const body = Buffer.from(`${encoder.encode(null, merged)}\n`, 'utf8')
    const fences = removal >= 0 ? {} : found?.metadata
    const metadata = { ...fences, [this.#fence]: last.offset.toString(), [sumName]: md5(body) }
    const condition = found?.etag == null ? { onlyIfAbsent: true } : { onlyIfAbsent: false, ifMatch: found.etag }
    try {
      await store.put(this.#at, body, { ...write, ...condition, metadata })
      return true
    } catch (error) {
      // Also when the answer to our own write was lost: what is read next holds these steps then.
      if (error instanceof ConnectError && error.code === 'CONNECT_S3_PRECONDITION_FAILED') return false
      throw error
    }
  }

  #fenceOf(found: ReadObject | null): bigint | null {
    const text = found?.metadata[this.#fence]
    if (text === undefined) return null
    if (!/^\d{1,19}$/.test(text)) throw this.#foreign(`${this.#fence} is '${text}'`)
    return BigInt(text)
  }

  #membersOf({ body }: ReadObject): Struct {
    let value: Value
    try {
      value = parseJsonBytes(body)
    } catch (cause) {
      throw this.#foreign('it is no JSON', cause)
    }
    if (!isStruct(value)) throw this.#foreign('it is no JSON object')
    return value
  }

  #foreign(why: string, cause?: unknown): ConnectError {
    const message = `Cannot merge into ${this.#at.bucket}/${this.#at.key}, which this sink did not write: ${why}`
    return new ConnectError('fatal', 'CONNECT_S3_MERGE_INVALID', message, { cause })
  }

  /** Integers stay exact; a double makes the sum one. What is not there counts as 0. */
  #sum(old: Value, added: Value, path: string): Value {
    const a = numberOf(old ?? 0)
    const b = numberOf(added ?? 0)
    if (a === null || b === null) throw this.#foreign(`'${path}' is added up, but is no number there`)
    if (typeof a === 'bigint' && typeof b === 'bigint') return a + b
    const total = Number(a) + Number(b)
    return Number.isInteger(total) ? new Float64(total) : total
  }

  /** Objects merge, everything else is replaced, but for numbers that are added. */
  #merge(before: Struct, added: Struct, path: string): Struct {
    const merged: Record<string, Value> = { ...before }
    for (const [name, value] of Object.entries(added)) {
      const at = path === '' ? name : `${path}.${name}`
      const old = Object.hasOwn(before, name) ? (before[name] ?? null) : null
      if (isStruct(value) && isStruct(old)) define(merged, name, this.#merge(old, value, at))
      else if (this.#settings.increments.has(at)) define(merged, name, this.#sum(old, value, at))
      else define(merged, name, value)
    }
    return merged
  }
}

/** An assignment to `__proto__` would set the prototype instead of a member. */
function define(target: Record<string, Value>, name: string, value: Value): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}

const sumName = 'kc-md5'

/**
 * Whether content and metadata are of two different versions: Amazon's answer is of one, but servers over a file
 * system read them one after the other, and a step would be taken for done that is not in the content.
 */
function isTorn({ body, metadata }: ReadObject): boolean {
  const sum = metadata[sumName]
  return sum !== undefined && sum !== md5(body)
}

function md5(body: Uint8Array): string {
  return hash('md5', body)
}

/** Null: no number. */
function numberOf(value: Value): bigint | number | null {
  if (value instanceof Float64) return value.value
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value
  return null
}

/** Names of metadata are headers: without case, so capitals of a topic are written as escapes. */
function fenceName({ topic, partition }: TopicPartition): string {
  const escaped = topic.replace(/[A-Z]/g, (letter) => `%${letter.charCodeAt(0).toString(16)}`)
  return `kc-fence-${escaped}-${partition}`
}
