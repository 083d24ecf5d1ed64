import type protobufjs from 'protobufjs'
import {
  copySchema,
  decimalSchema,
  LogicalName,
  makeSchema,
  type Schema,
  type SchemaSpec,
  type Value,
} from '../../api/data.ts'
import { ConnectError, DataError } from '../../api/errors.ts'
import type { Decoding, ReferencedSchema } from './format.ts'
import {
  builtinFiles,
  protobufEnum,
  protobufLogical,
  protobufTag,
  protobufType,
  protobufUnion,
} from './protobuf-builtin.ts'
import { readDate, readDecimal, readTime, readTimestamp } from './protobuf-logical.ts'
import { protobufIntegers, wireTypeOf, zeroOf } from './protobuf-numbers.ts'
import { ProtoInput, WireType } from './protobuf-wire.ts'

/** The parser of .proto files. */
export type Protobufjs = typeof protobufjs

export interface ProtobufReadOptions {
  /** `enhanced.protobuf.schema.support` */
  readonly fullNames: boolean
  /** `optional.for.nullables`: only fields that say so are optional. */
  readonly optionalForNullables: boolean
  readonly optionalForProto2: boolean
  readonly intForEnums: boolean
  /** `generate.index.for.unions`: a oneof's field has its number behind its name. */
  readonly indexForUnions: boolean
  /** `flatten.unions`: the members of a oneof are fields of the message. */
  readonly flattenUnions: boolean
}

type Read = (input: ProtoInput) => Value

/** What a field adds to the struct; several of one number are one list or map. */
interface FieldPlan {
  readonly name: string
  /** Member of the union struct in which the value goes; null for ordinary fields. */
  readonly union: UnionPlan | null
  readonly kind: 'single' | 'list' | 'map'
  readonly wireType: number
  readonly read: Read
}

interface UnionPlan {
  /** Field of the struct that holds the branches; null where they are fields of the message. */
  readonly name: string | null
  readonly branches: readonly string[]
}

interface MessagePlan {
  readonly spec: SchemaSpec
  read(input: ProtoInput): Value
}

/**
 * Compiles a .proto file for reading, with the mapping of Confluent's ProtobufData. The message is chosen by the
 * indexes that stand before the data.
 */
export function protobufDecoding(
  pb: Protobufjs,
  text: string,
  references: readonly ReferencedSchema[],
  version: number | null,
  options: ProtobufReadOptions,
): Decoding {
  const root = parsedRoot(pb, text, references)
  const compiler = new Compiler(pb, options, isProto2(text))
  const topLevel = messagesOf(pb, text)
  const plans = new Map<string, { readonly schema: Schema; readonly plan: MessagePlan }>()
  const planOf = (indexes: readonly number[]) => {
    const key = indexes.join('.')
    let found = plans.get(key)
    if (found === undefined) {
      const plan = compiler.message(messageAt(pb, root, topLevel, indexes))
      found = { plan, schema: makeSchema({ ...plan.spec, version: plan.spec.version ?? version }) }
      plans.set(key, found)
    }
    return found
  }
  // A file that cannot be used is refused at once, not at its first message.
  planOf([0])
  return {
    read(bytes, start) {
      const input = new ProtoInput(bytes, start, bytes.length)
      const { schema, plan } = planOf(messageIndexes(input))
      return { schema, value: plan.read(input) }
    },
  }
}

/** Indexes of the message in its file, outermost first; a single zero byte stands for the first message. */
function messageIndexes(input: ProtoInput): readonly number[] {
  const count = unzigzag(input.varint())
  if (count === 0) return [0]
  if (count < 0 || count > 32) throw new DataError('CONNECT_REGISTRY_FRAME', 'Invalid message indexes')
  return Array.from({ length: count }, () => unzigzag(input.varint()))
}

const unzigzag = (value: bigint): number => Number((value >> 1n) ^ -(value & 1n))

function parsedRoot(pb: Protobufjs, text: string, references: readonly ReferencedSchema[]): protobufjs.Root {
  const root = new pb.Root()
  const files = new Map([...builtinFiles, ...references.map(({ name, text: file }) => [name, file] as const)])
  const seen = new Set<string>()
  const add = (file: string): void => {
    const { imports = [], weakImports = [] } = pb.parse(file, root, { keepCase: true })
    for (const name of [...imports, ...weakImports]) {
      if (seen.has(name)) continue
      seen.add(name)
      const known = files.get(name)
      if (known !== undefined) add(known)
      else {
        const common = pb.common.get(name)
        if (common?.nested !== undefined) root.addJSON(common.nested)
      }
    }
  }
  try {
    add(text)
    root.resolveAll()
    return root
  } catch (error) {
    throw new DataError(
      'CONNECT_REGISTRY_SCHEMA',
      'A .proto file cannot be read, or a file that it imports is missing',
      {
        cause: error,
      },
    )
  }
}

/** Full names of the messages of a file itself, in its order. */
function messagesOf(pb: Protobufjs, text: string): readonly string[] {
  const { root, package: name } = pb.parse(text, new pb.Root(), { keepCase: true })
  const space = name === undefined || name === '' ? root : root.lookup(name)
  const nested = space instanceof pb.Namespace ? space.nestedArray : []
  return nested.filter((part) => part instanceof pb.Type).map((part) => part.fullName)
}

function messageAt(
  pb: Protobufjs,
  root: protobufjs.Root,
  topLevel: readonly string[],
  [first = 0, ...rest]: readonly number[],
): protobufjs.Type {
  const name = topLevel[first]
  let type = name === undefined ? null : root.lookupType(name)
  for (const index of rest) {
    const nested: readonly protobufjs.ReflectionObject[] = type?.nestedArray ?? []
    type = nested.filter((part): part is protobufjs.Type => part instanceof pb.Type)[index] ?? null
  }
  if (type !== null) return type
  throw new DataError('CONNECT_REGISTRY_FRAME', 'The message indexes name no message of the schema')
}

const isProto2 = (text: string): boolean => !/syntax\s*=\s*["']proto3["']/.test(text)

class Compiler {
  readonly #pb: Protobufjs
  readonly #options: ProtobufReadOptions
  readonly #proto2: boolean
  readonly #open = new Set<string>()

  constructor(pb: Protobufjs, options: ProtobufReadOptions, proto2: boolean) {
    this.#pb = pb
    this.#options = options
    this.#proto2 = proto2
  }

  message(type: protobufjs.Type): MessagePlan {
    if (this.#open.has(type.fullName)) {
      throw invalid(`${type.fullName} contains itself, which Connect schemas cannot`)
    }
    this.#open.add(type.fullName)
    const wrapped = wrapperOf(type)
    const plan = wrapped === null ? this.#struct(type) : this.#wrapper(type)
    this.#open.delete(type.fullName)
    return plan
  }

  #wrapper(type: protobufjs.Type): MessagePlan {
    const [field] = type.fieldsArray
    if (field === undefined) throw invalid(`${type.fullName} has no value`)
    const { spec, read } = this.#single(field)
    const plan: FieldPlan = { name: 'value', union: null, kind: 'single', wireType: wireTypeOf(field.type), read }
    const zero = zeroOf(spec.type)
    const fields = new Map([[field.id, plan]])
    return {
      spec,
      read: (input) => {
        const struct: Record<string, Value> = { value: zero }
        readFields(input, fields, struct)
        return struct['value'] ?? null
      },
    }
  }

  #struct(type: protobufjs.Type): MessagePlan {
    const plans = new Map<number, FieldPlan>()
    const specs: { readonly name: string; readonly schema: Schema }[] = []
    const zeros: [string, Value][] = []
    type.oneofsArray.filter(isRealOneof).forEach((oneof, i) => {
      specs.push(...(this.#options.flattenUnions ? this.#members(oneof, plans) : [this.#union(oneof, i, plans)]))
    })
    for (const field of type.fieldsArray) {
      if (field.partOf !== null && field.partOf !== undefined && isRealOneof(field.partOf)) continue
      const { name } = field
      const { schema, plan, zero } = this.#field(field)
      specs.push({ name, schema })
      plans.set(field.id, plan)
      zeros.push([name, zero])
    }
    const names = specs.map((spec) => spec.name)
    const zeroOfName = new Map(zeros)
    return {
      spec: { type: 'STRUCT', name: this.#nameOf(type), fields: specs },
      read: (input) => {
        const struct: Record<string, Value> = {}
        for (const name of names) struct[name] = zeroOfName.get(name) ?? null
        readFields(input, plans, struct)
        return struct
      },
    }
  }

  #nameOf(type: protobufjs.ReflectionObject): string {
    return this.#options.fullNames ? type.fullName.replace(/^\./, '') : type.name
  }

  /** Of a oneof, each as an optional field of the message. */
  #members(oneof: protobufjs.OneOf, plans: Map<number, FieldPlan>) {
    const union: UnionPlan = { name: null, branches: oneof.fieldsArray.map((field) => field.name) }
    return oneof.fieldsArray.map((field) => {
      const { schema, plan } = this.#field(field)
      plans.set(field.id, { ...plan, union })
      return { name: field.name, schema: copySchema(schema, { optional: true }) }
    })
  }

  /** A oneof is a struct of which one field is set. */
  #union(oneof: protobufjs.OneOf, index: number, plans: Map<number, FieldPlan>) {
    const name = this.#options.indexForUnions ? `${oneof.name}_${index}` : oneof.name
    const union: UnionPlan = { name, branches: oneof.fieldsArray.map((field) => field.name) }
    const fields = oneof.fieldsArray.map((field) => {
      const { schema, plan } = this.#field(field)
      plans.set(field.id, { ...plan, union })
      return { name: field.name, schema }
    })
    const unionName = `${protobufUnion}${this.#options.fullNames ? oneof.fullName.replace(/^\./, '') : oneof.name}`
    return { name, schema: makeSchema({ type: 'STRUCT', name: unionName, optional: true, fields }) }
  }

  #field(field: protobufjs.Field): { readonly schema: Schema; readonly plan: FieldPlan; readonly zero: Value } {
    const { name } = field
    const tag = { [protobufTag]: String(field.id) }
    const entry = mapEntryOf(this.#pb, field)
    if (entry !== null) {
      const { spec, read } = this.#map(field, entry)
      const schema = this.#tagged(spec, tag, field)
      return { schema, plan: { name, union: null, kind: 'map', wireType: WireType.bytes, read }, zero: null }
    }
    const { spec, read, optional } = this.#single(field)
    const wireType = field.resolvedType instanceof this.#pb.Enum ? WireType.varint : wireTypeOf(field.type)
    if (field.repeated) {
      const valueSchema = makeSchema({ ...spec, optional: true })
      const schema = makeSchema({ type: 'ARRAY', valueSchema, optional: true, parameters: tag })
      return { schema, plan: { name, union: null, kind: 'list', wireType, read }, zero: emptyList }
    }
    const schema = this.#tagged({ ...spec, optional }, tag, field)
    const isMessage =
      wireType === WireType.bytes && spec.type !== 'STRING' && !(spec.type === 'BYTES' && spec.name == null)
    const zero = isMessage || this.#hasPresence(field) ? null : this.#zero(field, spec)
    return { schema, plan: { name, union: null, kind: 'single', wireType, read }, zero }
  }

  #zero(field: protobufjs.Field, spec: SchemaSpec): Value {
    if (!(field.resolvedType instanceof this.#pb.Enum)) return zeroOf(spec.type)
    const [first] = Object.entries(field.resolvedType.values)
    const symbol = field.resolvedType.valuesById[0] ?? first?.[0] ?? ''
    return this.#options.intForEnums ? 0 : symbol
  }

  #hasPresence(field: protobufjs.Field): boolean {
    if (isProto3Optional(field)) return true
    return this.#proto2 && this.#options.optionalForProto2 && !field.required
  }

  #tagged(spec: SchemaSpec, tag: Readonly<Record<string, string>>, field: protobufjs.Field): Schema {
    const asked = this.#options.optionalForNullables
      ? isProto3Optional(field) || (this.#proto2 && field.optional)
      : true
    const parameters = { ...parametersOf(spec), ...tag }
    return makeSchema({ ...spec, optional: (spec.optional ?? false) || asked, parameters })
  }

  #single(field: protobufjs.Field): { readonly spec: SchemaSpec; readonly read: Read; readonly optional: boolean } {
    const { resolvedType } = field
    if (resolvedType instanceof this.#pb.Enum) return { ...this.#enumeration(resolvedType), optional: true }
    if (resolvedType instanceof this.#pb.Type) {
      const logical = logicalOf(field, resolvedType)
      if (logical !== null) return { ...logical, optional: true }
      const { spec, read } = this.message(resolvedType)
      return { spec, read: (input) => read(input.nested()), optional: true }
    }
    return { ...primitiveOf(field), optional: false }
  }

  #enumeration(type: protobufjs.Enum): { readonly spec: SchemaSpec; readonly read: Read } {
    const parameters: Record<string, string> = { [protobufEnum]: type.name }
    for (const [symbol, tag] of Object.entries(type.values)) parameters[`${protobufEnum}.${symbol}`] = String(tag)
    const { intForEnums } = this.#options
    const read: Read = (input) => {
      const tag = Number(BigInt.asIntN(32, input.varint()))
      if (intForEnums) return tag
      // A number that the schema does not name, from a newer writer, keeps its value.
      return type.valuesById[tag] ?? `UNKNOWN_ENUM_VALUE_${type.name}_${tag}`
    }
    return { spec: { type: intForEnums ? 'INT32' : 'STRING', name: this.#nameOf(type), parameters }, read }
  }

  #map(field: protobufjs.Field, entry: MapEntry): { readonly spec: SchemaSpec; readonly read: Read } {
    const key = this.#field(entry.key)
    const value = this.#field(entry.value)
    const fields = new Map([
      [1, { ...key.plan, name: 'key' }],
      [2, { ...value.plan, name: 'value' }],
    ])
    const read: Read = (input) => {
      const struct: Record<string, Value> = { key: key.zero, value: value.zero }
      readFields(input.nested(), fields, struct)
      return [struct['key'] ?? null, struct['value'] ?? null]
    }
    const spec: SchemaSpec = { type: 'MAP', keySchema: key.schema, valueSchema: value.schema, name: field.name }
    return { spec: { ...spec, optional: true }, read }
  }
}

function parametersOf({ parameters }: SchemaSpec): Readonly<Record<string, string>> {
  if (parameters instanceof Map) return Object.fromEntries(parameters as ReadonlyMap<string, string>)
  return (parameters ?? {}) as Readonly<Record<string, string>>
}

const emptyList: readonly Value[] = Object.freeze([])

interface MapEntry {
  readonly key: protobufjs.Field
  readonly value: protobufjs.Field
}

/** A map field, or a list of messages that are called and look like entries of one. */
function mapEntryOf(pb: Protobufjs, field: protobufjs.Field): MapEntry | null {
  if (field instanceof pb.MapField) {
    const key = new pb.Field('key', 1, field.keyType)
    const value = new pb.Field('value', 2, field.type)
    value.resolvedType = field.resolvedType
    return { key, value }
  }
  const { resolvedType } = field
  if (!field.repeated || !(resolvedType instanceof pb.Type) || !resolvedType.name.endsWith('Entry')) return null
  const [key, value, ...more] = resolvedType.fieldsArray
  const isEntry = key?.name === 'key' && value?.name === 'value' && more.length === 0
  return isEntry && !key.repeated && !value.repeated ? { key, value } : null
}

function readFields(input: ProtoInput, plans: ReadonlyMap<number, FieldPlan>, struct: Record<string, Value>): void {
  while (!input.done) {
    const tag = input.uint32()
    const plan = plans.get(tag >>> 3)
    const wireType = tag & 7
    // A field of another wire type is an unknown one.
    if (plan === undefined || !fits(plan, wireType)) input.skip(wireType)
    else if (plan.kind === 'single') put(struct, plan, plan.read(input))
    else if (plan.kind === 'map') {
      const [key = null, item = null] = plan.read(input) as readonly Value[]
      const map = (struct[plan.name] ?? new Map()) as Map<Value, Value>
      map.set(key, item)
      struct[plan.name] = map
    } else readItems(input, plan, wireType, struct)
  }
}

/** Numbers of a list may stand together in one field of bytes. */
function fits(plan: FieldPlan, wireType: number): boolean {
  return wireType === plan.wireType || (plan.kind === 'list' && wireType === WireType.bytes)
}

function put(struct: Record<string, Value>, { name, union }: FieldPlan, value: Value): void {
  if (union === null) {
    struct[name] = value
    return
  }
  // Of a oneof the last one counts.
  const branches = Object.fromEntries(union.branches.map((branch) => [branch, branch === name ? value : null]))
  if (union.name === null) Object.assign(struct, branches)
  else struct[union.name] = branches
}

/** One item, or several of a number's type in one field. */
function readItems(input: ProtoInput, plan: FieldPlan, wireType: number, struct: Record<string, Value>): void {
  const known = struct[plan.name]
  const list = (known === emptyList || known === null || known === undefined ? [] : known) as Value[]
  if (wireType === WireType.bytes && plan.wireType !== WireType.bytes) {
    const packed = input.nested()
    while (!packed.done) list.push(plan.read(packed))
  } else list.push(plan.read(input))
  struct[plan.name] = list
}

function isProto3Optional(field: protobufjs.Field): boolean {
  return field.options?.['proto3_optional'] === true
}

/** The oneof that stands behind an optional field of proto3 is none. */
function isRealOneof(oneof: protobufjs.OneOf): boolean {
  const [first] = oneof.fieldsArray
  return !(oneof.fieldsArray.length === 1 && first !== undefined && isProto3Optional(first))
}

const wrapperNames = new Set([
  'DoubleValue',
  'FloatValue',
  'Int64Value',
  'UInt64Value',
  'Int32Value',
  'UInt32Value',
  'BoolValue',
  'StringValue',
  'BytesValue',
])

function wrapperOf(type: protobufjs.Type): string | null {
  const [, google, protobuf, name = ''] = type.fullName.split('.')
  return google === 'google' && protobuf === 'protobuf' && wrapperNames.has(name) ? name : null
}

function logicalOf(
  field: protobufjs.Field,
  type: protobufjs.Type,
): { readonly spec: SchemaSpec; readonly read: Read } | null {
  switch (type.fullName.replace(/^\./, '')) {
    case protobufLogical.decimal: {
      const { scale, precision } = metaOf(field)
      const parameters = precision === undefined ? {} : { 'connect.decimal.precision': precision }
      const spec = decimalSchema(Number(scale ?? 0), { parameters })
      return { spec, read: (input) => readDecimal(input.nested()) }
    }
    case protobufLogical.date:
      return { spec: { type: 'INT32', name: LogicalName.date, version: 1 }, read: (input) => readDate(input.nested()) }
    case protobufLogical.time:
      return { spec: { type: 'INT32', name: LogicalName.time, version: 1 }, read: (input) => readTime(input.nested()) }
    case protobufLogical.timestamp:
      return {
        spec: { type: 'INT64', name: LogicalName.timestamp, version: 1 },
        read: (input) => readTimestamp(input.nested()),
      }
    default:
      return null
  }
}

/** Parameters that Confluent's option of a field gives. */
function metaOf(field: protobufjs.Field): Readonly<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const option of field.parsedOptions ?? []) {
    const meta = (option as Readonly<Record<string, unknown>>)['(confluent.field_meta)']
    const given = typeof meta === 'object' && meta !== null && 'params' in meta ? meta.params : []
    const list = Array.isArray(given) ? (given as readonly unknown[]) : [given]
    for (const param of list) {
      if (typeof param === 'object' && param !== null && 'key' in param && 'value' in param) {
        found[String(param.key)] = String(param.value)
      }
    }
  }
  return found
}

function primitiveOf(field: protobufjs.Field): { readonly spec: SchemaSpec; readonly read: Read } {
  const { type } = field
  const integer = protobufIntegers[type]
  if (integer !== undefined) {
    const connectType = metaOf(field)['connect.type']
    const [width, read] = integer
    const narrow = connectType === 'int8' ? 'INT8' : connectType === 'int16' ? 'INT16' : width
    const parameters = type === 'int32' || type === 'int64' ? {} : { [protobufType]: type }
    return { spec: { type: narrow, parameters }, read: width === 'INT64' ? read : (input) => Number(read(input)) }
  }
  switch (type) {
    case 'float':
      return { spec: { type: 'FLOAT32' }, read: (input) => input.float() }
    case 'double':
      return { spec: { type: 'FLOAT64' }, read: (input) => input.double() }
    case 'bool':
      return { spec: { type: 'BOOLEAN' }, read: (input) => input.varint() !== 0n }
    case 'string':
      return { spec: { type: 'STRING' }, read: (input) => input.string() }
    case 'bytes':
      return { spec: { type: 'BYTES' }, read: (input) => input.bytes() }
    default:
      throw invalid(`the type ${type} is not known`)
  }
}

function invalid(reason: string): DataError {
  return new DataError('CONNECT_REGISTRY_SCHEMA', `A Protobuf schema cannot be used: ${reason}`)
}

/** Loads the parser. @throws ConnectError CONNECT_CODEC_MISSING */
export async function loadProtobufjs(): Promise<Protobufjs> {
  try {
    return (await import('protobufjs')).default
  } catch (error) {
    const message = 'ProtobufConverter needs the package protobufjs: npm install protobufjs'
    throw new ConnectError('fatal', 'CONNECT_CODEC_MISSING', message, { cause: error })
  }
}
