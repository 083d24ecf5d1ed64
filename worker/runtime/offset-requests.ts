/** Bodies of `PATCH /connectors/{c}/offsets`, checked by connector type with Connect's texts (KIP-875). */
import { RequestError } from '../api/errors.ts'
import type { SourceOffsetValue } from '../api/record.ts'
import { partitionIdentity } from '../cluster/offset-format.ts'
import type { OffsetChange, SinkOffsetChange } from './host-protocol.ts'
import type { OffsetEntry } from './worker-types.ts'

function badRequest(message: string): RequestError {
  return new RequestError(400, 'CONNECT_OFFSETS_INVALID', message)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const emptyRequest = 'Partitions / offsets need to be provided for an alter offsets request'

/** @throws RequestError 400. Of one partition named twice the last entry counts */
export function parseSinkOffsets(entries: readonly OffsetEntry[]): readonly SinkOffsetChange[] {
  if (entries.length === 0) throw badRequest(emptyRequest)
  const changes = new Map<string, SinkOffsetChange>()
  for (const { partition, offset } of entries) {
    const parsed = parseSinkPartition(partition)
    changes.set(`${parsed.partition} ${parsed.topic}`, { ...parsed, offset: parseSinkOffset(offset) })
  }
  return [...changes.values()]
}

function parseSinkPartition(given: unknown): { readonly topic: string; readonly partition: number } {
  if (given === null || given === undefined) {
    throw badRequest('The partition for a sink connector offset cannot be null or missing')
  }
  if (!isObject(given) || !Object.hasOwn(given, 'kafka_topic') || !Object.hasOwn(given, 'kafka_partition')) {
    throw badRequest(
      "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
    )
  }
  const { kafka_topic: topic, kafka_partition: partition } = given
  if (topic === null || topic === undefined) {
    throw badRequest('Kafka topic names must be valid strings and may not be null')
  }
  if (partition === null || partition === undefined) {
    throw badRequest('Kafka partitions must be valid numbers and may not be null')
  }
  const number = integerOf(partition)
  if (number === null || number > 2147483647n || number < -2147483648n) {
    throw badRequest(
      `Failed to parse the following Kafka partition value in the provided offsets: '${textOf(partition)}'. ` +
        'Partition values for sink connectors need to be integers.',
    )
  }
  return { topic: textOf(topic), partition: Number(number) }
}

function parseSinkOffset(given: unknown): bigint | null {
  if (given === null || given === undefined) return null
  if (!isObject(given) || !Object.hasOwn(given, 'kafka_offset')) {
    throw badRequest("The offset for a sink connector should either be null or contain the key 'kafka_offset'")
  }
  const offset = given['kafka_offset']
  const number = integerOf(offset)
  if (number === null) {
    throw badRequest(
      `Failed to parse the following Kafka offset value in the provided offsets: '${textOf(offset)}'. ` +
        'Offset values for sink connectors need to be integers.',
    )
  }
  return number
}

/** Numbers and their texts alike (`10`, `"10"`); null for anything that is not an integer. */
function integerOf(value: unknown): bigint | null {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : null
  return typeof value === 'string' && /^[+-]?\d+$/.test(value) ? BigInt(value) : null
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** @throws RequestError 400. Values are those that the offset topic can hold; the connector judges their meaning */
export function parseSourceOffsets(entries: readonly OffsetEntry[]): readonly OffsetChange[] {
  if (entries.length === 0) throw badRequest(emptyRequest)
  const changes = new Map<string, OffsetChange>()
  for (const { partition, offset } of entries) {
    const change = {
      partition: primitives(partition),
      offset: offset === null || offset === undefined ? null : primitives(offset),
    }
    changes.set(change.partition === null ? 'null' : partitionIdentity(change.partition), change)
  }
  return [...changes.values()]
}

function primitives(given: unknown): Readonly<Record<string, SourceOffsetValue>> | null {
  if (given === null || given === undefined) return null
  if (!isObject(given)) throw badRequest('Offsets must be specified as a Map')
  const result: Record<string, SourceOffsetValue> = {}
  for (const [field, value] of Object.entries(given)) {
    if (value !== null && typeof value === 'object') {
      const type = Array.isArray(value) ? 'ARRAY' : 'MAP'
      throw badRequest(`Offsets may only contain primitive types as values, but field ${field} contains ${type}`)
    }
    result[field] = value as SourceOffsetValue
  }
  return result
}
