import { createHash } from 'node:crypto'
import { Float64, type Struct, type Value } from '../../worker/api/data.ts'
import { DataError } from '../../worker/api/errors.ts'
import { isStruct } from '../../worker/api/values.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { parseTopicFields } from './config-validators.ts'

/** A number as merges count it: integers are exact of any size, everything else is a double. */
export type MergeNumber = { readonly integer: bigint } | { readonly double: number }

/** What a value does to one field of a document. */
export type Change =
  | { readonly kind: 'set'; readonly value: Value }
  | { readonly kind: 'remove' }
  | { readonly kind: 'once'; readonly value: Value }
  | { readonly kind: 'add' | 'max' | 'min'; readonly number: MergeNumber }
  | { readonly kind: 'append'; readonly items: readonly Value[] }
  | { readonly kind: 'merge'; readonly members: Changes }

export type Changes = ReadonlyMap<string, Change>

/** How fields of values are merged, compiled from `merge.*`. */
export class MergeRules {
  readonly fenceField: string
  readonly deletedField: string
  readonly createdField: string
  readonly updatedField: string
  readonly hardDelete: boolean
  readonly #epoch: string
  readonly #kinds = new Map<string, 'add' | 'once' | 'max' | 'min' | 'append'>()
  readonly #signed: boolean
  readonly #nulls: string
  readonly #placeholder: Placeholder | null
  readonly #nests: ReadonlyMap<string, readonly string[]>

  constructor(config: ElasticsearchSinkConfig) {
    this.fenceField = config['merge.fence.field']
    this.deletedField = config['merge.deleted.field']
    this.createdField = config['merge.created.field']
    this.updatedField = config['merge.updated.field']
    this.hardDelete = config['merge.delete'].toLowerCase() === 'hard'
    this.#epoch = config['merge.fence.epoch']
    for (const path of config['merge.set.once.fields']) this.#kinds.set(path, 'once')
    for (const path of config['merge.max.fields']) this.#kinds.set(path, 'max')
    for (const path of config['merge.min.fields']) this.#kinds.set(path, 'min')
    for (const path of config['merge.append.fields']) this.#kinds.set(path, 'append')
    for (const path of config['merge.increment.fields']) this.#kinds.set(path, 'add')
    this.#signed = config['merge.increment.syntax'].toLowerCase() === 'signed'
    this.#nulls = config['merge.null'].toLowerCase()
    const placeholder = config['merge.unavailable.value']
    this.#placeholder = placeholder === '' ? null : new Placeholder(placeholder)
    this.#nests = parseTopicFields(config['merge.nest.fields'])
  }

  /** Member of the fence for a partition, by the coordinates of consumption (KIP-793). */
  fenceKey(topic: string, partition: number): string {
    return `${this.#epoch}${topic}-${partition}`
  }

  /**
   * What a value, in its JSON form, does to a document.
   * @throws DataError without content (I8) for a value that is no object, or an increment that is no number
   */
  changes(topic: string, value: Value): Changes {
    if (!isStruct(value)) throw bad('Only an object can be merged into a document')
    const nest = this.#nests.get(topic) ?? []
    let changes = this.#members(value, '')
    if (nest.length === 0) {
      const reserved = [this.fenceField, this.deletedField].find((name) => changes.has(name))
      if (reserved !== undefined) throw bad(`The field '${reserved}' is reserved for merging: rename it, or the option`)
    }
    for (const name of nest.toReversed()) changes = new Map([[name, { kind: 'merge', members: changes }]])
    return changes
  }

  #members(value: Struct, prefix: string): Changes {
    const changes = new Map<string, Change>()
    for (const [name, item] of Object.entries(value)) {
      const change = this.#change(item, `${prefix}${name}`)
      if (change !== null) changes.set(name, change)
    }
    return changes
  }

  #change(value: Value, path: string): Change | null {
    if (this.#placeholder?.matches(value) === true) return null
    const kind = this.#kinds.get(path)
    if (kind !== undefined) {
      // To count, compare or collect nothing changes nothing, whatever merge.null says of other fields.
      if (value === null) return null
      if (kind === 'once') return { kind, value }
      if (kind === 'append') return { kind, items: Array.isArray(value) ? value : [value] }
      const number = numberOf(value)
      if (number === null) throw bad(`The field '${path}' must be a number to be merged`)
      return { kind, number }
    }
    if (this.#signed && typeof value === 'string' && signedNumber.test(value)) {
      return { kind: 'add', number: numberOf(value) ?? { integer: 0n } }
    }
    if (value === null) {
      if (this.#nulls === 'ignore') return null
      return this.#nulls === 'remove' ? { kind: 'remove' } : { kind: 'set', value }
    }
    return isStruct(value) ? { kind: 'merge', members: this.#members(value, `${path}.`) } : { kind: 'set', value }
  }
}

const signedNumber = /^[+-]\d+(\.\d+)?$/
const numberText = /^[+-]?\d+(\.\d+)?$/

/** A number, or a text that is one; null for anything else. */
export function numberOf(value: Value): MergeNumber | null {
  if (typeof value === 'bigint') return { integer: value }
  if (typeof value === 'number') return Number.isInteger(value) ? { integer: BigInt(value) } : { double: value }
  if (value instanceof Float64) return { double: value.value }
  if (typeof value !== 'string' || !numberText.test(value)) return null
  return value.includes('.') ? { double: Number(value) } : { integer: BigInt(value.replace('+', '')) }
}

/** What a Debezium-like source puts in place of an unchanged large value, in each of the forms that types give it. */
class Placeholder {
  readonly #texts: ReadonlySet<string>
  readonly #bytes: Uint8Array

  constructor(text: string) {
    const bytes = Buffer.from(text)
    const digest = createHash('md5').update(bytes).digest()
    // As Java's UUID.nameUUIDFromBytes: version 3, RFC 4122.
    digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x30, 6)
    digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8)
    const uuid = digest.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
    const map = JSON.stringify({ [text]: text })
    const encoded = (['base64', 'base64url', 'hex'] as const).map((form) => bytes.toString(form))
    this.#texts = new Set([text, uuid, map, ...encoded])
    this.#bytes = bytes
  }

  matches(value: Value): boolean {
    if (typeof value === 'string') return this.#texts.has(value)
    if (Array.isArray(value)) {
      if (value.length === 1) return this.matches(value[0] ?? null)
      return value.length === this.#bytes.length && value.every((item, i) => Number(item) === this.#bytes[i])
    }
    if (!isStruct(value)) return false
    const names = Object.keys(value)
    return names.length === 1 && this.#texts.has(names[0] ?? '')
  }
}

function bad(message: string): DataError {
  return new DataError('CONNECT_ES_RECORD', message)
}
