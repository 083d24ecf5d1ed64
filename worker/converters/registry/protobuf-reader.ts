import type protobufjs from 'protobufjs'
import { copySchema, makeSchema, type Schema, type SchemaSpec, type Value } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { generalizedEnum, generalizedUnion } from '../../api/sum-types.ts'
import type { Decoding, ReferencedSchema } from './format.ts'
import { protobufEnum, protobufTag, protobufUnion, protobufWrapper } from './protobuf-builtin.ts'
import { emptyList, emptyMap, type FieldPlan, type Read, readFields, type UnionPlan } from './protobuf-fields.ts'
import { isProto2, messageAt, messagesOf, type Protobufjs, parsedRoot } from './protobuf-file.ts'
import { wireTypeOf, zeroOf } from './protobuf-numbers.ts'
import {
  invalid,
  isProto3Optional,
  isRealOneof,
  isWrapper,
  logicalOf,
  type MapEntry,
  mapEntryOf,
  primitiveOf,
} from './protobuf-types.ts'
import { ProtoInput, WireType } from './protobuf-wire.ts'

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
  /** `wrapper.for.nullables`: only fields of Google's wrapper messages, and other messages, are optional. */
  readonly wrapperForNullables: boolean
  /** `wrapper.for.raw.primitives`: a wrapper message is the primitive in it. */
  readonly wrapperForRawPrimitives: boolean
  /** `generate.struct.for.nulls`: an absent message is one without fields. */
  readonly structForNulls: boolean
  /** `generalized.sum.type.support`: names of unions and enumerations are those of all formats. */
  readonly generalizedSumTypes: boolean
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
      const plan = compiler.root(messageAt(pb, root, topLevel, indexes))
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

  /** The message of a whole record. */
  root(type: protobufjs.Type): MessagePlan {
    return this.#message(type, this.#options.wrapperForRawPrimitives)
  }

  #message(type: protobufjs.Type, unwraps: boolean): MessagePlan {
    if (this.#open.has(type.fullName)) {
      throw invalid(`${type.fullName} contains itself, which Connect schemas cannot`)
    }
    this.#open.add(type.fullName)
    const plan = unwraps && isWrapper(type) ? this.#wrapper(type) : this.#struct(type)
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
      return { name: field.name, schema: this.#member(field, schema) }
    })
  }

  /**
   * At most one member of a oneof is set, so each is optional. With `wrapper.for.nullables` a member that was wrapped
   * says so: another one is written as the plain primitive that it is.
   */
  #member({ resolvedType }: protobufjs.Field, schema: Schema): Schema {
    const wrapped =
      this.#options.wrapperForNullables && resolvedType instanceof this.#pb.Type && isWrapper(resolvedType)
    const parameters = wrapped ? { ...parametersOf(schema), [protobufWrapper]: 'true' } : schema.parameters
    return copySchema(schema, { optional: true, parameters })
  }

  /** A oneof is a struct of which one field is set. */
  #union(oneof: protobufjs.OneOf, index: number, plans: Map<number, FieldPlan>) {
    const name = this.#options.indexForUnions ? `${oneof.name}_${index}` : oneof.name
    const union: UnionPlan = { name, branches: oneof.fieldsArray.map((field) => field.name) }
    const fields = oneof.fieldsArray.map((field) => {
      const { schema, plan } = this.#field(field)
      plans.set(field.id, { ...plan, union })
      return { name: field.name, schema: this.#member(field, schema) }
    })
    const named: SchemaSpec = this.#options.generalizedSumTypes
      ? { type: 'STRUCT', name: oneof.name, parameters: { [generalizedUnion]: oneof.name } }
      : { type: 'STRUCT', name: `${protobufUnion}${this.#nameOf(oneof)}` }
    return { name, schema: makeSchema({ ...named, optional: true, fields }) }
  }

  #field(field: protobufjs.Field): { readonly schema: Schema; readonly plan: FieldPlan; readonly zero: Value } {
    const { name } = field
    const tag = { [protobufTag]: String(field.id) }
    const entry = mapEntryOf(this.#pb, field)
    if (entry !== null) {
      const { spec, read } = this.#map(field, entry)
      const schema = this.#tagged(spec, tag, field)
      return { schema, plan: { name, union: null, kind: 'map', wireType: WireType.bytes, read }, zero: emptyMap }
    }
    const { spec, read, optional } = this.#single(field)
    const wireType = field.resolvedType instanceof this.#pb.Enum ? WireType.varint : wireTypeOf(field.type)
    if (field.repeated) {
      const valueSchema = makeSchema({ ...spec, optional: true })
      const schema = makeSchema({ type: 'ARRAY', valueSchema, optional: true, parameters: tag })
      return { schema, plan: { name, union: null, kind: 'list', wireType, read }, zero: emptyList }
    }
    const schema = this.#tagged({ ...spec, optional }, tag, field)
    const isMessage = field.resolvedType instanceof this.#pb.Type
    const plan: FieldPlan = { name, union: null, kind: 'single', wireType, read }
    if (!isMessage && !this.#hasPresence(field)) return { schema, plan, zero: this.#zero(field, spec) }
    return { schema, plan, zero: this.#options.structForNulls ? this.#generated(field, spec, read) : null }
  }

  /** What `generate.struct.for.nulls` gives for an absent field. */
  #generated(field: protobufjs.Field, spec: SchemaSpec, read: Read): Value {
    // As a message of no bytes is read: its length, a zero, is all there is of it.
    return field.resolvedType instanceof this.#pb.Type
      ? read(new ProtoInput(Uint8Array.of(0), 0, 1))
      : this.#zero(field, spec)
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
    const { optionalForNullables, wrapperForNullables } = this.#options
    const asked = optionalForNullables
      ? isProto3Optional(field) || (this.#proto2 && field.optional)
      : !wrapperForNullables
    const parameters = { ...parametersOf(spec), ...tag }
    return makeSchema({ ...spec, optional: (spec.optional ?? false) || asked, parameters })
  }

  #single(field: protobufjs.Field): { readonly spec: SchemaSpec; readonly read: Read; readonly optional: boolean } {
    const { resolvedType } = field
    if (resolvedType instanceof this.#pb.Enum) return { ...this.#enumeration(resolvedType), optional: true }
    if (resolvedType instanceof this.#pb.Type) {
      const logical = logicalOf(field, resolvedType)
      if (logical !== null) return { ...logical, optional: true }
      const { wrapperForNullables, wrapperForRawPrimitives } = this.#options
      const { spec, read } = this.#message(resolvedType, wrapperForNullables || wrapperForRawPrimitives)
      return { spec, read: (input) => read(input.nested()), optional: true }
    }
    return { ...primitiveOf(field), optional: false }
  }

  #enumeration(type: protobufjs.Enum): { readonly spec: SchemaSpec; readonly read: Read } {
    const { intForEnums, generalizedSumTypes } = this.#options
    const parameter = generalizedSumTypes ? generalizedEnum : protobufEnum
    const parameters: Record<string, string> = { [parameter]: type.name }
    for (const [symbol, tag] of Object.entries(type.values)) parameters[`${parameter}.${symbol}`] = String(tag)
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

function parametersOf({ parameters }: SchemaSpec | Schema): Readonly<Record<string, string>> {
  if (parameters instanceof Map) return Object.fromEntries(parameters as ReadonlyMap<string, string>)
  return (parameters ?? {}) as Readonly<Record<string, string>>
}
