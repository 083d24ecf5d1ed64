import type protobufjs from 'protobufjs'
import { decimalSchema, LogicalName, type SchemaSpec } from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { protobufLogical, protobufType } from './protobuf-builtin.ts'
import type { Read } from './protobuf-fields.ts'
import type { Protobufjs } from './protobuf-file.ts'
import { readDate, readDecimal, readTime, readTimestamp } from './protobuf-logical.ts'
import { protobufIntegers } from './protobuf-numbers.ts'

export interface MapEntry {
  readonly key: protobufjs.Field
  readonly value: protobufjs.Field
}

/** A map field, or a list of messages that are called and look like entries of one. */
export function mapEntryOf(pb: Protobufjs, field: protobufjs.Field): MapEntry | null {
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

/** Whether a field of proto3 says that it is optional. */
export function isProto3Optional(field: protobufjs.Field): boolean {
  return field.options?.['proto3_optional'] === true
}

/** The oneof that stands behind an optional field of proto3 is none. */
export function isRealOneof(oneof: protobufjs.OneOf): boolean {
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

/** Whether a message is one of those that Google made for primitives that may be null. */
export function isWrapper(type: protobufjs.Type): boolean {
  const [, google, protobuf, name = ''] = type.fullName.split('.')
  return google === 'google' && protobuf === 'protobuf' && wrapperNames.has(name)
}

/** A field whose message stands for a logical type; null for others. */
export function logicalOf(
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

/** @throws DataError for a type that is not known */
export function primitiveOf(field: protobufjs.Field): { readonly spec: SchemaSpec; readonly read: Read } {
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

export function invalid(reason: string): DataError {
  return new DataError('CONNECT_REGISTRY_SCHEMA', `A Protobuf schema cannot be used: ${reason}`)
}
