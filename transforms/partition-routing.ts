import { atLeast, type ConfigOf, defineConfig, nonEmptyList, oneOfIgnoringCase } from '../worker/api/config.ts'
import { Decimal, type Field, type Schema, type Struct, type Value } from '../worker/api/data.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { isStruct } from '../worker/api/values.ts'
import { debeziumVersion, isEnvelope, rawMember } from './change-event.ts'
import { murmurHash } from './murmur-hash.ts'
import { fieldValue } from './record-part.ts'

const config = defineConfig(
  {
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
      valid: oneOfIgnoringCase('java', 'murmur'),
      doc: "Hash of the values: Java's hashCode, or murmur, which spreads values that resemble each other.",
    },
  },
  {
    validate: (options) =>
      options['partition.payload.fields'].includes('')
        ? [{ option: 'partition.payload.fields', message: 'An element of the list is empty' }]
        : [],
  },
)

/** Debezium's PartitionRouting: the partition follows from values of the row, so that rows of equal ones stay in order. */
class PartitionRouting implements Transformation<ConfigOf<typeof config>> {
  #paths: readonly (readonly string[])[] = []
  #partitions = 1
  #hash = javaHash

  configure(options: ConfigOf<typeof config>): void {
    this.#paths = options['partition.payload.fields'].map((field) => field.trim().split('.'))
    this.#partitions = options['partition.topic.num']
    this.#hash = options['partition.hash.function'].toLowerCase() === 'murmur' ? murmur : javaHash
  }

  apply<R extends ConnectRecord>(record: R): R {
    const { value, valueSchema } = record
    if (!isEnvelope(valueSchema) || !isStruct(value)) return record
    // Truncations and messages concern no row.
    if (value['op'] === 't' || value['op'] === 'm') return record
    let sum = 0
    let found = false
    for (const path of this.#paths) {
      const field = fieldAt(valueSchema, value, path)
      if (field === null) continue
      sum = (sum + this.#hash(field.schema, field.value)) | 0
      found = true
    }
    if (!found) return record
    const positive = sum & 0x7fffffff
    // Debezium sends the greatest hash to the first partition.
    return record.with({ partition: positive === 0x7fffffff ? 0 : positive % this.#partitions })
  }
}

interface FoundField {
  readonly schema: Schema | null
  readonly value: Exclude<Value, null>
}

/** Null where the event has no such field, or a null one. */
function fieldAt(envelope: Schema, event: Struct, path: readonly string[]): FoundField | null {
  let schema: Schema | null = envelope
  let value: Value = event
  for (const [i, step] of path.entries()) {
    const name: string = i === 0 && step === 'change' ? (rawMember(event, 'after') === null ? 'before' : 'after') : step
    const field: Field | undefined = schema?.fieldsByName.get(name)
    if (!isStruct(value) || field === undefined) return null
    value = fieldValue(value, field, true)
    schema = field.schema
  }
  return value === null ? null : { schema, value }
}

/** `Object.hashCode` of the Java value. @throws DataError for a type without a stable one */
function javaHash(schema: Schema | null, value: Value): number {
  if (value === null) return 0
  if (typeof value === 'string') {
    let hash = 0
    for (let i = 0; i < value.length; i++) hash = (Math.imul(31, hash) + value.charCodeAt(i)) | 0
    return hash
  }
  if (typeof value === 'boolean') return value ? 1231 : 1237
  if (typeof value === 'bigint') return longHash(value)
  if (typeof value === 'number') return numberHash(schema, value)
  if (value instanceof Date) return longHash(BigInt(value.getTime()))
  if (value instanceof Decimal) return (Math.imul(31, bigIntegerHash(value.unscaled)) + value.scale) | 0
  if (Array.isArray(value)) {
    const element = schema?.valueSchema ?? null
    return (value as readonly Value[]).reduce<number>(
      (hash, item) => (Math.imul(31, hash) + javaHash(element, item)) | 0,
      1,
    )
  }
  throw new DataError('CONNECT_DATA_TYPE', 'A field of partition.payload.fields has a type without a hash')
}

/** Of bytes and text their own, of anything else that of Java's hash. */
function murmur(schema: Schema | null, value: Value): number {
  if (value instanceof Uint8Array) return murmurHash(value)
  // Java has a question mark for half a surrogate pair.
  if (typeof value === 'string') return murmurHash(Buffer.from(value.replace(loneSurrogate, '?')))
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32LE(javaHash(schema, value))
  return murmurHash(bytes)
}

const loneSurrogate = /\p{Surrogate}/gu

/** Of Integer, Float or Double, as the schema says. */
function numberHash(schema: Schema | null, value: number): number {
  const bits = new DataView(new ArrayBuffer(8))
  if (schema?.type === 'FLOAT32') {
    bits.setFloat32(0, value)
    return bits.getInt32(0)
  }
  if (schema?.type !== 'FLOAT64' && Number.isInteger(value)) return value | 0
  bits.setFloat64(0, value)
  return longHash(bits.getBigInt64(0))
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
