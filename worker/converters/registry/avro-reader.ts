import { avroEnumParameter } from '../../api/avro-schema.ts'
import { avroUnionName } from '../../api/avro-unions.ts'
import type { SchemaAndValue } from '../../api/converter.ts'
import {
  Decimal,
  LogicalName,
  makeSchema,
  type Schema,
  type SchemaSpec,
  type Struct,
  type Value,
} from '../../api/data.ts'
import { DataError } from '../../api/errors.ts'
import { parseJson } from '../../api/json.ts'
import { generalizedEnum, generalizedUnion, unnamedUnion, unnamedUnionField } from '../../api/sum-types.ts'
import { fromTwosComplement, isStruct } from '../../api/values.ts'
import { avroDefault } from './avro-defaults.ts'
import { AvroInput } from './avro-input.ts'
import {
  avroConnectEnumDoc,
  avroConnectRecordDoc,
  avroDefaultName,
  avroEnumDefault,
  avroEnumDoc,
  avroFieldDefault,
  avroFieldDoc,
  avroMapEntryName,
  avroRecordDoc,
} from './avro-names.ts'
import { narrow, type Read, readDate, readTimestamp } from './avro-scalars.ts'
import type { Decoding, ReferencedSchema } from './format.ts'

export interface AvroReadOptions {
  /** Docs and `connect.*` properties become docs and parameters (`connect.meta.data`). */
  readonly connectMetaData: boolean
  /** Branches of a union are called by the full names of their records (`enhanced.avro.schema.support`). */
  readonly enhanced: boolean
  /** Keys of maps are optional (`allow.optional.map.keys`). */
  readonly optionalMapKeys: boolean
  /** A union of one type is that type (`flatten.singleton.unions`); else a struct of one field. */
  readonly flattenSingletonUnions: boolean
  /** Names of unions and enumerations are those of all formats (`generalized.sum.type.support`). */
  readonly generalizedSumTypes: boolean
  /** The doc of a field is that of its schema, which keeps no docs of types (`discard.type.doc.default`). */
  readonly discardTypeDocs: boolean
}

/** An Avro type compiled: the Connect schema without optional, default and version, and how its data are read. */
interface Node {
  readonly spec: SchemaSpec
  readonly read: Read
  /** Of a union with null, which makes the schema optional. */
  readonly optional: boolean
  /** As the Avro schema has it, for the default of a field. */
  readonly avro: Struct | string | readonly Value[]
}

/**
 * Compiles an Avro schema for reading, with the mapping of Confluent's AvroData.
 * @param references schemas that it names, each after those that it uses
 * @throws DataError for a schema that is invalid, recursive, or has no counterpart in Connect
 */
export function avroDecoding(
  text: string,
  references: readonly ReferencedSchema[],
  version: number | null,
  options: AvroReadOptions,
): Decoding {
  const compiler = new AvroReaderCompiler(options)
  for (const reference of references) compiler.define(jsonOf(reference.text))
  const { schema, read } = compiler.compile(jsonOf(text), version)
  const input = new AvroInput()
  return {
    read(bytes, start): SchemaAndValue {
      const value = read(input.over(bytes, start))
      if (input.remaining > 0) {
        throw new DataError('CONNECT_DATA_SERIALIZATION', 'Invalid Avro data: bytes are left over', {
          context: { bytes: input.remaining },
        })
      }
      return { schema, value }
    },
  }
}

function jsonOf(text: string): Value {
  try {
    return parseJson(text)
  } catch (error) {
    // A bare name of a type is a schema, too.
    if (/^[A-Za-z_][\w.]*$/.test(text)) return text
    throw new DataError('CONNECT_REGISTRY_SCHEMA', 'An Avro schema is no JSON', { cause: error })
  }
}

class AvroReaderCompiler {
  readonly #options: AvroReadOptions
  readonly #named = new Map<string, Node | null>()
  #unions = 0

  constructor(options: AvroReadOptions) {
    this.#options = options
  }

  /** Makes the named types of a schema known. */
  define(avro: Value): void {
    this.#type(avro, '')
  }

  compile(avro: Value, version: number | null): { readonly schema: Schema; readonly read: Read } {
    const node = this.#type(avro, '')
    const spec = { ...node.spec, version: node.spec.version ?? version }
    return { schema: schemaOf({ ...node, spec }, connectDefault(node)), read: node.read }
  }

  #type(avro: Value, namespace: string): Node {
    if (typeof avro === 'string') return this.#byName(avro, namespace)
    if (Array.isArray(avro)) return this.#union(avro as readonly Value[], namespace)
    if (avro === null || !isStruct(avro)) throw invalid('a type is neither name, list nor object')
    const type = avro['type']
    if (typeof type !== 'string') return this.#type(type ?? null, namespace)
    switch (type) {
      case 'record':
      case 'error':
        return this.#define(avro, namespace, (name) => this.#record(avro, name))
      case 'enum':
        return this.#define(avro, namespace, (name) => this.#enumeration(avro, name))
      case 'fixed':
        return this.#define(avro, namespace, (name) => this.#fixed(avro, name))
      case 'array':
        return this.#array(avro, namespace)
      case 'map':
        return this.#map(avro, namespace)
      default:
        return primitives.has(type) ? this.#primitive(type, avro) : this.#byName(type, namespace)
    }
  }

  #byName(name: string, namespace: string): Node {
    if (primitives.has(name)) return this.#primitive(name, {})
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    const node = this.#named.get(full) ?? this.#named.get(name)
    if (node !== undefined && node !== null) return node
    const reason = this.#named.has(full)
      ? `${full} contains itself, which Connect schemas cannot`
      : `the type ${full} is not known`
    throw invalid(reason)
  }

  #define(avro: Struct, outer: string, make: (fullName: string) => Node): Node {
    const name = textOf(avro, 'name') ?? ''
    const namespace = textOf(avro, 'namespace') ?? outer
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    // While it is null, the type is being defined.
    this.#named.set(full, null)
    const node = make(full)
    this.#named.set(full, node)
    return node
  }

  #node(avro: Struct, spec: SchemaSpec, read: Read, fallbackName: string | null = null): Node {
    return { spec: this.#annotated(avro, spec, fallbackName), read, optional: false, avro }
  }

  /** Name, version, doc and parameters from the schema's properties. */
  #annotated(avro: Struct, spec: SchemaSpec, fallbackName: string | null): SchemaSpec {
    const parameters = new Map(Object.entries(spec.parameters ?? {}))
    if (this.#options.connectMetaData) {
      const given = avro['connect.parameters']
      if (given !== undefined && given !== null && isStruct(given)) {
        for (const [key, value] of Object.entries(given)) {
          if (typeof value !== 'string') throw invalid('a parameter of connect.parameters is no text')
          parameters.set(key, value)
        }
      }
    }
    for (const [key, value] of Object.entries(avro)) if (key.startsWith('avro')) parameters.set(key, String(value))
    const { connectMetaData, discardTypeDocs } = this.#options
    const doc = typeDoc(avro)
    if (connectMetaData && discardTypeDocs && doc !== null) parameters.set(avroConnectRecordDoc, doc)
    const name = textOf(avro, 'connect.name') ?? (fallbackName === avroDefaultName ? null : fallbackName)
    const version = avro['connect.version']
    if (version !== undefined && typeof version !== 'number') throw invalid('connect.version is no number')
    return {
      ...spec,
      name: spec.name ?? name,
      version: spec.version ?? version ?? null,
      doc: this.#docOf(avro),
      parameters,
    }
  }

  #docOf(avro: Struct): string | null {
    const given = textOf(avro, 'connect.doc')
    if (this.#options.discardTypeDocs) return typeDoc(avro) ?? given
    return this.#options.connectMetaData ? given : null
  }

  #primitive(type: string, avro: Struct): Node {
    const logical = textOf(avro, 'logicalType')
    switch (type) {
      case 'boolean':
        return this.#node(avro, { type: 'BOOLEAN' }, (input) => input.boolean())
      case 'int':
        return this.#int(avro, logical)
      case 'long':
        if (logical === 'timestamp-millis') {
          return this.#node(avro, { type: 'INT64', name: LogicalName.timestamp, version: 1 }, readTimestamp)
        }
        return this.#node(avro, { type: 'INT64' }, (input) => input.long())
      case 'float':
        return this.#node(avro, { type: 'FLOAT32' }, (input) => input.float())
      case 'double':
        return this.#node(avro, { type: 'FLOAT64' }, (input) => input.double())
      case 'string':
        return this.#node(avro, { type: 'STRING' }, (input) => input.string())
      case 'bytes':
        if (logical === 'decimal') return this.#decimal(avro, (input) => input.bytes())
        return this.#node(avro, { type: 'BYTES' }, (input) => input.bytes())
      default:
        throw invalid('null stands alone; only in a union has it a meaning for Connect')
    }
  }

  #int(avro: Struct, logical: string | null): Node {
    if (logical === 'date') return this.#node(avro, { type: 'INT32', name: LogicalName.date, version: 1 }, readDate)
    if (logical === 'time-millis') {
      return this.#node(avro, { type: 'INT32', name: LogicalName.time, version: 1 }, (input) => new Date(input.int()))
    }
    const connectType = logical === null ? textOf(avro, 'connect.type') : null
    if (connectType === 'int8') return this.#node(avro, { type: 'INT8' }, narrow(8))
    if (connectType === 'int16') return this.#node(avro, { type: 'INT16' }, narrow(16))
    if (connectType !== null) throw invalid(`connect.type ${connectType} is none of an int`)
    return this.#node(avro, { type: 'INT32' }, (input) => input.int())
  }

  #decimal(avro: Struct, readBytes: (input: AvroInput) => Uint8Array): Node {
    const { scale, precision } = avro
    if (typeof scale !== 'number') throw invalid('scale must be specified and must be a number')
    const parameters: Record<string, string> = { scale: String(scale) }
    if (typeof precision === 'number' && precision !== 64) parameters['connect.decimal.precision'] = String(precision)
    const spec: SchemaSpec = { type: 'BYTES', name: LogicalName.decimal, version: 1, parameters }
    return this.#node(avro, spec, (input) => new Decimal(fromTwosComplement(readBytes(input)), scale))
  }

  #fixed(avro: Struct, fullName: string): Node {
    const { size } = avro
    if (typeof size !== 'number') throw invalid(`${fullName} has no size`)
    if (textOf(avro, 'logicalType') === 'decimal') return this.#decimal(avro, (input) => input.raw(size))
    const parameters = { 'connect.fixed.size': String(size) }
    return this.#node(avro, { type: 'BYTES', parameters }, (input) => input.raw(size), fullName)
  }

  #enumeration(avro: Struct, fullName: string): Node {
    const symbols = Array.isArray(avro['symbols']) ? (avro['symbols'] as readonly Value[]).map(String) : []
    const parameters: Record<string, string> = {}
    const name = fullName.slice(fullName.lastIndexOf('.') + 1)
    const doc = textOf(avro, 'doc')
    const fallback = textOf(avro, 'default')
    const { connectMetaData, discardTypeDocs, generalizedSumTypes } = this.#options
    if (connectMetaData && doc !== null) parameters[discardTypeDocs ? avroConnectEnumDoc : avroEnumDoc + name] = doc
    if (connectMetaData && !discardTypeDocs && fallback !== null) parameters[avroEnumDefault + name] = fallback
    const parameter = generalizedSumTypes ? generalizedEnum : avroEnumParameter
    parameters[parameter] = fullName
    symbols.forEach((symbol, i) => {
      parameters[`${parameter}.${symbol}`] = generalizedSumTypes ? String(i) : symbol
    })
    const read: Read = (input) => {
      const symbol = symbols[input.int()]
      if (symbol === undefined) throw new DataError('CONNECT_DATA_SERIALIZATION', `Invalid Avro data: ${name}`)
      return symbol
    }
    return this.#node(avro, { type: 'STRING', parameters }, read, fullName)
  }

  #array(avro: Struct, namespace: string): Node {
    const items = this.#type(avro['items'] ?? null, namespace)
    if (isMapEntry(items)) return this.#entries(avro, items)
    const { read: readItem } = items
    const read: Read = (input) => {
      const list: Value[] = []
      for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
        for (let i = 0; i < count; i++) list.push(readItem(input))
      }
      return list
    }
    return this.#node(avro, { type: 'ARRAY', valueSchema: schemaOf(items, connectDefault(items)) }, read)
  }

  /** A map whose keys are no text is a list of records. */
  #entries(avro: Struct, { spec, read: readEntry }: Node): Node {
    const [key, value] = ['key', 'value'].map((name) => spec.fields?.find((field) => field.name === name)?.schema)
    if (key === undefined || value === undefined || spec.fields?.length !== 2) {
      throw invalid('a map as a list of entries must have key and value')
    }
    const read: Read = (input) => {
      const map = new Map<Value, Value>()
      for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
        for (let i = 0; i < count; i++) {
          const entry = readEntry(input) as Struct
          map.set(entry['key'] ?? null, entry['value'] ?? null)
        }
      }
      return map
    }
    return this.#node(avro, { type: 'MAP', keySchema: key, valueSchema: value }, read)
  }

  #map(avro: Struct, namespace: string): Node {
    const values = this.#type(avro['values'] ?? null, namespace)
    const { read: readValue } = values
    const keySchema = makeSchema({ type: 'STRING', optional: this.#options.optionalMapKeys })
    const read: Read = (input) => {
      const map = new Map<Value, Value>()
      for (let count = input.blockCount(); count > 0; count = input.blockCount()) {
        for (let i = 0; i < count; i++) {
          const key = input.string()
          map.set(key, readValue(input))
        }
      }
      return map
    }
    return this.#node(avro, { type: 'MAP', keySchema, valueSchema: schemaOf(values, connectDefault(values)) }, read)
  }

  #record(avro: Struct, fullName: string): Node {
    const namespace = fullName.includes('.') ? fullName.slice(0, fullName.lastIndexOf('.')) : ''
    const parameters: Record<string, string> = {}
    const doc = textOf(avro, 'doc')
    const { connectMetaData, discardTypeDocs } = this.#options
    const keepsDocs = connectMetaData && !discardTypeDocs
    if (keepsDocs && doc !== null) parameters[avroRecordDoc] = doc
    const given = avro['fields']
    if (!Array.isArray(given)) throw invalid(`${fullName} has no fields`)
    const fields: { name: string; schema: Schema; read: Read }[] = []
    for (const field of given as readonly Value[]) {
      if (field === null || !isStruct(field)) throw invalid(`a field of ${fullName} is no object`)
      const name = textOf(field, 'name') ?? ''
      const fieldDoc = textOf(field, 'doc')
      if (keepsDocs && fieldDoc !== null) parameters[avroFieldDoc + name] = fieldDoc
      const type = this.#type(field['type'] ?? null, namespace)
      const node = discardTypeDocs && fieldDoc !== null ? { ...type, spec: { ...type.spec, doc: fieldDoc } } : type
      fields.push({ name, schema: fieldSchema(node, field, keepsDocs), read: node.read })
    }
    const spec: SchemaSpec = { type: 'STRUCT', fields, parameters }
    return this.#node(avro, spec, recordReader(fields), fullName)
  }

  #union(branches: readonly Value[], namespace: string): Node {
    const nullIndex = branches.indexOf('null')
    const { flattenSingletonUnions, generalizedSumTypes } = this.#options
    const isSum = branches.length === 1 ? !flattenSingletonUnions : branches.length > 2 || nullIndex < 0
    // Counted before the unions inside.
    const sumName = generalizedSumTypes && isSum ? `${unnamedUnion}${this.#unions++}` : avroUnionName
    const nodes = branches.map((branch) => (branch === 'null' ? null : this.#type(branch, namespace)))
    const [first = null, second = null] = nodes
    const only = first ?? second
    if (only === null) throw invalid('a union of null alone, or of nothing, has no meaning for Connect')
    if (nodes.length === 1 && !isSum) return { ...only, read: branchReader(only.read) }
    if (!isSum) {
      const { read } = only
      const readOptional: Read = (input) => {
        const index = input.int()
        if (index === nullIndex) return null
        if (index === 1 - nullIndex) return read(input)
        throw noBranch()
      }
      return { ...only, read: readOptional, optional: true }
    }
    return this.#sum(sumName, nodes, branches)
  }

  /** Several types: a struct of which one field is set. */
  #sum(name: string, nodes: readonly (Node | null)[], branches: readonly Value[]): Node {
    const { generalizedSumTypes } = this.#options
    const names = nodes.map((node, i) => {
      if (node === null) return null
      return generalizedSumTypes ? `${unnamedUnionField}${i}` : this.#branchName(node)
    })
    const present = names.filter((name) => name !== null)
    if (new Set(present).size < present.length) throw invalid('two branches of a union have the same name')
    const fields = nodes.flatMap((node, i) => {
      const field = names[i] ?? null
      return node === null || field === null
        ? []
        : [{ name: field, schema: schemaOf({ ...node, optional: true }, null) }]
    })
    const read: Read = (input) => {
      const index = input.int()
      const node = nodes[index]
      if (node === undefined) throw noBranch()
      if (node === null) return null
      const value = node.read(input)
      const struct: Record<string, Value> = {}
      for (const field of fields) struct[field.name] = field.name === names[index] ? value : null
      return struct
    }
    const parameters = generalizedSumTypes ? { [generalizedUnion]: name } : null
    const spec: SchemaSpec = { type: 'STRUCT', name, fields, parameters }
    return { spec, read, optional: branches.includes('null'), avro: branches }
  }

  #branchName({ avro, spec }: Node): string {
    const type = typeof avro === 'string' ? avro : isStruct(avro) ? (textOf(avro, 'type') ?? '') : 'union'
    if (type !== 'record' && type !== 'enum' && type !== 'fixed') return type === '' ? avroTypeOf(spec) : type
    // A fixed of decimals is called by its own name.
    const own = spec.name === LogicalName.decimal ? textOf(avro as Struct, 'name') : spec.name
    const name = own ?? avroDefaultName
    return this.#options.enhanced ? name : name.slice(name.lastIndexOf('.') + 1)
  }
}

const primitives = new Set(['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'])

const avroTypes: Partial<Record<Schema['type'], string>> = {
  BOOLEAN: 'boolean',
  INT8: 'int',
  INT16: 'int',
  INT32: 'int',
  INT64: 'long',
  FLOAT32: 'float',
  FLOAT64: 'double',
  STRING: 'string',
  BYTES: 'bytes',
  ARRAY: 'array',
  MAP: 'map',
}

const avroTypeOf = ({ type }: SchemaSpec): string => avroTypes[type] ?? 'record'

function schemaOf({ spec, optional }: Node, defaultValue: Value): Schema {
  return makeSchema({ ...spec, optional, defaultValue })
}

function connectDefault(node: Node): Value {
  const given = isStruct(node.avro as Value) ? (node.avro as Struct)['connect.default'] : undefined
  return given === undefined ? null : avroDefault(makeSchema(node.spec), given)
}

/** The default that a field gives counts for all but optional ones, whose default only Connect's property keeps. */
function fieldSchema(node: Node, field: Struct, marksDefault: boolean): Schema {
  const own = connectDefault(node)
  const given = field['default']
  if (own !== null || node.optional || given === undefined || given === null) return schemaOf(node, own)
  const defaultValue = avroDefault(makeSchema(node.spec), given)
  if (!marksDefault) return schemaOf(node, defaultValue)
  const parameters = {
    ...Object.fromEntries(node.spec.parameters instanceof Map ? node.spec.parameters : []),
    [avroFieldDefault]: 'true',
  }
  return schemaOf({ ...node, spec: { ...node.spec, parameters } }, defaultValue)
}

function recordReader(fields: readonly { readonly name: string; readonly read: Read }[]): Read {
  const names = fields.map((field) => field.name)
  const reads = fields.map((field) => field.read)
  return (input) => {
    const struct: Record<string, Value> = {}
    for (let i = 0; i < names.length; i++) struct[names[i] as string] = (reads[i] as Read)(input)
    return struct
  }
}

function isMapEntry({ avro, spec }: Node): boolean {
  if (spec.type !== 'STRUCT' || !isStruct(avro as Value)) return false
  return textOf(avro as Struct, 'connect.internal.type') === 'MapEntry' || spec.name === avroMapEntryName
}

/** Avro has docs of named types only. */
function typeDoc(avro: Struct): string | null {
  const { type } = avro
  return type === 'record' || type === 'error' || type === 'enum' ? textOf(avro, 'doc') : null
}

/** Of a union of one type. */
function branchReader(read: Read): Read {
  return (input) => {
    if (input.int() !== 0) throw noBranch()
    return read(input)
  }
}

function textOf(avro: Struct, name: string): string | null {
  const value = avro[name]
  return typeof value === 'string' ? value : null
}

function noBranch(): DataError {
  return new DataError('CONNECT_DATA_SERIALIZATION', 'Invalid Avro data: no such branch of a union')
}

function invalid(reason: string): DataError {
  return new DataError('CONNECT_REGISTRY_SCHEMA', `An Avro schema cannot be used: ${reason}`)
}
