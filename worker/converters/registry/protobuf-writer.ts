import type { ByteWriter } from '../../api/converter.ts'
import { copySchema, Decimal, type Field, LogicalName, type Schema, type Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { enumerationOf, generalizedUnion, isGeneralizedUnion } from '../../api/sum-types.ts'
import { isStruct } from '../../api/values.ts'
import {
  logicalFiles,
  protobufEnum,
  protobufLogical,
  protobufTag,
  protobufUnion,
  protobufWrapper,
} from './protobuf-builtin.ts'
import { writeDate, writeDecimal, writeTime, writeTimestamp } from './protobuf-logical.ts'
import { invalid, primitive, type Scalar, type Write, wrongType } from './protobuf-scalars.ts'
import { ProtoOutput, WireType } from './protobuf-wire.ts'

export interface ProtobufWriteOptions {
  readonly optionalForNullables: boolean
  /** Optional primitives are written as Google's wrapper messages (`wrapper.for.nullables`). */
  readonly wrapperForNullables: boolean
  /** A null of an optional field stays one where it has a default (`ignore.default.for.nullables`). */
  readonly ignoreDefaults: boolean
  /** Makes a name valid, or gives it back as it is. */
  readonly scrub: (name: string) => string
}

export interface ProtobufType {
  readonly text: string
  readonly fullName: string
  write(value: Value, out: ByteWriter): void
}

type Enumeration = NonNullable<ReturnType<typeof enumerationOf>>

/** Lines of one message, nested ones among them. */
interface MessageText {
  readonly lines: string[]
  readonly names: Set<string>
}

const wrappers: Partial<Record<Schema['type'], string>> = {
  INT8: 'Int32Value',
  INT16: 'Int32Value',
  INT32: 'Int32Value',
  INT64: 'Int64Value',
  FLOAT32: 'FloatValue',
  FLOAT64: 'DoubleValue',
  BOOLEAN: 'BoolValue',
  STRING: 'StringValue',
  BYTES: 'BytesValue',
}

/** Compiles a Connect schema: its .proto file and how values are written. @throws DataError */
export function compileProtobuf(schema: Schema, options: ProtobufWriteOptions): ProtobufType {
  return new Compiler(options).compile(schema)
}

class Compiler {
  readonly #options: ProtobufWriteOptions
  readonly #imports = new Set<string>()
  #unnamed = 0

  constructor(options: ProtobufWriteOptions) {
    this.#options = options
  }

  compile(schema: Schema): ProtobufType {
    const wrapper = schema.type === 'STRUCT' ? undefined : wrappers[schema.type]
    if (schema.type !== 'STRUCT' && wrapper === undefined) {
      throw invalid(`a ${schema.type} cannot stand alone; put it into a struct`)
    }
    // A primitive alone is Google's message that wraps it.
    const parts = wrapper === undefined ? this.#split(schema) : (['google.protobuf', wrapper] as const)
    const [namespace, name] = parts
    const message: MessageText = { lines: [], names: new Set() }
    const write =
      wrapper === undefined
        ? this.#message(schema, message, 1)
        : this.#field(copySchema(schema, { optional: false }), 'value', 1, message, 1, false)
    const head = ['syntax = "proto3";', ...(namespace === '' ? [] : [`package ${namespace};`]), '']
    const imports = [...this.#imports].sort().map((file) => `import "${file}";`)
    if (imports.length > 0) imports.push('')
    const text = [...head, ...imports, `message ${name} {`, ...message.lines, '}', ''].join('\n')
    return {
      text,
      fullName: namespace === '' ? name : `${namespace}.${name}`,
      write: (value, out) => write(value, new ProtoOutput(out)),
    }
  }

  #split(schema: Schema): readonly [namespace: string, name: string] {
    const full = schema.name === null || schema.name === '' ? `ConnectDefault${++this.#unnamed}` : schema.name
    const parts = full.split('.').map(this.#options.scrub)
    return [parts.slice(0, -1).join('.'), parts.at(-1) ?? '']
  }

  #message(schema: Schema, text: MessageText, depth: number): Write {
    const writers: { readonly name: string; readonly field: Field; readonly write: Write }[] = []
    let next = 1
    for (const field of schema.fields) {
      const given = field.schema.parameters?.get(protobufTag)
      const number = given === undefined ? next++ : Number(given)
      const write = isUnion(field.schema)
        ? this.#oneof(field.schema, text, depth)
        : this.#field(field.schema, field.name, number, text, depth, this.#options.optionalForNullables)
      writers.push({ name: field.name, field, write })
    }
    return (value, out) => {
      if (value === null || !isStruct(value)) throw wrongType(schema, value)
      for (const { name, field, write } of writers) {
        const item = (Object.hasOwn(value, name) ? value[name] : null) ?? this.#defaultOf(field.schema)
        if (item !== null) write(item, out)
        else if (!field.schema.optional) throw required(name)
      }
    }
  }

  /** A required field has no null for its default to be ignored. */
  #defaultOf({ optional, defaultValue }: Schema): Value {
    return this.#options.ignoreDefaults && optional ? null : defaultValue
  }

  /** A union is read as a struct, of which one field is set. */
  #oneof(schema: Schema, text: MessageText, depth: number): Write {
    const indent = '  '.repeat(depth)
    const inner: MessageText = { lines: [], names: text.names }
    const branches = schema.fields.map((field) => {
      const number = Number(field.schema.parameters?.get(protobufTag) ?? Number.NaN)
      if (!Number.isInteger(number)) throw invalid(`the branch ${field.name} of a union has no number`)
      return { name: field.name, write: this.#field(field.schema, field.name, number, inner, depth + 1, null) }
    })
    const general = schema.parameters?.get(generalizedUnion)
    const name = this.#options.scrub(general ?? (schema.name ?? '').slice(protobufUnion.length).split('.').at(-1) ?? '')
    const isNested = (line: string): boolean =>
      line.startsWith(`${indent}  `) && line.trimEnd().endsWith(';') && !line.startsWith(`${indent}    `)
    text.lines.push(...inner.lines.filter((line) => !isNested(line)))
    text.lines.push(`${indent}oneof ${name} {`, ...inner.lines.filter(isNested), `${indent}}`)
    return (value, out) => {
      if (value === null || !isStruct(value)) throw wrongType(schema, value)
      for (const branch of branches) {
        const item = value[branch.name] ?? null
        if (item !== null) return branch.write(item, out)
      }
    }
  }

  /** @param presence whether an optional field says so; null in a union, where all have presence */
  #field(
    schema: Schema,
    name: string,
    number: number,
    text: MessageText,
    depth: number,
    presence: boolean | null,
  ): Write {
    const isList = schema.type === 'ARRAY'
    const item = isList ? part(schema.valueSchema) : schema
    if (isList && (item.type === 'ARRAY' || item.type === 'MAP')) {
      throw invalid(`${name} is a list of lists or maps, which Protobuf does not have: put them into a struct`)
    }
    const scalar = this.#wrapped(item, this.#scalar(item, name, text, depth), presence === null)
    const isOptional = presence === true && schema.optional && !isList && schema.type !== 'MAP'
    const label = isList || schema.type === 'MAP' ? 'repeated ' : isOptional ? 'optional ' : ''
    const meta = metaText(scalar.params)
    if (meta !== '') this.#imports.add('confluent/meta.proto')
    text.lines.push(`${'  '.repeat(depth)}${label}${scalar.name} ${this.#options.scrub(name)} = ${number}${meta};`)
    if (schema.type === 'MAP') return entriesWriter(schema, number, scalar.write)
    if (isList) return listWriter(schema, number, scalar)
    const { wireType, write } = scalar
    const isZero = isOptional || presence === null ? null : scalar.isZero
    return (value, out) => {
      if (isZero?.(value) === true) return
      out.tag(number, wireType)
      write(value, out)
    }
  }

  /** An optional primitive as a message of its own, which can be absent; in a union only one that was read so. */
  #wrapped(schema: Schema, scalar: Scalar, inUnion: boolean): Scalar {
    const wrapper = wrapperOf(schema, scalar.name)
    if (!this.#options.wrapperForNullables || !schema.optional || wrapper === null) return scalar
    if (inUnion && schema.parameters?.get(protobufWrapper) !== 'true') return scalar
    this.#imports.add('google/protobuf/wrappers.proto')
    // Its integers are plain varints, whatever the parameters of the schema say.
    const { write, wireType, isZero } = primitive(copySchema(schema, { parameters: null }))
    return {
      name: `google.protobuf.${wrapper}`,
      wireType: WireType.bytes,
      write: nestedWriter((value, out) => {
        if (isZero?.(value) === true) return
        out.tag(1, wireType)
        write(value, out)
      }),
      isZero: null,
      params: scalar.params,
    }
  }

  #scalar(schema: Schema, name: string, text: MessageText, depth: number): Scalar {
    const logical = this.#logical(schema)
    if (logical !== null) return logical
    if (schema.type === 'STRUCT') return this.#nested(schema, text, depth)
    if (schema.type === 'MAP') return this.#entries(schema, name, text, depth)
    const enumeration = enumerationOf(schema, protobufEnum)
    return enumeration === null ? primitive(schema) : this.#enumeration(enumeration, text, depth)
  }

  #logical(schema: Schema): Scalar | null {
    switch (schema.name) {
      case LogicalName.decimal: {
        const scale = schema.parameters?.get('scale') ?? '0'
        const precision = schema.parameters?.get('connect.decimal.precision')
        const params = [
          ...(precision === undefined ? [] : [['precision', precision] as const]),
          ['scale', scale] as const,
        ]
        return this.#messageOf('decimal', params, (value, out) => {
          if (!(value instanceof Decimal)) throw wrongType(schema, value)
          writeDecimal(value, Number(precision ?? 0), out)
        })
      }
      case LogicalName.date:
        return this.#messageOf('date', [], dated(schema, writeDate))
      case LogicalName.time:
        return this.#messageOf('time', [], dated(schema, writeTime))
      case LogicalName.timestamp:
        return this.#messageOf('timestamp', [], dated(schema, writeTimestamp))
      default:
        return null
    }
  }

  #messageOf(logical: keyof typeof protobufLogical, params: Scalar['params'], write: Write): Scalar {
    this.#imports.add(logicalFiles[logical])
    return {
      name: protobufLogical[logical],
      wireType: WireType.bytes,
      write: (value, out) => out.nested((nested) => write(value, nested)),
      isZero: null,
      params,
    }
  }

  #nested(schema: Schema, text: MessageText, depth: number): Scalar {
    const [, name] = this.#split(schema)
    const inner: MessageText = { lines: [], names: new Set() }
    const write = this.#message(schema, inner, depth + 1)
    this.#define(name, inner, text, depth)
    return { name, wireType: WireType.bytes, write: nestedWriter(write), isZero: null, params: [] }
  }

  /** Maps are lists of entries, whose message is called after the field. */
  #entries(schema: Schema, field: string, text: MessageText, depth: number): Scalar {
    const scrubbed = this.#options.scrub(field)
    const name = `${scrubbed
      .split('_')
      .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
      .join('')}Entry`
    const inner: MessageText = { lines: [], names: new Set() }
    const key = this.#field(part(schema.keySchema), 'key', 1, inner, depth + 1, false)
    const value = this.#field(part(schema.valueSchema), 'value', 2, inner, depth + 1, false)
    this.#define(name, inner, text, depth)
    const write: Write = (entry, out) => {
      const [k = null, v = null] = entry as readonly Value[]
      if (k !== null) key(k, out)
      if (v !== null) value(v, out)
    }
    return { name, wireType: WireType.bytes, write: nestedWriter(write), isZero: null, params: [] }
  }

  #define(name: string, inner: MessageText, text: MessageText, depth: number): void {
    if (text.names.has(name)) return
    text.names.add(name)
    const indent = '  '.repeat(depth)
    text.lines.push(`${indent}message ${name} {`, ...inner.lines, `${indent}}`)
  }

  #enumeration(enumeration: Enumeration, text: MessageText, depth: number): Scalar {
    // Other formats have full names; a nested enumeration has none.
    const name = this.#options.scrub(enumeration.name.split('.').at(-1) ?? '')
    const symbols = new Map(enumeration.symbols.map(([symbol, tag]) => [symbol, Number(tag)] as const))
    if (!text.names.has(name)) {
      text.names.add(name)
      const indent = '  '.repeat(depth)
      const values = [...symbols].map(([symbol, tag]) => `${indent}  ${symbol} = ${tag};`)
      text.lines.push(`${indent}enum ${name} {`, ...values, `${indent}}`)
    }
    const numberOf = (value: Value): number => {
      const tag = typeof value === 'number' ? value : symbols.get(String(value))
      if (tag === undefined) throw new DataError('CONNECT_DATA_TYPE', `Text is no symbol of the enumeration ${name}`)
      return tag
    }
    return {
      name,
      wireType: WireType.varint,
      write: (value, out) => out.varint(BigInt(numberOf(value))),
      isZero: (value) => numberOf(value) === 0,
      params: [],
    }
  }
}

function isUnion(schema: Schema): boolean {
  return schema.type === 'STRUCT' && (schema.name?.startsWith(protobufUnion) === true || isGeneralizedUnion(schema))
}

/** Google's message for a primitive; null where there is none. @param name of the primitive in Protobuf */
function wrapperOf(schema: Schema, name: string): string | null {
  const wrapper = wrappers[schema.type]
  if (wrapper === undefined || name.includes('.') || enumerationOf(schema, protobufEnum) !== null) return null
  if (schema.type !== 'INT64') return wrapper
  if (name === 'uint32' || name === 'fixed32') return 'UInt32Value'
  return name === 'uint64' || name === 'fixed64' ? 'UInt64Value' : wrapper
}

function metaText(params: Scalar['params']): string {
  if (params.length === 0) return ''
  const entries = params.map(([key, value]) => `{ key: "${key}", value: "${value}" }`)
  return ` [(confluent.field_meta) = { params: [${entries.join(', ')}] }]`
}

const nestedWriter =
  (write: Write): Write =>
  (value, out) =>
    out.nested((nested) => write(value, nested))

function entriesWriter(schema: Schema, number: number, write: Write): Write {
  const defaults = part(schema.valueSchema)
  return (value, out) => {
    if (!(value instanceof Map)) throw wrongType(schema, value)
    for (const [key, item] of value as ReadonlyMap<Value, Value>) {
      const present = item ?? defaults.defaultValue
      if (present === null && defaults.type === 'STRUCT') throw required('a value of a map')
      out.tag(number, WireType.bytes)
      write([key, present], out)
    }
  }
}

/** Numbers of a list stand in one field, as proto3 does by default. */
function listWriter(schema: Schema, number: number, { wireType, write }: Scalar): Write {
  return (value, out) => {
    if (!Array.isArray(value)) throw wrongType(schema, value)
    const items = value as readonly Value[]
    // Protobuf has no null in a list, and zero in its place would be other data (I6).
    if (items.includes(null)) throw new DataError('CONNECT_DATA_NULL', 'A list with a null has no form in Protobuf')
    if (items.length === 0) return
    if (wireType !== WireType.bytes) {
      out.tag(number, WireType.bytes)
      return out.nested((packed) => {
        for (const item of items) write(item, packed)
      })
    }
    for (const item of items) {
      out.tag(number, wireType)
      write(item, out)
    }
  }
}

function dated(schema: Schema, write: (value: Date, out: ProtoOutput) => void): Write {
  return (value, out) => {
    if (!(value instanceof Date)) throw wrongType(schema, value)
    write(value, out)
  }
}

function part(schema: Schema | null): Schema {
  if (schema !== null) return schema
  throw new DataError('CONNECT_DATA_SCHEMA', 'A list or map has no schema of its elements')
}

function required(name: string): DataError {
  return new DataError('CONNECT_DATA_NULL', `Invalid value: null used for the required field ${name}`)
}
