import { Decimal, LogicalName, type Schema, type Struct, type Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { fromTwosComplement, isStruct } from '../../api/values.ts'

/**
 * The Connect value of a default as Avro's JSON has it: bytes are text with one character per byte, the default of a
 * union is one of its first branch. @throws DataError
 */
export function avroDefault(schema: Schema, json: Value): Value {
  if (json === null) return null
  switch (schema.name) {
    case LogicalName.decimal:
      return new Decimal(fromTwosComplement(latin1(json)), Number(schema.parameters?.get('scale') ?? 0))
    case LogicalName.date:
      return new Date(numberOf(json) * 86_400_000)
    case LogicalName.time:
    case LogicalName.timestamp:
      return new Date(numberOf(json))
    default:
  }
  switch (schema.type) {
    case 'INT64':
      return typeof json === 'bigint' ? json : BigInt(numberOf(json))
    case 'INT8':
    case 'INT16':
    case 'INT32':
    case 'FLOAT64':
      return numberOf(json)
    case 'FLOAT32':
      return Math.fround(numberOf(json))
    case 'BYTES':
      return latin1(json)
    case 'ARRAY':
      return listDefault(schema, json)
    case 'MAP':
      return mapDefault(schema, json)
    case 'STRUCT':
      return structDefault(schema, json)
    default:
      return json
  }
}

function numberOf(json: Value): number {
  if (typeof json === 'number') return json
  if (typeof json === 'bigint') return Number(json)
  if (json !== null && typeof json === 'object' && 'value' in json && typeof json.value === 'number') return json.value
  throw unfit('a number')
}

function latin1(json: Value): Uint8Array {
  if (typeof json !== 'string') throw unfit('text for its bytes')
  return Uint8Array.from(Buffer.from(json, 'latin1'))
}

function listDefault(schema: Schema, json: Value): Value {
  if (!Array.isArray(json)) throw unfit('a list')
  return (json as readonly Value[]).map((item) => avroDefault(schema.valueSchema as Schema, item))
}

function mapDefault(schema: Schema, json: Value): Value {
  const { keySchema, valueSchema } = schema as { keySchema: Schema; valueSchema: Schema }
  if (Array.isArray(json)) {
    return new Map(
      (json as readonly (readonly Value[])[]).map(([key = null, item = null]) => [
        avroDefault(keySchema, key),
        avroDefault(valueSchema, item),
      ]),
    )
  }
  if (json === null || !isStruct(json)) throw unfit('an object')
  return new Map(Object.entries(json).map(([key, item]) => [key, avroDefault(valueSchema, item)]))
}

function structDefault(schema: Schema, json: Value): Value {
  if (json === null || !isStruct(json)) throw unfit('an object')
  const struct: Record<string, Value> = {}
  for (const field of schema.fields)
    struct[field.name] = avroDefault(field.schema, (json as Struct)[field.name] ?? null)
  return struct
}

function unfit(expected: string): DataError {
  return new DataError('CONNECT_REGISTRY_SCHEMA', `A default of an Avro schema is not ${expected}`)
}
