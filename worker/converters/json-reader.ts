import { Decimal, Float64, LogicalName, type Schema, type SchemaType, type Struct, type Value } from '../api/data.ts'
import { DataError } from '../api/errors.ts'
import { fromTwosComplement, isStruct } from '../api/values.ts'

type Read = (json: Value) => Value

export interface JsonReaderOptions {
  readonly replaceNullWithDefault: boolean
  /** Maps whose keys are no text: `[[key,value],…]` (default) or `[{"key":…,"value":…},…]`. */
  readonly maps?: 'pairs' | 'entries'
  /** Structs of which one field is set: of those whose schema fits, the one of most members. */
  readonly isUnion?: (schema: Schema) => boolean
}

/**
 * Turns parsed JSON into values of a schema, compiled once per schema. JSON numbers with a fraction may come as
 * doubles or as exact `Decimal`s. A wrong JSON type is an error, never coerced (I6).
 */
export class JsonReader {
  readonly #options: JsonReaderOptions
  readonly #readers = new WeakMap<Schema, Read>()

  constructor(options: JsonReaderOptions) {
    this.#options = options
  }

  /** @throws DataError */
  read(schema: Schema, json: Value): Value {
    return this.#reader(schema)(json)
  }

  #reader(schema: Schema): Read {
    let read = this.#readers.get(schema)
    if (read === undefined) {
      read = this.#nullable(schema)
      this.#readers.set(schema, read)
    }
    return read
  }

  #nullable(schema: Schema): Read {
    const read = this.#compile(schema)
    const fallback = this.#options.replaceNullWithDefault ? schema.defaultValue : null
    const { optional, type } = schema
    return (json) => {
      if (json !== null) return read(json)
      if (fallback !== null) return fallback
      if (optional) return null
      throw new DataError('CONNECT_DATA_NULL', `Invalid null value for required ${type} field`)
    }
  }

  #compile(schema: Schema): Read {
    switch (schema.name) {
      case LogicalName.decimal:
        return decimalReader(schema)
      case LogicalName.date:
        return (json) => new Date(logicalInteger('Date', json) * 86_400_000)
      case LogicalName.time:
        return (json) => new Date(logicalInteger('Time', json))
      case LogicalName.timestamp:
        return (json) => new Date(logicalInteger('Timestamp', json))
      default:
    }
    switch (schema.type) {
      case 'INT8':
        return integerReader('INT8', 0x7f)
      case 'INT16':
        return integerReader('INT16', 0x7fff)
      case 'INT32':
        return integerReader('INT32', 0x7fffffff)
      case 'INT64':
        return readInt64
      case 'FLOAT32':
        return (json) => Math.fround(asDouble('FLOAT32', json))
      case 'FLOAT64':
        return (json) => asDouble('FLOAT64', json)
      case 'BOOLEAN':
        return (json) => {
          if (typeof json !== 'boolean') throw wrongType('BOOLEAN', json)
          return json
        }
      case 'STRING':
        return (json) => {
          if (typeof json !== 'string') throw wrongType('STRING', json)
          return json
        }
      case 'BYTES':
        return (json) => fromBase64('BYTES', json)
      case 'ARRAY':
        return this.#array(schema)
      case 'MAP':
        return this.#map(schema)
      case 'STRUCT':
        return this.#options.isUnion?.(schema) === true ? this.#union(schema) : this.#struct(schema)
    }
  }

  #array(schema: Schema): Read {
    const element = this.#reader(schema.valueSchema as Schema)
    return (json) => {
      if (!Array.isArray(json)) throw wrongType('ARRAY', json)
      return (json as readonly Value[]).map(element)
    }
  }

  #map(schema: Schema): Read {
    const readKey = this.#reader(schema.keySchema as Schema)
    const readItem = this.#reader(schema.valueSchema as Schema)
    if (schema.keySchema?.type === 'STRING') {
      return (json) => {
        if (!isStruct(json)) {
          throw bad(`Maps with string fields should be encoded as JSON objects, but found ${nodeType(json)}`)
        }
        return new Map(Object.entries(json).map(([key, item]) => [key, readItem(item)]))
      }
    }
    if (this.#options.maps === 'entries') return entriesReader(readKey, readItem)
    return (json) => {
      if (!Array.isArray(json)) {
        throw bad(`Maps with non-string fields should be encoded as JSON array of tuples, but found ${nodeType(json)}`)
      }
      const map = new Map<Value, Value>()
      for (const entry of json as readonly Value[]) {
        if (!Array.isArray(entry)) throw bad(`Found invalid map entry instead of array tuple: ${nodeType(entry)}`)
        if (entry.length !== 2) throw bad(`Found invalid map entry, expected length 2 but found :${entry.length}`)
        const [key = null, item = null] = entry as readonly Value[]
        map.set(readKey(key), readItem(item))
      }
      return map
    }
  }

  #union(schema: Schema): Read {
    const branches = schema.fields.map((field) => ({
      name: field.name,
      read: this.#reader(field.schema),
      members: field.schema.fields.map((member) => member.name),
    }))
    return (json) => {
      let chosen: { readonly name: string; readonly value: Value } | null = null
      let most = -1
      for (const { name, read, members } of branches) {
        // A struct whose fields are optional fits any object; what it does not name would be lost (I6).
        const known =
          json !== null && isStruct(json) ? members.filter((member) => Object.hasOwn(json, member)).length : 0
        if (known <= most) continue
        try {
          chosen = { name, value: read(json) }
          most = known
        } catch (error) {
          // Another branch may fit; only none is an error.
          if (!(error instanceof DataError)) throw error
        }
      }
      if (chosen === null) throw bad(`No branch of a union fits JSON ${nodeType(json)}`)
      const { name: chosenName, value } = chosen
      return Object.fromEntries(branches.map(({ name }) => [name, name === chosenName ? value : null]))
    }
  }

  #struct(schema: Schema): Read {
    const fields = schema.fields.map(({ name, schema: s }) => ({
      name,
      read: this.#reader(s),
      // A name such as `constructor` is found on every object; only an own member counts.
      inherited: name in Object.prototype,
    }))
    return (json) => {
      if (!isStruct(json)) throw bad(`Structs should be encoded as JSON objects, but found ${nodeType(json)}`)
      const struct: Record<string, Value> = {}
      for (let i = 0; i < fields.length; i++) {
        const { name, read, inherited } = fields[i] as (typeof fields)[number]
        if (inherited) defineMember(struct, name, read(ownMember(json, name)))
        else struct[name] = read(json[name] ?? null)
      }
      return struct
    }
  }
}

function entriesReader(readKey: Read, readItem: Read): Read {
  return (json) => {
    if (!Array.isArray(json)) throw bad(`Maps should be encoded as JSON array of entries, but found ${nodeType(json)}`)
    const map = new Map<Value, Value>()
    for (const entry of json as readonly Value[]) {
      if (!isStruct(entry)) throw bad(`Found invalid map entry instead of object: ${nodeType(entry)}`)
      map.set(readKey(entry['key'] ?? null), readItem(entry['value'] ?? null))
    }
    return map
  }
}

function ownMember(json: Struct, name: string): Value {
  return Object.hasOwn(json, name) ? (json[name] ?? null) : null
}

/** An assignment to `__proto__` would set the prototype instead of a member. */
function defineMember(struct: Record<string, Value>, name: string, value: Value): void {
  Object.defineProperty(struct, name, { value, enumerable: true, configurable: true, writable: true })
}

function integerReader(type: SchemaType, max: number): Read {
  return (json) => {
    if (typeof json !== 'number' || !Number.isInteger(json)) throw wrongType(type, json)
    if (json > max || json < -max - 1) throw new DataError('CONNECT_DATA_RANGE', `Value is out of range for ${type}`)
    // JSON has a negative zero, integers have not.
    return json + 0
  }
}

const readInt64: Read = (json) => {
  if (typeof json === 'number' && Number.isInteger(json)) return BigInt(json)
  if (typeof json !== 'bigint') throw wrongType('INT64', json)
  if (BigInt.asIntN(64, json) !== json) throw new DataError('CONNECT_DATA_RANGE', 'Value is out of range for INT64')
  return json
}

function asDouble(type: SchemaType, json: Value): number {
  // The text -0 is an integer to Java, which has no sign there.
  if (typeof json === 'number') return json + 0
  if (json instanceof Float64) return json.value
  if (json instanceof Decimal) return Number(`${json.unscaled}e${-json.scale}`)
  if (typeof json === 'bigint') return Number(json)
  // What the writer makes of numbers that JSON does not have.
  if (json === 'NaN' || json === 'Infinity' || json === '-Infinity') return Number(json)
  throw wrongType(type, json)
}

function decimalReader(schema: Schema): Read {
  const scale = Number(schema.parameters?.get('scale') ?? Number.NaN)
  return (json) => {
    if (json instanceof Decimal) return json
    if (typeof json === 'bigint' || (typeof json === 'number' && Number.isInteger(json))) {
      return new Decimal(BigInt(json), 0)
    }
    if (typeof json !== 'string') {
      throw bad(
        `Invalid type for Decimal, underlying representation should be numeric or bytes but was ${nodeType(json)}`,
      )
    }
    if (!Number.isInteger(scale)) {
      throw new DataError('CONNECT_DATA_SCHEMA', 'Invalid Decimal schema: no integer parameter "scale"')
    }
    return new Decimal(fromTwosComplement(fromBase64('Decimal', json)), scale)
  }
}

function logicalInteger(name: 'Date' | 'Time' | 'Timestamp', json: Value): number {
  const integral = typeof json === 'number' && Number.isInteger(json)
  if (!integral || Math.abs(json) > (name === 'Timestamp' ? Number.MAX_SAFE_INTEGER : 0x80000000)) {
    const kind = name === 'Timestamp' ? 'integral' : 'integer'
    throw bad(`Invalid type for ${name}, underlying representation should be ${kind} but was ${nodeType(json)}`)
  }
  if (Math.abs(json) > farthest[name]) {
    const message = `${name} ${json} is further from 1970 than a JavaScript Date reaches: ±8.64e15 ms`
    throw new DataError('CONNECT_DATA_DATE', message)
  }
  return json
}

/** In the unit of each type; beyond it a Date would silently be none (I6). */
const farthest = { Date: 1e8, Time: 0x80000000, Timestamp: 8.64e15 }

const base64Text = /^[A-Za-z0-9+/]*={0,2}$/

function fromBase64(type: string, json: Value): Uint8Array {
  if (typeof json !== 'string') throw wrongType(type, json)
  // Node's decoder skips what it does not know; that would be a silent loss (I6).
  if (json.length % 4 !== 0 || !base64Text.test(json)) throw bad(`Invalid base64 text for ${type}`)
  return Buffer.from(json, 'base64')
}

/** Jackson's name of a JSON node type, for error texts. */
export function nodeType(json: Value): string {
  if (json === null) return 'NULL'
  if (typeof json === 'string') return 'STRING'
  if (typeof json === 'boolean') return 'BOOLEAN'
  if (Array.isArray(json)) return 'ARRAY'
  return isStruct(json) ? 'OBJECT' : 'NUMBER'
}

function wrongType(type: string, json: Value): DataError {
  return bad(`Invalid type for ${type}: found JSON ${nodeType(json)}`)
}

function bad(message: string): DataError {
  return new DataError('CONNECT_DATA_TYPE', message)
}
