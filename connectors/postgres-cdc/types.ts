/** Column type → schema and codec (Debezium's mapping). */
import { createHash } from 'node:crypto'
import { makeSchema, type SchemaSpec, Schemas, type Struct, type Value } from '../../worker/api/data.ts'
import {
  binarySpec,
  conversionError,
  encodeBinary,
  type ReadFrom,
  stringCodec,
  textCodec,
  type ValueCodec,
  type ValueOptions,
  valueCodec,
} from './values/codec.ts'
import {
  circleSpec,
  circleValue,
  ewkbValue,
  geographySpec,
  geometricFallbacks,
  geometricValues,
  geometrySpec,
  lineSpec,
  lineValue,
  pointSpec,
  pointValue,
} from './values/geometry.ts'
import { booleanCodec, floatCodec, integerCodec, moneyCodec, numericCodec } from './values/number-codecs.ts'
import {
  dateCodec,
  intervalCodec,
  type TemporalContext,
  timeCodec,
  timestampCodec,
  zonedTimeCodec,
  zonedTimestampCodec,
} from './values/temporal-codecs.ts'
import { bitsToBytes, jsonObject, parseArray, parseBytea, parseHstore } from './values/text-formats.ts'

/** A row of `pg_type`, with the labels of an enum. */
export interface PgType {
  readonly oid: number
  readonly name: string
  /** b base, e enum, d domain, c composite, r range, m multirange, p pseudo. */
  readonly kind: string
  readonly category: string
  /** 0 unless an array (category A). */
  readonly elementOid: number
  /** What stands between the elements of arrays of this type: a semicolon for boxes and domains over them. */
  readonly delimiter: string
  /** 0 unless a domain. */
  readonly baseOid: number
  /** Modifier that a domain declares, else −1. */
  readonly typmod: number
  readonly labels: readonly string[]
}

export type TypeLookup = (oid: number) => PgType | undefined

export interface TypeContext {
  readonly options: ValueOptions
  readonly lookup: TypeLookup
  /** Types as array elements: labels of enums as they were first seen (Debezium never reads those again). */
  readonly lookupElement: TypeLookup
  readonly from: ReadFrom
}

export interface ResolvedType {
  /** Root base type of a domain, else the type itself. */
  readonly base: PgType
  readonly typmod: number
  readonly isDomain: boolean
}

/** Follows domains to their root; a domain's own modifier applies when the column has none. */
export function resolveType(oid: number, typmod: number, lookup: TypeLookup): ResolvedType | null {
  let type = lookup(oid)
  let modifier = typmod
  const isDomain = type?.kind === 'd'
  while (type !== undefined && type.kind === 'd') {
    if (modifier < 0) modifier = type.typmod
    type = lookup(type.baseOid)
  }
  return type === undefined ? null : { base: type, typmod: modifier, isDomain }
}

/** Declared fractional digits of a temporal type; 6 when there are none declared. */
export function temporalDigits(type: PgType, typmod: number): number {
  if (typmod < 0) return 6
  // An interval without a precision of its own shows the 65535 that its modifier holds.
  return type.name === 'interval' ? typmod & 0xffff : typmod
}

const namedString = (name: string): Partial<SchemaSpec> => ({ name, version: 1 })
const plainStrings = new Set(
  (
    'char bpchar varchar text citext inet cidr macaddr macaddr8 int4range int8range numrange tsrange tstzrange ' +
    'daterange isbn'
  ).split(' '),
)
const namedStrings: Readonly<Record<string, string>> = {
  xml: 'io.debezium.data.Xml',
  json: 'io.debezium.data.Json',
  jsonb: 'io.debezium.data.Json',
  uuid: 'io.debezium.data.Uuid',
  ltree: 'io.debezium.data.Ltree',
  tsvector: 'io.debezium.data.Tsvector',
}
const integers: Readonly<Record<string, SchemaSpec['type']>> = {
  int2: 'INT16',
  int4: 'INT32',
  int8: 'INT64',
  oid: 'INT64',
}

/** Types whose unchanged TOAST value has no stand-in of its own kind of text. */
const neverToasted = new Set(['ltree', 'inet', 'cidr', 'macaddr', 'macaddr8'])

/** Array elements that Debezium leaves out, unknown types included or not. */
const unsupportedElements = new Set(['money', 'name', 'interval', 'varbit', 'xml', 'point', 'refcursor'])

/** Array elements beside enums that Debezium does not name one by one, and that are then required. */
const requiredElements = new Set('tsvector isbn vector halfvec sparsevec'.split(' '))

/**
 * Codec of a column, or null for a type that is left out of events.
 * @param type as `resolveType` gave it
 */
export function columnCodec(type: ResolvedType, context: TypeContext): ValueCodec | null {
  const { base } = type
  const known =
    base.category === 'A' && base.elementOid !== 0
      ? arrayCodec(base, type.typmod, context)
      : scalarCodec(base, type.typmod, context, false)
  const codec = known ?? (context.options.includeUnknown ? unknownCodec(base, context) : null)
  return codec !== null && type.isDomain ? domainCodec(codec, base, context.options) : codec
}

/**
 * Debezium knows the placeholders of arrays and of hstore by the name of the column's type: behind a domain it has only the
 * text, which fits where the value is a text.
 */
function domainCodec(codec: ValueCodec, { name, category }: PgType, { placeholder, hstore }: ValueOptions): ValueCodec {
  if (name === 'hstore' && hstore === 'json') {
    return { ...codec, unavailable: Buffer.from(placeholder).toString('utf8') }
  }
  return name === 'hstore' || category === 'A' ? { ...codec, unavailable: undefined } : codec
}

function scalarCodec(type: PgType, typmod: number, context: TypeContext, inArray: boolean): ValueCodec | null {
  const { options, from } = context
  const name = type.name
  if (type.kind === 'e') return enumCodec(type, options)
  if (type.kind === 'c') return null
  const integer = integers[name]
  if (integer !== undefined) return integerCodec(integer)
  if (plainStrings.has(name)) {
    const codec = stringCodec({}, options.placeholder)
    return neverToasted.has(name) ? { ...codec, unavailable: undefined } : codec
  }
  const semantic = namedStrings[name]
  if (semantic !== undefined) return stringCodec(namedString(semantic), options.placeholder)
  const temporal: TemporalContext = { options, from, inArray, digits: temporalDigits(type, typmod) }
  switch (name) {
    case 'bool':
      return booleanCodec(116)
    case 'float4':
      return floatCodec('FLOAT32')
    case 'float8':
      return floatCodec('FLOAT64')
    case 'numeric':
      return numericCodec(typmod, options)
    case 'money':
      return moneyCodec(options)
    case 'bit':
    case 'varbit':
      return bitCodec(typmod)
    case 'name':
      return nameCodec(options, from)
    case 'bytea':
      return byteaCodec(options)
    case 'hstore':
      return hstoreCodec(options)
    case 'date':
      return dateCodec(temporal)
    case 'time':
      return timeCodec(temporal)
    case 'timetz':
      return zonedTimeCodec(temporal)
    case 'timestamp':
      return timestampCodec(temporal)
    case 'timestamptz':
      return zonedTimestampCodec(temporal)
    case 'interval':
      return intervalCodec(temporal)
    default:
      return geometricCodec(name) ?? vectorCodec(name)
  }
}

function bitCodec(typmod: number): ValueCodec {
  if (typmod === 1) return singleBitCodec()
  const length = typmod < 0 ? 2_147_483_647 : typmod
  return textCodec({ spec: bitSpec(length), fallback: new Uint8Array(0) }, bitsToBytes)
}

/** A bit varying of no bits at all is no boolean. */
function singleBitCodec(): ValueCodec {
  return valueCodec({ spec: { type: 'BOOLEAN' }, fallback: false }, (bytes, start, end) => {
    if (start === end) throw conversionError('varbit')
    return bytes[start] === 49
  })
}

/** Name of the schema of columns of several bits. */
export const bitsSchema = 'io.debezium.data.Bits'

function bitSpec(length: number): SchemaSpec {
  return { type: 'BYTES', name: bitsSchema, version: 1, parameters: { length: String(length) } }
}

/** `name` columns carry a value in snapshots only: Debezium's stream decoder counts the type among the unknown. */
function nameCodec(options: ValueOptions, from: ReadFrom): ValueCodec {
  const codec = stringCodec({}, options.placeholder)
  return from === 'snapshot' || options.includeUnknown
    ? codec
    : { ...codec, read: () => null, write: (_b, _s, _e, out) => out.null(), isUnread: true }
}

function byteaCodec(options: ValueOptions): ValueCodec {
  const mode = options.binary
  // The placeholder is not encoded in the text modes.
  const unavailable = mode === 'bytes' ? options.placeholder : Buffer.from(options.placeholder).toString('utf8')
  const fallback = encodeBinary(new Uint8Array(0), mode)
  return textCodec({ spec: binarySpec(mode), fallback, unavailable }, (text) => encodeBinary(parseBytea(text), mode))
}

function hstoreCodec(options: ValueOptions): ValueCodec {
  const placeholder = Buffer.from(options.placeholder).toString('utf8')
  if (options.hstore === 'map') {
    const spec: SchemaSpec = { type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.optionalString }
    const unavailable: Value = new Map([[placeholder, placeholder]])
    return textCodec({ spec, fallback: new Map(), unavailable }, parseHstore)
  }
  const spec: SchemaSpec = { type: 'STRING', name: 'io.debezium.data.Json', version: 1 }
  const unavailable = JSON.stringify({ [placeholder]: placeholder })
  return textCodec({ spec, fallback: '{}', unavailable }, (text) => jsonObject(parseHstore(text)))
}

export function enumSpec(type: PgType): SchemaSpec {
  const parameters = { allowed: type.labels.join(',') }
  return { type: 'STRING', name: 'io.debezium.data.Enum', version: 1, parameters }
}

function enumCodec(type: PgType, options: ValueOptions): ValueCodec {
  return { ...stringCodec({}, options.placeholder), spec: enumSpec(type), unavailable: undefined }
}

/** An empty collection of geometries. */
const emptyEwkb = '010700000000000000'

function geometricCodec(name: string): ValueCodec | null {
  const struct = (spec: SchemaSpec, fallback: Value, parse: (text: string) => Struct | null): ValueCodec =>
    textCodec({ spec, fallback }, (text) => {
      const value = parse(text)
      if (value === null) throw conversionError(name)
      return value
    })
  if (name === 'point') return struct(pointSpec, pointValue('(0,0)'), pointValue)
  if (name === 'line') return struct(lineSpec, lineValue('{0,1,0}'), lineValue)
  if (name === 'circle') return struct(circleSpec, circleValue('<(0,0),0>'), circleValue)
  if (name === 'geometry') return struct(geometrySpec, ewkbValue(emptyEwkb, true), (text) => ewkbValue(text, true))
  if (name === 'geography') return struct(geographySpec, ewkbValue(emptyEwkb, false), (text) => ewkbValue(text, false))
  const parse = geometricValues[name]
  return parse === undefined ? null : struct(geometrySpec, geometricFallbacks[name] ?? null, parse)
}

function vectorCodec(name: string): ValueCodec | null {
  if (name === 'vector' || name === 'halfvec') {
    const double = name === 'vector'
    const spec: SchemaSpec = {
      type: 'ARRAY',
      name: double ? 'io.debezium.data.DoubleVector' : 'io.debezium.data.FloatVector',
      version: 1,
      valueSchema: double ? Schemas.float64 : Schemas.float32,
    }
    return textCodec({ spec, fallback: [] }, (text) => text.slice(1, -1).split(',').map(Number))
  }
  if (name !== 'sparsevec') return null
  const vector = makeSchema({ type: 'MAP', keySchema: Schemas.int16, valueSchema: Schemas.float64 })
  const spec: SchemaSpec = {
    type: 'STRUCT',
    name: 'io.debezium.data.SparseDoubleVector',
    version: 1,
    fields: [
      { name: 'dimensions', schema: Schemas.int16 },
      { name: 'vector', schema: vector },
    ],
  }
  return textCodec({ spec, fallback: { dimensions: 0, vector: new Map() } }, sparseVector)
}

/** `{1:1.5,3:2}/5` */
function sparseVector(text: string): Struct {
  const match = /^\{(.*)\}\/(\d+)$/.exec(text)
  const dimensions = Number(match?.[2] ?? Number.NaN)
  if (match === null || dimensions > 32_767) throw conversionError('sparsevec')
  const entries = (match[1] as string).split(',').filter((item) => item !== '')
  const pairs = entries.map((item) => item.split(':').map(Number) as [number, number])
  return { dimensions, vector: new Map<Value, Value>(pairs) }
}

// ---- arrays ---------------------------------------------------------------------------------------------------------

const scratch = (text: string): Buffer => Buffer.from(text, 'utf8')

function arrayCodec(type: PgType, typmod: number, context: TypeContext): ValueCodec | null {
  const element = context.lookupElement(type.elementOid)
  // To Debezium a domain over an enum is an enum without labels, and any other domain unknown.
  const isEnumDomain = element?.kind === 'd' && element.category === 'E'
  if (element === undefined || unsupportedElements.has(element.name) || (element.kind === 'd' && !isEnumDomain))
    return null
  // Debezium gives bit(n)[] the schema of its element and no value.
  if (element.name === 'bit') {
    return valueCodec(
      typmod > 1
        ? { spec: bitSpec(typmod), fallback: new Uint8Array(0) }
        : { spec: { type: 'BOOLEAN' }, fallback: false },
      () => null,
    )
  }
  const codec = isEnumDomain
    ? enumCodec({ ...element, labels: [] }, context.options)
    : scalarCodec(element, typmod, context, true)
  if (codec === null) return null
  const isRequired = isEnumDomain || element.kind === 'e' || requiredElements.has(element.name)
  const valueSchema = makeSchema({ ...codec.spec, optional: !isRequired })
  const unavailable = unavailableArray(element, codec, context.options)
  return textCodec({ spec: { type: 'ARRAY', valueSchema }, fallback: [], unavailable }, (text) => {
    const items = parseArray(text, element.delimiter)
    if (items === null) throw conversionError(type.name)
    return items.map((item) => {
      // A nested array is not modelled: its elements come out as null.
      if (item.text === null || item.nested) {
        // The array as a whole does not fit its schema; times with a zone are read as texts, which a row is none of,
        // unless they become structures.
        const isText = element.name === 'timetz' && codec.spec.type === 'STRING'
        if (isRequired || (item.nested && isText)) throw conversionError(type.name)
        return null
      }
      const bytes = scratch(item.text)
      return codec.read(bytes, 0, bytes.length)
    })
  })
}

/** What Debezium puts in place of an unchanged TOAST array; undefined where its placeholder does not fit. */
function unavailableArray(element: PgType, codec: ValueCodec, options: ValueOptions): Value | undefined {
  const bytes = Array.from(options.placeholder)
  switch (element.name) {
    case 'int4':
    case 'date':
      return typeof codec.fallback === 'number' ? bytes : undefined
    case 'int8':
      return bytes.map(BigInt)
    case 'uuid':
      return [nameUuid(options.placeholder)]
    case 'text':
    case 'varchar':
    case 'bpchar':
    case 'json':
    case 'jsonb':
    case 'bytea':
      return codec.unavailable === undefined ? undefined : [codec.unavailable]
    default:
      return undefined
  }
}

/** Version 3 UUID of raw bytes, as Java's `UUID.nameUUIDFromBytes`. */
function nameUuid(bytes: Uint8Array): string {
  const digest = createHash('md5').update(bytes).digest()
  digest[6] = ((digest[6] as number) & 0x0f) | 0x30
  digest[8] = ((digest[8] as number) & 0x3f) | 0x80
  return digest.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** `include.unknown.datatypes`: the text's bytes in the binary mode; arrays element by element. */
function unknownCodec(type: PgType, context: TypeContext): ValueCodec | null {
  const mode = context.options.binary
  const element = type.category === 'A' ? context.lookup(type.elementOid) : undefined
  const fallback = encodeBinary(new Uint8Array(0), mode)
  const encode = (text: string): Value => encodeBinary(new Uint8Array(Buffer.from(text, 'utf8')), mode)
  if (element === undefined) {
    return type.category === 'A' ? null : textCodec({ spec: binarySpec(mode), fallback }, encode)
  }
  if (unsupportedElements.has(element.name)) return null
  const valueSchema = makeSchema(binarySpec(mode))
  return textCodec({ spec: { type: 'ARRAY', valueSchema }, fallback: [] }, (text) =>
    (parseArray(text, element.delimiter) ?? []).map((item) => {
      if (item.text === null || item.nested) throw conversionError(type.name)
      return encode(item.text)
    }),
  )
}
