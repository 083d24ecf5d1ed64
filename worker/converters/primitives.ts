import { defineConfig } from '../api/config.ts'
import type { Converter, SchemaAndValue } from '../api/converter.ts'
import { Float64, type Schema, Schemas, type Value } from '../api/data.ts'
import { DataError } from '../api/errors.ts'
import type { Headers } from '../api/record.ts'
import { javaClass } from '../api/values.ts'
import { converterTypeOption } from './converter-type.ts'

export const primitiveConverterConfig = defineConfig({
  'converter.type': converterTypeOption,
})

/** Passes bytes through untouched, without copying. */
export class ByteArrayConverter implements Converter<unknown> {
  configure(): void {}

  fromConnectData(_topic: string, _headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    if (schema !== null && schema.type !== 'BYTES') {
      throw new DataError('CONNECT_DATA_TYPE', `Invalid schema type for ByteArrayConverter: ${schema.type}`)
    }
    if (value === null || value instanceof Uint8Array) return value
    throw new DataError(
      'CONNECT_DATA_TYPE',
      `ByteArrayConverter is not compatible with objects of type ${javaClass(value)}`,
    )
  }

  toConnectData(_topic: string, _headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    return { schema: Schemas.optionalBytes, value: bytes }
  }
}

export class BooleanConverter implements Converter<unknown> {
  readonly copiesBytes = true
  configure(): void {}

  fromConnectData(_topic: string, _headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    if (schema !== null && schema.type !== 'BOOLEAN') {
      throw new DataError('CONNECT_DATA_TYPE', `Invalid schema type for BooleanConverter: ${schema.type}`)
    }
    if (value === null) return null
    if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 0)
    throw new DataError(
      'CONNECT_DATA_TYPE',
      `BooleanConverter is not compatible with objects of type ${javaClass(value)}`,
    )
  }

  toConnectData(_topic: string, _headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    if (bytes === null) return { schema: Schemas.optionalBoolean, value: null }
    const byte = bytes.length === 1 ? bytes[0] : undefined
    if (byte !== 0 && byte !== 1) {
      throw new DataError('CONNECT_DATA_SERIALIZATION', 'Failed to deserialize boolean: expected one byte, 0 or 1')
    }
    return { schema: Schemas.optionalBoolean, value: byte === 1 }
  }
}

interface NumberFormat {
  readonly name: 'short' | 'integer' | 'long' | 'float' | 'double'
  readonly type: Schema['type']
  readonly schema: Schema
  readonly bytes: number
  /** Null when the value is not of this format's type. */
  encode(value: Value, target: Buffer): boolean
  decode(source: Buffer): Value
}

function isInteger(value: Value, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value <= max && value >= -max - 1
}

function asLong(value: Value): bigint | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : null
  return typeof value === 'bigint' && BigInt.asIntN(64, value) === value ? value : null
}

function asDouble(value: Value): number | null {
  if (value instanceof Float64) return value.value
  return typeof value === 'number' ? value : null
}

/** Big-endian numbers, as Kafka's serialisers write them. */
export const numberFormats = {
  short: {
    name: 'short',
    type: 'INT16',
    schema: Schemas.optionalInt16,
    bytes: 2,
    encode: (value, target) => isInteger(value, 0x7fff) && target.writeInt16BE(value) > 0,
    decode: (source) => source.readInt16BE(),
  },
  integer: {
    name: 'integer',
    type: 'INT32',
    schema: Schemas.optionalInt32,
    bytes: 4,
    encode: (value, target) => isInteger(value, 0x7fffffff) && target.writeInt32BE(value) > 0,
    decode: (source) => source.readInt32BE(),
  },
  long: {
    name: 'long',
    type: 'INT64',
    schema: Schemas.optionalInt64,
    bytes: 8,
    encode: (value, target) => {
      const long = asLong(value)
      return long !== null && target.writeBigInt64BE(long) > 0
    },
    decode: (source) => source.readBigInt64BE(),
  },
  float: {
    name: 'float',
    type: 'FLOAT32',
    schema: Schemas.optionalFloat32,
    bytes: 4,
    encode: (value, target) => {
      const double = asDouble(value)
      return double !== null && target.writeFloatBE(double) > 0
    },
    decode: (source) => source.readFloatBE(),
  },
  double: {
    name: 'double',
    type: 'FLOAT64',
    schema: Schemas.optionalFloat64,
    bytes: 8,
    encode: (value, target) => {
      const double = asDouble(value)
      return double !== null && target.writeDoubleBE(double) > 0
    },
    decode: (source) => source.readDoubleBE(),
  },
} as const satisfies Record<NumberFormat['name'], NumberFormat>

/** One of the number converters (`IntegerConverter` and so on); only values of exactly its type are written. */
export class NumberConverter implements Converter<unknown> {
  readonly copiesBytes = true
  readonly #format: NumberFormat

  constructor(format: NumberFormat) {
    this.#format = format
  }

  configure(): void {}

  fromConnectData(_topic: string, _headers: Headers, schema: Schema | null, value: Value): Uint8Array | null {
    if (value === null) return null
    const { name, type, bytes } = this.#format
    const target = Buffer.alloc(bytes)
    if ((schema !== null && schema.type !== type) || !this.#format.encode(value, target)) {
      throw new DataError('CONNECT_DATA_TYPE', `Failed to serialize to ${name} (was ${javaClass(value)}): `)
    }
    return target
  }

  toConnectData(_topic: string, _headers: Headers, bytes: Uint8Array | null): SchemaAndValue {
    const { name, schema } = this.#format
    if (bytes === null) return { schema, value: null }
    if (bytes.length !== this.#format.bytes) {
      throw new DataError('CONNECT_DATA_SERIALIZATION', `Failed to deserialize ${name}: `, {
        context: { expectedBytes: this.#format.bytes, actualBytes: bytes.length },
      })
    }
    return { schema, value: this.#format.decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)) }
  }
}
