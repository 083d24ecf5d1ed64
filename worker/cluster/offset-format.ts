/**
 * Keys and values of the offset topic in Connect's bytes: key `["connector",{partition}]`, value `{offset}` or a
 * tombstone, JSON without white space. A Java worker finds an offset by the exact key bytes it would write itself.
 */
import { DataError } from '../api/errors.ts'
import { hashOrder } from '../api/java-hash.ts'
import type { SourceOffset, SourceOffsetValue, SourcePartition } from '../api/record.ts'
import { javaJson } from './java-json.ts'

export interface OffsetKey {
  readonly connector: string
  readonly partition: SourcePartition
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** @throws DataError for a key or value that Connect does not allow in offsets */
function checkPrimitives(map: SourcePartition | SourceOffset): void {
  // Plugins may be plain JavaScript: the type is not proof.
  const candidate: unknown = map
  if (candidate === null || typeof candidate !== 'object' || Array.isArray(candidate)) {
    throw new DataError('CONNECT_OFFSET_NOT_A_MAP', 'Offsets must be specified as a Map')
  }
  for (const [field, value] of Object.entries(candidate)) {
    if (value === null || ['string', 'boolean', 'bigint'].includes(typeof value)) continue
    if (typeof value === 'number' && Number.isFinite(value)) continue
    throw new DataError(
      'CONNECT_OFFSET_NOT_PRIMITIVE',
      `Offsets may only contain primitive types as values, but field ${field} contains ${typeof value}`,
    )
  }
}

function jsonValue(value: SourceOffsetValue): string {
  return typeof value === 'bigint' ? value.toString() : javaJson(value)
}

function jsonObject(map: SourcePartition | SourceOffset, keys: readonly string[]): string {
  return `{${keys.map((key) => `${javaJson(key)}:${jsonValue(map[key] ?? null)}`).join(',')}}`
}

/** @throws DataError */
export function encodeOffsetKey(connector: string, partition: SourcePartition): Uint8Array {
  checkPrimitives(partition)
  const fields = jsonObject(partition, hashOrder(Object.keys(partition)))
  return Buffer.from(`[${javaJson(connector)},${fields}]`)
}

/** Null is a tombstone: the partition has no offset any more. @throws DataError */
export function encodeOffsetValue(offset: SourceOffset | null): Uint8Array | null {
  if (offset === null) return null
  checkPrimitives(offset)
  return Buffer.from(jsonObject(offset, hashOrder(Object.keys(offset))))
}

/** Integers beyond 2^53 come back as bigint, others as number (I6). */
function parseExact(bytes: Uint8Array): unknown {
  return JSON.parse(utf8.decode(bytes), (_key, value: unknown, context?: { readonly source?: string }) => {
    const source = context?.source
    if (typeof value !== 'number' || Number.isSafeInteger(value) || source === undefined) return value
    return /^-?\d+$/.test(source) ? BigInt(source) : value
  })
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function asOffsetMap(value: unknown): SourceOffset | null {
  if (!isMap(value)) return null
  for (const field of Object.values(value)) if (field !== null && typeof field === 'object') return null
  return value as SourceOffset
}

/** Null for bytes that are not `["connector",{…}]`; Connect warns and goes on. */
export function decodeOffsetKey(bytes: Uint8Array): OffsetKey | null {
  let parsed: unknown
  try {
    parsed = parseExact(bytes)
  } catch {
    // Foreign bytes in the topic are an answer here, not a failure: the caller logs and skips them.
    return null
  }
  if (!Array.isArray(parsed) || parsed.length !== 2 || typeof parsed[0] !== 'string') return null
  const partition = asOffsetMap(parsed[1])
  return partition === null ? null : { connector: parsed[0], partition }
}

/** @throws DataError when the bytes are no JSON object of primitives */
export function decodeOffsetValue(bytes: Uint8Array | null): SourceOffset | null {
  if (bytes === null || bytes.length === 0) return null
  let parsed: unknown
  try {
    parsed = parseExact(bytes)
  } catch (cause) {
    throw new DataError('CONNECT_OFFSET_UNREADABLE', 'The offset topic holds a value that is not JSON', { cause })
  }
  if (parsed === null) return null
  const offset = asOffsetMap(parsed)
  if (offset === null) throw new DataError('CONNECT_OFFSET_NOT_A_MAP', 'Offsets must be specified as a Map')
  return offset
}

/** Text that is equal for partitions that are equal as maps, whatever the order of their fields. */
export function partitionIdentity(partition: SourcePartition): string {
  const keys = Object.keys(partition)
  return jsonObject(partition, keys.length < 2 ? keys : keys.sort())
}
