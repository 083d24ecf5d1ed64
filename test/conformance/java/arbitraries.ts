import fc from 'fast-check'
import {
  copySchema,
  Decimal,
  decimalSchema,
  Float64,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type SchemaType,
  type Value,
} from '../../../worker/api/data.ts'

export interface DataOptions {
  /** Feature version of the Java that the data is compared with; below 19 its numbers have longer texts than ours. */
  readonly javaVersion: number
  /** Deepest nesting of arrays, maps and structs. */
  readonly maxDepth?: number
}

export interface ConnectData {
  readonly schema: Schema | null
  readonly value: Value
}

/** Field names that are awkward somewhere: as a JavaScript member, in JSON, or in UTF-8. */
const fieldNames = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[a-z][a-zA-Z0-9_]{0,7}$/) },
  fc.constantFrom('__proto__', 'constructor', 'toString', '1', '0', 'schema', 'payload', 'ä', '"', 'a.b', 'a b', '😀'),
  fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }),
)

const texts = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ maxLength: 80, unit: 'binary' }),
  fc.constantFrom(
    '',
    'null',
    'NaN',
    'true',
    '2024-01-01',
    'a\u0000b',
    '\ud83d',
    '\u2028',
    '</script>',
    '\\"',
    '\uffff',
  ),
)

const big = (width: number): fc.Arbitrary<bigint> =>
  fc.oneof(
    fc.bigInt({ min: -(2n ** BigInt(width - 1)), max: 2n ** BigInt(width - 1) - 1n }),
    fc.bigInt({ min: -300n, max: 300n }),
  )

const int = (width: number): fc.Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: -(2 ** (width - 1)), max: 2 ** (width - 1) - 1 }),
    fc.constantFrom(0, 1, -1, -(2 ** (width - 1)), 2 ** (width - 1) - 1),
  )

function floats(javaVersion: number, width: 32 | 64): fc.Arbitrary<number> {
  const short = fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => n / 4)
  const special = fc.constantFrom(0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)
  if (javaVersion < 19) return fc.oneof(short, special)
  return fc.oneof(width === 32 ? fc.float() : fc.double(), short, special)
}

const dayMs = 86_400_000
/** Ends of what a JavaScript Date can hold, in days; both fit an INT32. */
const maxDay = 8.64e15 / dayMs

/** Always in one order: Java's JsonConverter writes equal schemas alike, whatever the order of their parameters. */
const parameters = fc
  .dictionary(fc.constantFrom('p', 'q"', 'r'), texts, { maxKeys: 2 })
  .map((members) => Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1))))

/** Schemas without a default of their own; nested ones may have one. */
function bareSchemas(options: DataOptions): fc.Arbitrary<Schema> {
  const annotate = (schema: Schema): fc.Arbitrary<Schema> =>
    fc
      .record({
        optional: fc.boolean(),
        name: fc.option(fc.constantFrom('N', 'com.example.Name', 'ä"'), { freq: 4 }),
        version: fc.option(fc.integer({ min: 0, max: 9 }), { freq: 4 }),
        doc: fc.option(texts, { freq: 4 }),
        parameters: fc.option(parameters, { freq: 4 }),
      })
      .map(({ optional, name, version, doc, parameters }) =>
        // fast-check's option is null three times in four at this frequency; most schemas are plain.
        schema.name === null
          ? copySchema(schema, { optional, name, version, doc, parameters })
          : copySchema(schema, { optional }),
      )
  const primitives = Object.values(Schemas).filter((s) => !s.optional)
  const logical = fc.oneof(
    fc.integer({ min: -3, max: 12 }).map((scale) => decimalSchema(scale)),
    fc.constantFrom(
      makeSchema({ type: 'INT32', name: LogicalName.date, version: 1 }),
      makeSchema({ type: 'INT32', name: LogicalName.time, version: 1 }),
      makeSchema({ type: 'INT64', name: LogicalName.timestamp, version: 1 }),
    ),
  )
  const leaf = fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...primitives) }, logical)
  const keys = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(Schemas.string, Schemas.optionalString) },
    fc.constantFrom(Schemas.int8, Schemas.int32, Schemas.int64, Schemas.boolean, decimalSchema(2)),
  )
  const { any } = fc.letrec<{ any: Schema }>((tie) => {
    const nested = tie('any').chain((schema) => withDefault(schema, options))
    return {
      any: fc
        .oneof(
          { maxDepth: options.maxDepth ?? 3, depthIdentifier: 'schema' },
          { weight: 4, arbitrary: leaf },
          { weight: 1, arbitrary: nested.map((valueSchema) => makeSchema({ type: 'ARRAY', valueSchema })) },
          {
            weight: 1,
            arbitrary: fc
              .tuple(keys, nested)
              .map(([keySchema, valueSchema]) => makeSchema({ type: 'MAP', keySchema, valueSchema })),
          },
          {
            weight: 2,
            arbitrary: fc
              .uniqueArray(fc.record({ name: fieldNames, schema: nested }), {
                maxLength: 5,
                selector: (f) => f.name,
                depthIdentifier: 'schema',
              })
              .map((fields) => makeSchema({ type: 'STRUCT', fields })),
          },
        )
        .chain(annotate),
    }
  })
  return any
}

/** Now and then a default; Java cannot give one to a struct. */
function withDefault(schema: Schema, options: DataOptions): fc.Arbitrary<Schema> {
  if (holdsStruct(schema)) return fc.constant(schema)
  return fc
    .option(
      values(schema, options).map((value) => (value === null ? schema : copySchema(schema, { defaultValue: value }))),
      { freq: 3, nil: schema },
    )
    .map((chosen) => chosen)
}

function holdsStruct(schema: Schema): boolean {
  if (schema.type === 'STRUCT') return true
  return (
    (schema.keySchema !== null && holdsStruct(schema.keySchema)) ||
    (schema.valueSchema !== null && holdsStruct(schema.valueSchema))
  )
}

/** Values of a schema, nulls of an optional one among them. */
export function values(schema: Schema, options: DataOptions): fc.Arbitrary<Value> {
  const present = presentValues(schema, options)
  return schema.optional ? fc.option(present, { freq: 5 }) : present
}

const leafValues: Readonly<
  Record<Exclude<SchemaType, 'ARRAY' | 'MAP' | 'STRUCT' | 'FLOAT32' | 'FLOAT64'>, fc.Arbitrary<Value>>
> = {
  INT8: int(8),
  INT16: int(16),
  INT32: int(32),
  INT64: big(64),
  BOOLEAN: fc.boolean(),
  STRING: texts,
  BYTES: fc.uint8Array({ maxLength: 24 }),
}

function presentValues(schema: Schema, options: DataOptions): fc.Arbitrary<Value> {
  const logical = logicalValues(schema)
  if (logical !== null) return logical
  switch (schema.type) {
    case 'FLOAT32':
      return floats(options.javaVersion, 32)
    case 'FLOAT64':
      return floats(options.javaVersion, 64)
    case 'ARRAY':
      return fc.array(values(schema.valueSchema as Schema, options), { maxLength: 3 })
    case 'MAP':
      return mapValues(schema, options)
    case 'STRUCT':
      return fc
        .tuple(...schema.fields.map((f) => values(f.schema, options)))
        .map((items) => structOf(schema.fields.map((f, i) => [f.name, items[i] ?? null])))
    default:
      return leafValues[schema.type]
  }
}

function logicalValues(schema: Schema): fc.Arbitrary<Value> | null {
  switch (schema.name) {
    case LogicalName.decimal: {
      const scale = Number(schema.parameters?.get('scale'))
      return fc.oneof(big(64), big(200)).map((unscaled) => new Decimal(unscaled, scale))
    }
    case LogicalName.date:
      return fc
        .oneof(fc.integer({ min: -50_000, max: 50_000 }), fc.constantFrom(-maxDay, maxDay))
        .map((d) => new Date(d * dayMs))
    case LogicalName.time:
      return fc.integer({ min: 0, max: dayMs }).map((ms) => new Date(ms))
    case LogicalName.timestamp:
      return fc.integer({ min: -8.64e15, max: 8.64e15 }).map((ms) => new Date(ms))
    default:
      return null
  }
}

function mapValues(schema: Schema, options: DataOptions): fc.Arbitrary<Value> {
  const keys = presentValues(schema.keySchema as Schema, options)
  const entry = fc.tuple(keys, values(schema.valueSchema as Schema, options))
  return fc
    .uniqueArray(entry, { maxLength: 3, selector: ([key]) => (key instanceof Decimal ? `${key}` : key) })
    .map((entries) => new Map(entries))
}

/** A plain object in which every name is an own member, `__proto__` too. */
export function structOf(members: readonly (readonly [string, Value])[]): { readonly [name: string]: Value } {
  const struct: Record<string, Value> = {}
  for (const [name, value] of members) {
    Object.defineProperty(struct, name, { value, enumerable: true, configurable: true, writable: true })
  }
  return struct
}

/** Values without a schema, as JSON without schemas gives them; bytes and maps with other keys too. */
function schemalessValues(options: DataOptions): fc.Arbitrary<Value> {
  const { any } = fc.letrec<{ any: Value }>((tie) => ({
    any: fc.oneof(
      { maxDepth: options.maxDepth ?? 3, depthIdentifier: 'value' },
      fc.oneof(
        fc.boolean(),
        fc.constant(null),
        texts,
        big(64).map((n) => (BigInt.asIntN(53, n) === n ? Number(n) : n)),
        floats(options.javaVersion, 64).map((n) => (Number.isInteger(n) ? new Float64(n) : n)),
        fc.uint8Array({ maxLength: 8 }),
      ),
      fc.array(tie('any'), { maxLength: 3, depthIdentifier: 'value' }),
      fc.array(fc.tuple(fieldNames, tie('any')), { maxLength: 3, depthIdentifier: 'value' }).map(structOf),
      fc
        .uniqueArray(fc.tuple(fc.oneof(int(32), fieldNames), tie('any')), {
          maxLength: 3,
          depthIdentifier: 'value',
          selector: ([key]) => key,
        })
        .map((entries) => new Map<Value, Value>(entries)),
    ),
  }))
  return any
}

/** Schemas with defaults at any depth, for which values can then be drawn. */
export function schemas(options: DataOptions): fc.Arbitrary<Schema> {
  return bareSchemas(options).chain((schema) => withDefault(schema, options))
}

/** Pairs of a schema and a value of it; one in eight is a value without a schema. */
export function connectData(options: DataOptions): fc.Arbitrary<ConnectData> {
  const typed = schemas(options).chain((schema) => values(schema, options).map((value) => ({ schema, value })))
  return fc.oneof(
    { weight: 7, arbitrary: typed },
    { weight: 1, arbitrary: schemalessValues(options).map((value) => ({ schema: null, value })) },
  )
}
