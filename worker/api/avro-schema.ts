/**
 * Connect schemas as Avro schemas, and Connect values in Avro's binary encoding, the way of Confluent's `AvroData`.
 * Whoever writes Avro takes it from here, so that files and messages agree.
 */

import { connectDefaultJson, defaultJson, epochOf, isAvroDefault, isAvroMap } from './avro-defaults.ts'
import { AvroOutput } from './avro-output.ts'
import { isAvroUnion } from './avro-unions.ts'
import type { ByteWriter } from './converter.ts'
import { copySchema, Decimal, type Field, LogicalName, type Schema, schemaEquals, type Value } from './data.ts'
import type { DataError } from './errors.ts'
import { inHashOrder } from './java-hash.ts'
import { stringifyJson } from './json.ts'
import { enumerationOf } from './sum-types.ts'
import { twosComplement } from './values.ts'

/** Namespace of names that a Connect schema does not give. */
export const avroNamespace = 'io.confluent.connect.avro'
/** Parameter of Connect schemas that came from Avro enumerations. */
export const avroEnumParameter = `${avroNamespace}.Enum`
const fixedSizeParameter = 'connect.fixed.size'
const precisionParameter = 'connect.decimal.precision'
const defaultPrecision = 64

export interface AvroOptions {
  /** Enumerations become enums again (`enhanced.avro.schema.support`); else they are strings. */
  readonly enhanced: boolean
  /** Adds names, versions, docs and parameters of Connect as `connect.*` properties (`connect.meta.data`). */
  readonly connectMetaData: boolean
  /** Maps with optional text as keys are Avro maps (`allow.optional.map.keys`); else lists of entries. */
  readonly optionalMapKeys: boolean
  /** Enumerations of any format become enums (`generalized.sum.type.support`). */
  readonly generalizedSumTypes?: boolean
  /** A null of an optional field stays one where it has a default (`ignore.default.for.nullables`). */
  readonly ignoreDefaults?: boolean
  /** Docs of fields are those of their schemas (`discard.type.doc.default`). */
  readonly discardTypeDocs?: boolean
  /** The error for a value or schema that does not fit. */
  mismatch(schema: Schema, found: string): DataError
}

type Json = { readonly [name: string]: Value }

/** One Connect schema, compiled: its Avro schema and how its values are written. */
export interface AvroType {
  /** The Avro schema as JSON text. */
  readonly text: string
  /** Appends the binary encoding. What was written before an error must be rolled back. @throws DataError */
  write(value: Value, out: ByteWriter): void
}

/** @throws DataError when two different schemas have the same name */
export function compileAvro(schema: Schema, options: AvroOptions): AvroType {
  const { json, write } = new Compiler(options).type(schema)
  const output = new AvroOutput()
  return {
    text: stringifyJson(json),
    write: (value, out) => write(value, output.to(out)),
  }
}

type Write = (value: Value, out: AvroOutput) => void

interface Node {
  readonly json: Value
  readonly write: Write
}

class Compiler {
  readonly #options: AvroOptions
  /** Named types so far: a second use refers to the name. Null while the type is compiled, within which it is taken. */
  readonly #named = new Map<string, { readonly schema: Schema; readonly node: Node } | null>()
  #unnamed = 0
  /** Namespace of the record whose fields are compiled: names in it go without theirs. */
  #namespace: string | null = null

  constructor(options: AvroOptions) {
    this.#options = options
  }

  /** With the null that an optional schema allows. */
  type(schema: Schema): Node {
    if (isAvroUnion(schema)) return this.#union(schema)
    const base = this.#base(schema)
    const { write } = base
    const { defaultValue } = schema
    if (!schema.optional) {
      return {
        json: base.json,
        write: (value, out) => {
          if (value !== null) write(value, out)
          else if (defaultValue !== null) write(defaultValue, out)
          else throw this.#options.mismatch(schema, 'null for a required field without a default')
        },
      }
    }
    // The type of a default comes first in a union; a struct's default is not written.
    const nullFirst = defaultValue === null || schema.type === 'STRUCT'
    const [nullIndex, valueIndex] = nullFirst ? [0, 1] : [1, 0]
    const replacement = this.#options.ignoreDefaults === true ? null : defaultValue
    return {
      json: nullFirst ? ['null', base.json] : [base.json, 'null'],
      write: (value, out) => {
        const present = value ?? replacement
        out.integer(present === null ? nullIndex : valueIndex)
        if (present !== null) write(present, out)
      },
    }
  }

  #base(schema: Schema): Node {
    switch (schema.type) {
      case 'INT8':
        return this.#primitive(schema, 'int', this.#integer(schema, 8), { 'connect.type': 'int8' })
      case 'INT16':
        return this.#primitive(schema, 'int', this.#integer(schema, 16), { 'connect.type': 'int16' })
      case 'INT32':
        return this.#primitive(schema, 'int', this.#integer(schema, 32))
      case 'INT64':
        return this.#primitive(schema, 'long', this.#long(schema))
      case 'FLOAT32':
        return this.#primitive(
          schema,
          'float',
          this.#typed(schema, 'number', (value, out) => out.float(value)),
        )
      case 'FLOAT64':
        return this.#primitive(
          schema,
          'double',
          this.#typed(schema, 'number', (value, out) => out.double(value)),
        )
      case 'BOOLEAN':
        return this.#primitive(
          schema,
          'boolean',
          this.#typed(schema, 'boolean', (value, out) => out.boolean(value)),
        )
      case 'STRING':
        return this.#string(schema)
      case 'BYTES':
        return this.#bytes(schema)
      case 'ARRAY':
        return this.#array(schema)
      case 'MAP':
        return this.#map(schema)
      case 'STRUCT':
        return this.#record(schema)
    }
  }

  #typed<T extends 'number' | 'string' | 'boolean'>(
    schema: Schema,
    type: T,
    write: (value: T extends 'number' ? number : T extends 'string' ? string : boolean, out: AvroOutput) => void,
  ): Write {
    const { mismatch } = this.#options
    return (value, out) => {
      if (typeof value !== type) throw mismatch(schema, typeof value)
      write(value as Parameters<typeof write>[0], out)
    }
  }

  #integer(schema: Schema, bits: number): Write {
    const { mismatch } = this.#options
    const limit = 2 ** (bits - 1)
    return (value, out) => {
      const number = value instanceof Date ? epochOf(schema, value) : value
      if (typeof number !== 'number' || !Number.isInteger(number) || number < -limit || number >= limit) {
        throw mismatch(schema, typeof number === 'number' ? 'a number out of its range' : typeof number)
      }
      out.integer(number)
    }
  }

  #long(schema: Schema): Write {
    const { mismatch } = this.#options
    return (value, out) => {
      if (typeof value === 'bigint') {
        if (BigInt.asIntN(64, value) !== value) throw mismatch(schema, 'an integer beyond 64 bits')
        return out.long(value)
      }
      const number = value instanceof Date ? value.getTime() : value
      if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw mismatch(schema, typeof number)
      out.integer(number)
    }
  }

  #primitive(schema: Schema, type: string, write: Write, connectType: Json = {}): Node {
    // In the order of `AvroData`: readers compare the text, too.
    const { logicalType, ...digits } = logicalTypeOf(schema)
    const properties = { ...digits, ...this.#metaData(schema, connectType), ...(logicalType && { logicalType }) }
    const json = Object.keys(properties).length === 0 ? type : { type, ...properties }
    return { json, write }
  }

  #string(schema: Schema): Node {
    const { enhanced, generalizedSumTypes } = this.#options
    const enumeration = enhanced || generalizedSumTypes === true ? enumerationOf(schema, avroEnumParameter) : null
    if (enumeration !== null) return this.#enumeration(schema, enumeration)
    const write = this.#typed(schema, 'string', (value, out) => out.string(value))
    return this.#primitive(schema, 'string', write)
  }

  #enumeration(schema: Schema, enumeration: NonNullable<ReturnType<typeof enumerationOf>>): Node {
    const { name } = enumeration
    const symbols = enumeration.symbols.map(([symbol]) => symbol)
    const { mismatch, discardTypeDocs } = this.#options
    const own = (schema.name ?? '').split('.').at(-1) ?? ''
    const doc = docOf(schema, discardTypeDocs === true ? 'connect.enum.doc' : `${avroNamespace}.enum.doc.${own}`)
    const fallback = schema.parameters?.get(`${avroNamespace}.enum.default.${own}`)
    const chosen = fallback === undefined || discardTypeDocs === true ? {} : { default: fallback }
    return this.#name(name, schema, (named) => ({
      json: { type: 'enum', ...named, ...doc, symbols, ...chosen, ...this.#metaData(schema) },
      write: this.#typed(schema, 'string', (value, out) => {
        const at = symbols.indexOf(value)
        if (at < 0) throw mismatch(schema, 'text that is no symbol of the enumeration')
        out.integer(at)
      }),
    }))
  }

  #bytes(schema: Schema): Node {
    const { mismatch } = this.#options
    const fixed = schema.name === null ? undefined : schema.parameters?.get(fixedSizeParameter)
    if (fixed !== undefined) {
      const size = Number(fixed)
      return this.#name(schema.name ?? '', schema, (named) => ({
        json: { type: 'fixed', ...named, size, ...this.#metaData(schema) },
        write: (value, out) => {
          if (!(value instanceof Uint8Array) || value.length !== size) throw mismatch(schema, `not ${size} bytes`)
          out.raw(value)
        },
      }))
    }
    const scale = Number(schema.parameters?.get('scale') ?? 0)
    const write: Write =
      schema.name === LogicalName.decimal
        ? (value, out) => {
            if (!(value instanceof Decimal) || value.scale !== scale) throw mismatch(schema, 'no decimal of its scale')
            out.bytes(twosComplement(value.unscaled))
          }
        : (value, out) => {
            if (!(value instanceof Uint8Array)) throw mismatch(schema, typeof value)
            out.bytes(value)
          }
    return this.#primitive(schema, 'bytes', write)
  }

  #array(schema: Schema): Node {
    const { mismatch } = this.#options
    const items = this.type(this.#part(schema, schema.valueSchema))
    return {
      json: { type: 'array', items: items.json, ...this.#metaData(schema) },
      write: (value, out) => {
        if (!Array.isArray(value)) throw mismatch(schema, typeof value)
        const list = value as readonly Value[]
        if (list.length > 0) out.integer(list.length)
        for (const item of list) items.write(item, out)
        out.integer(0)
      },
    }
  }

  /** Avro's maps have text as keys; others become lists of entries. */
  #map(schema: Schema): Node {
    const { mismatch, optionalMapKeys } = this.#options
    const keySchema = this.#part(schema, schema.keySchema)
    const valueSchema = this.#part(schema, schema.valueSchema)
    if (!isAvroMap(schema, optionalMapKeys)) return this.#entries(schema)
    const values = this.type(valueSchema)
    return {
      json: { type: 'map', values: values.json, ...this.#metaData(schema) },
      write: (value, out) => {
        if (!(value instanceof Map)) throw mismatch(schema, typeof value)
        const map = value as ReadonlyMap<Value, Value>
        if (map.size > 0) out.integer(map.size)
        for (const [key, item] of inHashOrder([...map])) {
          if (typeof key !== 'string') throw mismatch(keySchema, typeof key)
          out.string(key)
          values.write(item, out)
        }
        out.integer(0)
      },
    }
  }

  #entries(schema: Schema): Node {
    const { mismatch } = this.#options
    const fullName = schema.name ?? `${avroNamespace}.MapEntry`
    const entry = this.#name(fullName, schema, (named) => {
      const keySchema = this.#part(schema, schema.keySchema)
      const valueSchema = this.#part(schema, schema.valueSchema)
      const key = this.type(keySchema)
      const item = this.type(valueSchema)
      const marked = schema.name === null ? {} : { 'connect.internal.type': 'MapEntry' }
      const fields = [
        this.#field(schema, { name: 'key', schema: keySchema }, key.json),
        this.#field(schema, { name: 'value', schema: valueSchema }, item.json),
      ]
      return {
        json: { type: 'record', ...named, fields, ...marked },
        write: (value, out) => {
          if (!(value instanceof Map)) throw mismatch(schema, typeof value)
          const map = value as ReadonlyMap<Value, Value>
          if (map.size > 0) out.integer(map.size)
          for (const [k, v] of inHashOrder([...map])) {
            key.write(k, out)
            item.write(v, out)
          }
          out.integer(0)
        },
      }
    })
    return { json: { type: 'array', items: entry.json, ...this.#metaData(schema) }, write: entry.write }
  }

  #record(schema: Schema): Node {
    const { mismatch } = this.#options
    const fullName = schema.name ?? this.#defaultName()
    return this.#name(fullName, schema, (named) => {
      const fields = schema.fields.map((field) => ({ name: field.name, node: this.type(field.schema) }))
      const json = {
        type: 'record',
        ...named,
        ...docOf(schema, this.#options.discardTypeDocs === true ? 'connect.record.doc' : `${avroNamespace}.record.doc`),
        fields: schema.fields.map((field, i) => this.#field(schema, field, fields[i]?.node.json ?? null)),
        ...this.#metaData(schema),
      }
      const write: Write = (value, out) => {
        if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof Map) {
          throw mismatch(schema, typeof value)
        }
        const struct = value as { readonly [name: string]: Value }
        for (const field of fields) field.node.write(struct[field.name] ?? null, out)
      }
      return { json, write }
    })
  }

  #field(record: Schema, { name, schema }: Pick<Field, 'name' | 'schema'>, type: Value): Json {
    this.#checkName(record, name)
    const own = schema.doc === null ? {} : { doc: schema.doc }
    const doc = this.#options.discardTypeDocs === true ? own : docOf(record, `${avroNamespace}.field.doc.${name}`)
    const { defaultValue, optional } = schema
    const { optionalMapKeys } = this.#options
    if (defaultValue === null) return { name, type, ...doc, ...(optional ? { default: null } : {}) }
    // Avro takes fewer defaults than Connect; Java leaves out the others, too.
    const expressible = !(optional && schema.type === 'STRUCT') && isAvroDefault(schema, defaultValue, optionalMapKeys)
    return {
      name,
      type,
      ...doc,
      ...(expressible ? { default: defaultJson(schema, defaultValue, optionalMapKeys) } : {}),
    }
  }

  /** A struct of which one field is set stands for an Avro union. */
  #union(schema: Schema): Node {
    const { mismatch } = this.#options
    const branches = schema.fields.map(({ name, schema: branch }) => {
      return { name, node: this.type(copySchema(branch, { optional: false })) }
    })
    const first = schema.optional ? 1 : 0
    return {
      json: [...(schema.optional ? ['null'] : []), ...branches.map(({ node }) => node.json)],
      write: (value, out) => {
        if (value === null && schema.optional) return out.integer(0)
        if (value === null || typeof value !== 'object') throw mismatch(schema, typeof value)
        const struct = value as { readonly [name: string]: Value }
        const at = branches.findIndex(({ name }) => (struct[name] ?? null) !== null)
        const branch = branches[at]
        if (branch === undefined) throw mismatch(schema, 'no branch that is set')
        out.integer(first + at)
        branch.node.write(struct[branch.name] ?? null, out)
      },
    }
  }

  /** The first use defines a name, others refer to it. A namespace that is that of the record around it is left out. */
  #name(fullName: string, schema: Schema, define: (named: Json) => Node): Node {
    const plain = copySchema(schema, { optional: false, defaultValue: null })
    const at = fullName.lastIndexOf('.')
    const name = fullName.slice(at + 1)
    const namespace = at < 0 ? null : fullName.slice(0, at)
    const outer = this.#namespace
    const known = this.#named.get(fullName)
    if (known !== undefined) {
      if (known === null || !schemaEquals(known.schema, plain)) {
        throw this.#options.mismatch(schema, `the name ${fullName}, which another schema has, too`)
      }
      return { json: namespace === outer ? name : fullName, write: known.node.write }
    }
    // The namespace is any text, as Avro's Java library up to 1.11 takes it.
    this.#checkName(schema, name)
    this.#namespace = namespace
    this.#named.set(fullName, null)
    const node = define({ name, ...(namespace === outer ? {} : { namespace: namespace ?? '' }) })
    this.#namespace = outer
    this.#named.set(fullName, { schema: plain, node })
    return node
  }

  #checkName(schema: Schema, name: string): void {
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return
    throw this.#options.mismatch(schema, `the name '${name}': Avro has letters, digits and underscores only`)
  }

  #defaultName(): string {
    const count = ++this.#unnamed
    return `${avroNamespace}.ConnectDefault${count === 1 ? '' : count}`
  }

  #part(schema: Schema, part: Schema | null): Schema {
    if (part === null) throw this.#options.mismatch(schema, 'no schema of its elements')
    return part
  }

  #metaData(schema: Schema, connectType: Json = {}): Json {
    const fromAvro = [...(schema.parameters ?? [])].filter(([key]) => key.startsWith('avro'))
    const kept = Object.fromEntries(fromAvro)
    const { connectMetaData, optionalMapKeys } = this.#options
    if (!connectMetaData) return kept
    const { doc, version, parameters, defaultValue, name } = schema
    const fieldDefault = `${avroNamespace}.field.default`
    const ofField = this.#options.discardTypeDocs !== true && parameters?.has(fieldDefault) === true
    const shown = [...(parameters ?? [])].filter(([key]) => !ofField || key !== fieldDefault)
    return {
      ...(doc === null ? {} : { 'connect.doc': doc }),
      ...(version === null ? {} : { 'connect.version': version }),
      ...(shown.length === 0 ? {} : { 'connect.parameters': Object.fromEntries(shown) }),
      ...(defaultValue === null || ofField
        ? {}
        : { 'connect.default': connectDefaultJson(schema, defaultValue, optionalMapKeys) }),
      ...(name === null ? {} : { 'connect.name': name }),
      ...connectType,
      ...kept,
    }
  }
}

function docOf(schema: Schema, parameter: string): Json {
  const doc = schema.parameters?.get(parameter)
  return doc === undefined ? {} : { doc }
}

function logicalTypeOf(schema: Schema): { logicalType?: string; precision?: number; scale?: number } {
  switch (schema.name) {
    case LogicalName.decimal: {
      const scale = Number(schema.parameters?.get('scale') ?? 0)
      const precision = Number(schema.parameters?.get(precisionParameter) ?? defaultPrecision)
      return { scale, precision, logicalType: 'decimal' }
    }
    case LogicalName.date:
      return { logicalType: 'date' }
    case LogicalName.time:
      return { logicalType: 'time-millis' }
    case LogicalName.timestamp:
      return { logicalType: 'timestamp-millis' }
    default:
      return {}
  }
}
