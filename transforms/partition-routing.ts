import { atLeast, type ConfigOf, defineConfig, nonEmptyList, oneOfIgnoringCase } from '../worker/api/config.ts'
import { Decimal, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'

const config = defineConfig({
  'partition.payload.fields': {
    type: 'LIST',
    importance: 'HIGH',
    valid: nonEmptyList,
    doc: 'Fields that decide about the partition: change.x is the column x (after, or before of a delete), source.x metadata.',
  },
  'partition.topic.num': {
    type: 'INT',
    importance: 'HIGH',
    valid: atLeast(1),
    doc: 'Partitions of the topic.',
  },
  'partition.hash.function': {
    type: 'STRING',
    default: 'java',
    importance: 'LOW',
    valid: oneOfIgnoringCase('java'),
    doc: "Hash of the values: Java's hashCode. Debezium's murmur is not supported.",
  },
})

/** Debezium's PartitionRouting: the partition follows from values of the row, so that rows of equal ones stay in order. */
class PartitionRouting implements Transformation<ConfigOf<typeof config>> {
  #paths: readonly (readonly string[])[] = []
  #partitions = 1

  configure(options: ConfigOf<typeof config>): void {
    this.#paths = options['partition.payload.fields'].map((field) => field.trim().split('.'))
    this.#partitions = options['partition.topic.num']
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    if (!isEnvelope(valueSchema) || !isStruct(value)) return record
    let sum = 0
    let found = false
    for (const path of this.#paths) {
      const field = valueAt(value, path)
      if (field === null) continue
      sum = (sum + javaHash(field)) | 0
      found = true
    }
    return found ? record.with({ partition: (sum & 0x7fffffff) % this.#partitions }) : record
  }
}

/** Null where the event has no such field. */
function valueAt(envelope: Struct, [first = '', ...rest]: readonly string[]): Value {
  let current: Value =
    first === 'change' ? (rawMember(envelope, 'after') ?? rawMember(envelope, 'before')) : rawMember(envelope, first)
  for (const step of rest) current = isStruct(current) ? rawMember(current, step) : null
  return current
}

/** `Object.hashCode` of the Java value. @throws DataError for a type without a stable one */
function javaHash(value: Value): number {
  if (typeof value === 'string') {
    let hash = 0
    for (let i = 0; i < value.length; i++) hash = (Math.imul(31, hash) + value.charCodeAt(i)) | 0
    return hash
  }
  if (typeof value === 'boolean') return value ? 1231 : 1237
  if (typeof value === 'bigint') return longHash(value)
  if (typeof value === 'number' && Number.isInteger(value)) return value | 0
  if (typeof value === 'number') {
    const bits = new DataView(new ArrayBuffer(8))
    bits.setFloat64(0, value)
    return longHash(bits.getBigInt64(0))
  }
  if (value instanceof Date) return longHash(BigInt(value.getTime()))
  if (value instanceof Decimal) return (Math.imul(31, bigIntegerHash(value.unscaled)) + value.scale) | 0
  throw new DataError('CONNECT_DATA_TYPE', 'A field of partition.payload.fields has a type without a hash')
}

function longHash(value: bigint): number {
  const bits = BigInt.asUintN(64, value)
  return Number(BigInt.asIntN(32, (bits >> 32n) ^ bits))
}

/** Java's BigInteger: 31-polynomial over 32-bit digits of the magnitude, times the sign. */
function bigIntegerHash(value: bigint): number {
  let magnitude = value < 0n ? -value : value
  const digits: number[] = []
  for (; magnitude > 0n; magnitude >>= 32n) digits.unshift(Number(magnitude & 0xffffffffn))
  const hash = digits.reduce((sum, digit) => (Math.imul(31, sum) + digit) | 0, 0)
  return value < 0n ? -hash | 0 : hash
}

export const partitionRouting = defineTransformation({
  name: 'io.debezium.transforms.partitions.PartitionRouting',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new PartitionRouting(),
})
