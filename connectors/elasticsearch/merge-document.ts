import { Float64, type Struct, type Value } from '../../worker/api/data.ts'
import { DataError, toError } from '../../worker/api/errors.ts'
import { stringifyJson } from '../../worker/api/json.ts'
import { isStruct } from '../../worker/api/values.ts'
import { type Change, type Changes, type MergeNumber, type MergeRules, numberOf } from './merge-rules.ts'

/** One record as an operation on a document; `changes` is null for a tombstone. */
export interface MergeOperation {
  /** Member of the fence: the partition it was consumed from. */
  readonly source: string
  readonly offset: bigint
  /** Of the record, in ms since 1970. */
  readonly timestamp: number | null
  readonly changes: Changes | null
}

/** What operations make of a document. */
export interface Merged {
  /** The document to write; null: there is none afterwards. */
  readonly document: Struct | null
  /** Whether anything has to be written at all. */
  readonly changed: boolean
  /**
   * Operations that the fence of the document, as it was read, has passed, by their indices: merged before, or of a
   * topic that was created anew. One that repeats another of the same call is none of them: it is durable with that one.
   */
  readonly skipped: readonly number[]
  /** Operations that do not fit what the document has, by their indices; the others were applied without them. */
  readonly failures: ReadonlyMap<number, Error>
  /** Operations that were looked at: the next does not fit what those before it make of the document, if it is written. */
  readonly taken: number
}

/**
 * Applies operations in the order given. One whose offset the fence has passed for its partition is skipped: its
 * effect and the fence were written together, as a write of one document is atomic. So however often, in whatever
 * batches and by how many tasks records are delivered, each counts once (E71).
 * @param document as the index has it; null when it has none
 */
export function mergeInto(document: Struct | null, operations: readonly MergeOperation[], rules: MergeRules): Merged {
  const written = fenceOf(document, rules)
  let current = document
  const failures = new Map<number, Error>()
  const skipped: number[] = []
  let taken = 0
  for (const operation of operations) {
    if (hasPassed(written, operation)) skipped.push(taken)
    else if (!hasPassed(fenceOf(current, rules), operation)) {
      try {
        current = apply(current, operation, rules)
      } catch (error) {
        if (current !== document) break
        failures.set(taken, toError(error))
      }
    }
    taken++
  }
  return { document: current, changed: current !== document, skipped, failures, taken }
}

function hasPassed(fence: Struct, { source, offset }: MergeOperation): boolean {
  const last = fence[source]
  return last !== undefined && offsetOf(last) >= offset
}

function offsetOf(value: Value): bigint {
  return typeof value === 'bigint' || typeof value === 'number' ? BigInt(value) : -1n
}

function fenceOf(document: Struct | null, rules: MergeRules): Struct {
  const fence = document?.[rules.fenceField] ?? null
  return isStruct(fence) ? fence : {}
}

function apply(document: Struct | null, operation: MergeOperation, rules: MergeRules): Struct | null {
  const fence = { ...fenceOf(document, rules), [operation.source]: jsonInteger(operation.offset) }
  if (operation.changes === null) {
    return rules.hardDelete ? null : { [rules.deletedField]: true, [rules.fenceField]: fence }
  }
  const { [rules.fenceField]: _fence, ...body } = document ?? {}
  const live = body[rules.deletedField] === true ? {} : body
  return { ...stamped(mergeMembers(live, operation.changes), operation, rules), [rules.fenceField]: fence }
}

function stamped(body: Struct, { timestamp }: MergeOperation, rules: MergeRules): Struct {
  if (timestamp === null) return body
  const stamps: Record<string, Value> = {}
  if (rules.createdField !== '') stamps[rules.createdField] = bound('min', body[rules.createdField], timestamp)
  if (rules.updatedField !== '') stamps[rules.updatedField] = bound('max', body[rules.updatedField], timestamp)
  return { ...body, ...stamps }
}

function bound(kind: 'min' | 'max', current: Value | undefined, timestamp: number): Value {
  if (current === undefined || current === null) return timestamp
  return changed(current, { kind, number: { integer: BigInt(timestamp) } }) ?? current
}

function mergeMembers(target: Struct, changes: Changes): Struct {
  const merged: Record<string, Value> = { ...target }
  for (const [name, change] of changes) {
    const current = Object.hasOwn(target, name) ? (target[name] ?? null) : null
    const value = changed(current, change)
    if (value === undefined) delete merged[name]
    else defineMember(merged, name, value)
  }
  return merged
}

/** The new value of a field; undefined removes it. @throws DataError when the current value is of another kind */
function changed(current: Value, change: Change): Value | undefined {
  switch (change.kind) {
    case 'set':
      return change.value
    case 'remove':
      return undefined
    case 'once':
      return current ?? change.value
    case 'merge':
      return mergeMembers(isStruct(current) ? current : {}, change.members)
    case 'append':
      return union(current, change.items)
    default:
      return counted(current, change.kind, change.number)
  }
}

function counted(current: Value, kind: 'add' | 'max' | 'min', number: MergeNumber): Value {
  if (current === null) return jsonNumber(number)
  const before = numberOf(typeof current === 'string' ? null : current)
  if (before === null) throw new DataError('CONNECT_ES_RECORD', `The document has no number where one is to be merged`)
  if (kind === 'add') return jsonNumber(sum(before, number))
  const isLarger = scalar(number) > scalar(before)
  return isLarger === (kind === 'max') ? jsonNumber(number) : current
}

/** Integers stay integers; with a double among them the sum is one. */
function sum(a: MergeNumber, b: MergeNumber): MergeNumber {
  if ('integer' in a && 'integer' in b) return { integer: a.integer + b.integer }
  return { double: Number(scalar(a)) + Number(scalar(b)) }
}

function scalar(number: MergeNumber): bigint | number {
  return 'integer' in number ? number.integer : number.double
}

function union(current: Value, items: readonly Value[]): Value {
  const list = current === null ? [] : Array.isArray(current) ? (current as readonly Value[]) : [current]
  const known = new Set(list.map(stringifyJson))
  const added = items.filter((item) => {
    const text = stringifyJson(item)
    return !known.has(text) && known.add(text)
  })
  return added.length === 0 && Array.isArray(current) ? current : [...list, ...added]
}

function jsonNumber(number: MergeNumber): Value {
  if ('integer' in number) return jsonInteger(number.integer)
  return Number.isInteger(number.double) ? new Float64(number.double) : number.double
}

/** In the form in which `parseJson` gives it. */
function jsonInteger(value: bigint): Value {
  const short = Number(value)
  return Number.isSafeInteger(short) ? short : value
}

function defineMember(target: Record<string, Value>, name: string, value: Value): void {
  // `__proto__` is a field like any other, which an assignment would take for the prototype.
  if (name === '__proto__') {
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
  } else target[name] = value
}
