import { hash } from 'node:crypto'
import { Decimal, Float64, LogicalName, type Schema, type Struct, type Value } from '../../worker/api/data.ts'

const dayMs = 86_400_000

/**
 * JSON in which equal rows have equal text, whatever converter or format they went through: members by name in the
 * order of their code units, numbers as short as they can be, decimals plain, bytes as base64, times as the numbers
 * that Connect stores.
 */
export function canonicalJson(schema: Schema | null, value: Value): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value)
    case 'boolean':
    case 'bigint':
      return String(value)
    case 'number':
      return numberText(value)
    default:
      return value === null ? 'null' : objectText(schema, value)
  }
}

/** -0 and 0 are one number, as in SQL. */
function numberText(value: number): string {
  return Number.isFinite(value) ? String(value + 0) : `"${value}"`
}

function objectText(schema: Schema | null, value: Exclude<Value, null | string | number | bigint | boolean>): string {
  if (value instanceof Float64) return numberText(value.value)
  if (value instanceof Decimal) return value.toString()
  if (value instanceof Date) {
    return String(schema?.name === LogicalName.date ? Math.floor(value.getTime() / dayMs) : value.getTime())
  }
  if (value instanceof Uint8Array) {
    return `"${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64')}"`
  }
  const valueSchema = schema?.valueSchema ?? null
  if (Array.isArray(value)) {
    return `[${(value as readonly Value[]).map((item) => canonicalJson(valueSchema, item)).join(',')}]`
  }
  if (value instanceof Map) {
    const keySchema = schema?.keySchema ?? null
    const entries = [...(value as ReadonlyMap<Value, Value>)]
    const named = entries.map(([key, item]) => [memberName(keySchema, key), item] as const)
    return `{${named.sort(byName).map(([name, item]) => `${JSON.stringify(name)}:${canonicalJson(valueSchema, item)}`)}}`
  }
  const struct = value as Struct
  let text = ''
  for (const name of Object.keys(struct).sort()) {
    const member = schema?.fieldsByName.get(name)?.schema ?? null
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(member, struct[name] ?? null)}`
  }
  return `{${text}}`
}

function memberName(schema: Schema | null, key: Value): string {
  return typeof key === 'string' ? key : canonicalJson(schema, key)
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Rows after which the partial sums are carried, so that they stay exact as doubles. */
const carryRows = 1 << 20

/**
 * A fingerprint of a set of rows, whatever their order: the sum of the first 60 bits of the MD5 of each row's
 * canonical JSON. Doubled rows change it; two writers of the same rows, or a file and its rewrite, agree on it.
 */
export class ContentHash {
  #carried = 0n
  #high = 0
  #low = 0
  #rows = 0

  add(schema: Schema | null, value: Value): void {
    const digest = hash('md5', canonicalJson(schema, value), 'buffer')
    this.#high += digest.readUInt32BE(0)
    this.#low += digest.readUInt32BE(4) >>> 4
    if (++this.#rows % carryRows === 0) this.#carry()
  }

  /** The sum in decimal digits. */
  get digits(): string {
    this.#carry()
    return this.#carried.toString()
  }

  #carry(): void {
    this.#carried += (BigInt(this.#high) << 28n) + BigInt(this.#low)
    this.#high = 0
    this.#low = 0
  }
}
