/** Random schemas and values, each with the JSON that the specification of the sink makes of it (sections 2.7, 2.8). */
import {
  Decimal,
  decimalSchema,
  Float64,
  LogicalName,
  makeSchema,
  type Schema,
  type SchemaSpec,
  type SchemaType,
  type Value,
} from '../../../worker/api/data.ts'
import type { Random } from '../random.ts'

/**
 * How a document is written: converted for Elasticsearch, with maps of text keys as objects (`compact`) or as lists of
 * entries (`entries`), or by the rules of the JSON converter alone (`plain`, with `schema.ignore`).
 */
export type Rendering = 'compact' | 'entries' | 'plain'

/** JSON whose numbers are texts in one form (`numberText`), so that it can be compared digit by digit. */
export type Json = null | boolean | string | { readonly number: string } | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

export interface Made {
  readonly value: Value
  json(rendering: Rendering): Json
}

/** A schema and its values. */
export interface RandomType {
  readonly schema: Schema
  make(): Made
}

/** Integers as digits, everything else as the shortest text of the double. */
export function numberText(text: string): string {
  if (/^-?\d+$/.test(text)) return BigInt(text).toString()
  const double = Number(text)
  return Number.isInteger(double) ? BigInt(double).toString() : String(double)
}

const number = (of: bigint | number): Json => ({ number: numberText(String(of)) })
const made = (value: Value, json: Json): Made => ({ value, json: () => json })

/** A JSON text with its numbers in that form. */
export function readJson(text: string): Json {
  const reviver = (_: string, value: unknown, context: { readonly source?: string }) =>
    typeof value === 'number' ? { number: numberText(context.source ?? '') } : value
  return (JSON.parse as (text: string, reviver: unknown) => Json)(text, reviver)
}

/** What values an index takes: any, or those that the types of a mapping of their schema, and of guesses, can hold. */
export type Extent = 'any' | 'mapped'

const texts = [
  '',
  'x',
  'Zoë',
  '𝒳 𐍈',
  '"quoted" \\ /',
  'line\nbreak\ttab\u0001',
  '\u2028',
  '</script>',
  '0',
  'null',
] as const

export class RandomValues {
  readonly #random: Random
  readonly #extent: Extent

  constructor(random: Random, extent: Extent) {
    this.#random = random
    this.#extent = extent
  }

  /** A STRUCT of some fields, `n` among them: whole numbers, or texts that are none; and a time in `ts`. */
  document(n: 'number' | 'text'): RandomType {
    const text = constant({ type: 'STRING' }, () => made('no number', 'no number'))
    const ts = constant({ type: 'INT64' }, () => this.#time())
    return this.#struct(3, { n: n === 'number' ? this.#integer('INT32') : text, ts })
  }

  #time(): Made {
    const at = 1_600_000_000_000n + BigInt(this.#random.integer(0, 1e9))
    return made(at, number(at))
  }

  /** A field that must not be null and is. */
  invalidDocument(): RandomType {
    const schema = makeSchema({ type: 'STRUCT', fields: [{ name: 'must', schema: makeSchema({ type: 'INT32' }) }] })
    return { schema, make: () => made({ must: null }, null) }
  }

  /** An object without a schema, with or without a time in `ts`. */
  schemaless(n: number | string, hasTime: boolean): Made {
    const rest = this.#object(3)
    const ts = hasTime ? this.#time() : null
    return made(
      { ...(rest.value as object), n, ...(ts !== null && { ts: ts.value }) },
      {
        ...(rest.json('plain') as JsonObject),
        n: typeof n === 'number' ? number(n) : n,
        ...(ts !== null && { ts: ts.json('plain') }),
      },
    )
  }

  #type(depth: number): RandomType {
    const type = this.#present(depth)
    const kind = this.#random.integer(0, 5)
    if (kind > 1) return type
    if (kind === 0) return this.#nullable(type, { optional: true }, null)
    if (type.schema.type === 'STRUCT' || type.schema.type === 'MAP' || type.schema.type === 'ARRAY') return type
    // The null of a field with a default is the default, whether it may be null or not (E29).
    const byDefault = type.make()
    return this.#nullable(
      type,
      { optional: this.#random.integer(0, 1) === 0, defaultValue: byDefault.value },
      byDefault,
    )
  }

  #nullable(type: RandomType, spec: Partial<SchemaSpec>, ofNull: Made | null): RandomType {
    const schema = makeSchema({ ...type.schema, ...spec })
    const json = ofNull === null ? () => null : ofNull.json
    return { schema, make: () => (this.#random.integer(0, 2) === 0 ? { value: null, json } : type.make()) }
  }

  #present(depth: number): RandomType {
    const random = this.#random
    const nested =
      depth > 0 ? [() => this.#struct(depth - 1, {}), () => this.#array(depth - 1), () => this.#map(depth - 1)] : []
    return random.pick([
      () => this.#integer(random.pick(['INT8', 'INT16', 'INT32'])),
      () => constant({ type: 'INT64' }, () => this.#int64()),
      () => this.#double('FLOAT32'),
      () => this.#double('FLOAT64'),
      () => constant({ type: 'STRING' }, () => this.#text()),
      () => constant({ type: 'BOOLEAN' }, () => this.#boolean()),
      () => constant({ type: 'BYTES' }, () => this.#bytes()),
      () => this.#decimal(),
      () => this.#date(),
      ...nested,
      ...nested,
    ])()
  }

  #integer(type: 'INT8' | 'INT16' | 'INT32'): RandomType {
    const bits = { INT8: 7, INT16: 15, INT32: 31 }[type]
    return constant({ type }, () => {
      const value = this.#random.pick([0, -1, 2 ** bits - 1, -(2 ** bits), this.#random.integer(0, 99)])
      return made(value, number(value))
    })
  }

  #int64(): Made {
    const value = this.#random.pick([
      0n,
      -1n,
      2n ** 63n - 1n,
      -(2n ** 63n),
      2n ** 53n + 1n,
      BigInt(this.#random.integer(0, 1e9)),
    ])
    return made(value, number(value))
  }

  #double(type: 'FLOAT32' | 'FLOAT64'): RandomType {
    const { pick, next } = this.#random
    const usual = [0, -0.5, 1, 0.1, 1e10, -123.456, Math.round(next() * 1e4) / 100] as const
    const extreme =
      type === 'FLOAT64'
        ? [Number.MAX_VALUE, Number.MIN_VALUE, 1e21, 2 ** 53]
        : [3.4028234663852886e38, 1.401298464324817e-45]
    return constant({ type }, () => {
      const kind = this.#extent === 'any' ? this.#random.integer(0, 3) : 0
      const double = pick(kind === 0 ? [...extremeOr(usual, this.#extent, extreme)] : [...usual])
      if (type === 'FLOAT64') return made(double, number(double))
      const float = Math.fround(double)
      return made(float, { number: numberText(shortestFloat(float)) })
    })
  }

  #text(): Made {
    const text = this.#random.pick(texts)
    return made(text, text)
  }

  #boolean(): Made {
    const value = this.#random.next() < 0.5
    return made(value, value)
  }

  #bytes(): Made {
    const bytes = Uint8Array.from({ length: this.#random.integer(0, 5) }, () => this.#random.integer(0, 255))
    return made(bytes, Buffer.from(bytes).toString('base64'))
  }

  #decimal(): RandomType {
    const scale = this.#random.integer(0, 4)
    return constant(decimalSchema(scale), () => {
      const unscaled = this.#random.pick([
        0n,
        15n,
        -1n,
        -129n,
        255n,
        128n,
        123_456_789n,
        BigInt(this.#random.integer(0, 1e6)),
      ])
      const double = Number(unscaled) / 10 ** scale
      return {
        value: new Decimal(unscaled, scale),
        json: (rendering) =>
          rendering === 'plain' ? Buffer.from(bigEndian(unscaled)).toString('base64') : number(double),
      }
    })
  }

  #date(): RandomType {
    const { integer, pick } = this.#random
    const days = integer(0, 40_000)
    return pick([
      () =>
        constant({ type: 'INT32', name: LogicalName.date, version: 1 }, () =>
          made(new Date(days * 86_400_000), number(days)),
        ),
      () => {
        const ms = integer(0, 86_399_999)
        return constant({ type: 'INT32', name: LogicalName.time, version: 1 }, () => made(new Date(ms), number(ms)))
      },
      () => {
        const at = days * 86_400_000 + integer(0, 86_399_999)
        return constant({ type: 'INT64', name: LogicalName.timestamp, version: 1 }, () =>
          made(new Date(at), number(at)),
        )
      },
    ])()
  }

  #struct(depth: number, own: Readonly<Record<string, RandomType>>): RandomType {
    const types: Record<string, RandomType> = { ...own }
    for (let i = this.#random.integer(1, 4); i > 0; i--) types[`f${i}`] = this.#type(depth)
    const fields = Object.entries(types)
    return {
      schema: makeSchema({
        type: 'STRUCT',
        name: 'Random',
        fields: fields.map(([name, { schema }]) => ({ name, schema })),
      }),
      make: () => {
        const all = fields.map(([name, type]) => [name, type.make()] as const)
        return {
          value: Object.fromEntries(all.map(([name, { value }]) => [name, value])),
          json: (rendering) => Object.fromEntries(all.map(([name, item]) => [name, item.json(rendering)])),
        }
      },
    }
  }

  #array(depth: number): RandomType {
    const element = this.#type(depth)
    return constant({ type: 'ARRAY', valueSchema: element.schema }, () => {
      const items = Array.from({ length: this.#random.integer(0, 3) }, () => element.make())
      return { value: items.map(({ value }) => value), json: (rendering) => items.map((item) => item.json(rendering)) }
    })
  }

  /**
   * With text keys it may be an object; with others it is a list of entries, or of pairs (E27). Keys are listed in the
   * order of a Java `HashMap`, which that of lists is; the record has them the other way round, as all else.
   */
  #map(depth: number): RandomType {
    const [keySchema, keys] = this.#random.pick<readonly [SchemaType, readonly Value[]]>([
      ['STRING', ['k1', 'k2', 'k3']],
      ['INT32', [1, -7]],
      ['BOOLEAN', [false, true]],
      ['INT64', [2n ** 60n]],
    ])
    const item = this.#type(depth)
    return constant({ type: 'MAP', keySchema: makeSchema({ type: keySchema }), valueSchema: item.schema }, () => {
      const hashed = keys.slice(this.#random.integer(0, 1)).map((key) => [key, item.make()] as const)
      const entries = hashed.toReversed()
      return {
        value: new Map(entries.map(([key, { value }]) => [key, value])),
        json: (rendering) => {
          if (keySchema === 'STRING' && rendering !== 'entries') {
            return Object.fromEntries(entries.map(([key, it]) => [String(key), it.json(rendering)]))
          }
          return hashed.map(([key, it]) => {
            const name = typeof key === 'string' || typeof key === 'boolean' ? key : number(key as bigint)
            return rendering === 'plain' ? [name, it.json(rendering)] : { key: name, value: it.json(rendering) }
          })
        },
      }
    })
  }

  #any(depth: number): Made {
    const { pick, integer } = this.#random
    const nested = depth > 0 ? [() => this.#object(depth - 1), () => this.#list(depth - 1)] : []
    return pick([
      () => made(null, null),
      () => this.#boolean(),
      () => this.#text(),
      () => made(integer(-1000, 1000), null),
      () => made(2n ** 63n - BigInt(integer(1, 9)), null),
      () => made(1.5, null),
      () => made(new Float64(integer(0, 9)), null),
      ...nested,
    ])()
  }

  #object(depth: number): Made {
    const members = Array.from(
      { length: this.#random.integer(0, 3) },
      (_, i) => [`g${i}`, withNumber(this.#any(depth))] as const,
    )
    return {
      value: Object.fromEntries(members.map(([name, { value }]) => [name, value])),
      json: (rendering) => Object.fromEntries(members.map(([name, item]) => [name, item.json(rendering)])),
    }
  }

  #list(depth: number): Made {
    const items = Array.from({ length: this.#random.integer(0, 3) }, () => withNumber(this.#any(depth)))
    return { value: items.map(({ value }) => value), json: (rendering) => items.map((item) => item.json(rendering)) }
  }
}

/** The numbers of a schemaless value, in the form in which they are compared. */
function withNumber(item: Made): Made {
  const { value } = item
  if (value instanceof Float64) return made(value, number(value.value))
  return typeof value === 'number' || typeof value === 'bigint' ? made(value, number(value)) : item
}

function constant(spec: SchemaSpec, make: () => Made): RandomType {
  const schema = makeSchema(spec)
  return { schema, make }
}

function extremeOr(
  usual: readonly number[],
  extent: Extent,
  extreme: readonly number[],
): readonly [number, ...number[]] {
  return (extent === 'any' ? [...extreme] : [...usual]) as [number, ...number[]]
}

/** The fewest digits, two at least, that name the float among all floats, as Java prints it. */
function shortestFloat(float: number): string {
  for (let digits = 2; digits < 9; digits++) {
    const text = float.toPrecision(digits)
    if (Math.fround(Number(text)) === float) return text
  }
  return float.toPrecision(9)
}

/** Two's complement in as few bytes as hold it, as Java's `BigInteger.toByteArray`. */
function bigEndian(value: bigint): Uint8Array {
  const bytes: number[] = []
  for (let rest = value; ; rest >>= 8n) {
    const byte = Number(BigInt.asUintN(8, rest))
    bytes.unshift(byte)
    const after = rest >> 8n
    if ((after === 0n && byte < 128) || (after === -1n && byte >= 128)) return Uint8Array.from(bytes)
  }
}
