/** `column.truncate…`, `column.mask…`, `column.mask.hash…` and the propagation of source types. */
import { createHash, getHashes } from 'node:crypto'
import type { RawConfig } from '../../worker/api/connector.ts'
import { copySchema, type Schema, type Value } from '../../worker/api/data.ts'
import type { ConfigProblem } from '../../worker/api/errors.ts'
import { PatternList } from './pattern-list.ts'
import type { FieldPlan } from './row-plan.ts'
import { bitsSchema, type PgType, type ResolvedType } from './types.ts'
import { type ReadFrom, valueCodec } from './values/codec.ts'
import { numericModifier } from './values/number-codecs.ts'

/** The column that a mapper may apply to. */
export interface MappedColumn {
  /** `schema.table.column` */
  readonly id: string
  readonly table: string
  readonly name: string
  readonly type: PgType | undefined
  readonly from: ReadFrom
  readonly resolved: ResolvedType | null
  /** Of an array: the type of its elements. */
  readonly element: PgType | undefined
  readonly expression: string | null
}

type Mapper = (field: FieldPlan, column: MappedColumn) => FieldPlan

interface Rule {
  readonly rank: number
  readonly matches: (column: MappedColumn) => boolean
  readonly map: Mapper
}

const truncateOption = /^column\.truncate\.to\.(\d+)\.chars$/
const maskOption = /^column\.mask\.with\.(\d+)\.chars$/
const hashOption = /^column\.mask\.hash\.(v2\.)?([^.]+)\.with\.salt\.(.+)$/

const charTypes = new Set(['varchar', 'text', 'bpchar', 'char', 'name'])

/** Whether JDBC calls the column one of characters: only those can be masked. */
const isCharacters = ({ resolved }: MappedColumn): boolean =>
  resolved?.base.kind === 'e' || charTypes.has(resolved?.base.name ?? '')

/** A schema with further parameters, after its own. */
function withParameters(schema: Schema, parameters: Readonly<Record<string, string>>): Schema {
  return copySchema(schema, { parameters: new Map([...(schema.parameters ?? []), ...Object.entries(parameters)]) })
}

/** Maps the value of a field, null included. */
function mapValues(field: FieldPlan, map: (value: Value) => Value): FieldPlan {
  const { codec } = field
  const unavailable = codec.unavailable === undefined ? undefined : map(codec.unavailable)
  const mapped = valueCodec({ spec: codec.spec, fallback: codec.fallback, unavailable }, (bytes, start, end) =>
    map(codec.read(bytes, start, end)),
  )
  return { ...field, codec: mapped, onNull: map(field.onNull) }
}

function truncate(length: number): Mapper {
  return (field, column) => {
    // A column that cannot be longer is left alone.
    if (sizeOf(column).length <= length) return field
    // Debezium cuts texts and byte buffers; the bits of a column are an array to it, which it leaves alone.
    const isBits = field.schema.name === bitsSchema
    const cut = (value: Value): Value =>
      typeof value === 'string' || (value instanceof Uint8Array && !isBits) ? value.slice(0, length) : value
    return { ...mapValues(field, cut), schema: withParameters(field.schema, { truncateLength: String(length) }) }
  }
}

function mask(length: number): Mapper {
  const stars = '*'.repeat(length)
  return (field, column) => {
    const schema = withParameters(field.schema, { masked: 'true' })
    return isCharacters(column) ? { ...mapValues(field, () => stars), schema } : { ...field, schema }
  }
}

/** Version 1 hashes the Java serialisation of the string, version 2 its UTF-8. */
function hash(algorithm: string, salt: string, version: 1 | 2): Mapper {
  return (field, column) => {
    const schema = withParameters(field.schema, { masked: 'true' })
    if (!isCharacters(column)) return { ...field, schema }
    const { length } = sizeOf(column)
    const digest = (value: Value): Value => {
      if (typeof value !== 'string') return value
      const bytes = version === 1 ? javaSerialized(value) : Buffer.from(value, 'utf8')
      return createHash(nodeAlgorithm(algorithm)).update(salt, 'utf8').update(bytes).digest('hex').slice(0, length)
    }
    return { ...mapValues(field, digest), schema }
  }
}

/** Java names the algorithms `SHA-256`, `SHA-512/224`, `MD5`; OpenSSL `sha256`, `sha512-224`, `md5`. */
function nodeAlgorithm(name: string): string {
  return name.toLowerCase().replace(/^sha-/, 'sha').replace('/', '-')
}

/** `ObjectOutputStream.writeObject` of a string: header, type code, length, modified UTF-8. */
function javaSerialized(text: string): Buffer {
  const units: number[] = []
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit !== 0 && unit < 0x80) units.push(unit)
    else if (unit < 0x800) units.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f))
    else units.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))
  }
  const long = units.length > 0xffff
  const header = Buffer.alloc(long ? 13 : 7)
  header.writeUInt32BE(0xaced_0005, 0)
  header.writeUInt8(long ? 0x7c : 0x74, 4)
  if (long) header.writeBigUInt64BE(BigInt(units.length), 5)
  else header.writeUInt16BE(units.length, 5)
  return Buffer.concat([header, Buffer.from(units)])
}

const serials: Readonly<Record<string, string>> = { int2: 'SMALLSERIAL', int4: 'SERIAL', int8: 'BIGSERIAL' }

function sourceTypeName({ type, expression }: MappedColumn): string {
  const name = type?.name ?? ''
  const serial = serials[name]
  return serial !== undefined && (expression ?? '').startsWith('nextval(') ? serial : name.toUpperCase()
}

const precisions: Readonly<Record<string, number>> = {
  int2: 5,
  int4: 10,
  int8: 19,
  oid: 10,
  float4: 8,
  float8: 17,
  bool: 1,
  date: 13,
  char: 1,
}

interface Size {
  readonly length: number
  readonly scale: number | null
}

/** Length and scale as JDBC's metadata gives them: those of an array are its elements'. */
function sizeOf({ resolved, element, from }: MappedColumn): Size {
  const { typmod } = resolved ?? { typmod: -1 }
  const base = element ?? resolved?.base
  const digits = typmod < 0 ? 6 : typmod
  const seconds = digits === 0 ? 0 : digits === 1 ? 3 : digits + 1
  switch (base?.name) {
    case 'numeric': {
      const modifier = numericModifier(typmod)
      // A snapshot learns of the columns from the driver, which has no size for an unbounded number.
      const isUnsized = modifier === null && from === 'snapshot' && element === undefined && !resolved?.isDomain
      if (isUnsized) return { length: 0, scale: null }
      return { length: modifier?.precision ?? 131_089, scale: modifier?.scale ?? 0 }
    }
    case 'varchar':
    case 'bpchar':
      return { length: typmod < 4 ? 2_147_483_647 : typmod - 4, scale: 0 }
    case 'bit':
    case 'varbit':
      return { length: typmod < 0 ? 2_147_483_647 : typmod, scale: 0 }
    case 'time':
      return { length: 8 + seconds, scale: digits }
    case 'timetz':
      return { length: 14 + seconds, scale: digits }
    case 'timestamp':
      return { length: 22 + seconds, scale: digits }
    case 'timestamptz':
      return { length: 28 + seconds, scale: digits }
    case 'interval':
      return { length: 49, scale: typmod < 0 ? 6 : typmod & 0xffff }
    default:
      return {
        length: precisions[base?.name ?? ''] ?? 2_147_483_647,
        scale: base?.name === 'float4' ? 8 : base?.name === 'float8' ? 17 : 0,
      }
  }
}

function propagate(field: FieldPlan, column: MappedColumn): FieldPlan {
  const { length, scale } = sizeOf(column)
  const source = '__debezium.source.column'
  return {
    ...field,
    schema: withParameters(field.schema, {
      [`${source}.type`]: sourceTypeName(column),
      [`${source}.length`]: String(length),
      ...(scale === null ? {} : { [`${source}.scale`]: String(scale) }),
      [`${source}.name`]: column.name,
    }),
  }
}

/** Value mappers of one task: of several that name a column, the first one counts. */
export class ColumnMappers {
  readonly #rules: readonly Rule[]

  constructor(config: RawConfig) {
    const byColumn = (option: string, text: string, map: Mapper): Rule => {
      const columns = new PatternList(text)
      return { rank: rankOf(option), matches: ({ id }) => columns.matches(id), map }
    }
    const byType = (option: string, text: string): Rule => {
      const types = new PatternList(text)
      const matches = (column: MappedColumn) => types.matches(`${column.table}.${sourceTypeName(column)}`)
      return { rank: rankOf(option), matches, map: propagate }
    }
    const rules = Object.entries(config).flatMap(([option, text]): readonly Rule[] => {
      if (option === 'column.propagate.source.type') return [byColumn(option, text, propagate)]
      if (option === 'datatype.propagate.source.type') return [byType(option, text)]
      const map = mapperOf(option)
      return map === null ? [] : [byColumn(option, text, map)]
    })
    this.#rules = rules.sort((a, b) => a.rank - b.rank)
  }

  apply(field: FieldPlan, column: MappedColumn): FieldPlan {
    const rule = this.#rules.find((candidate) => candidate.matches(column))
    return rule === undefined ? field : rule.map(field, column)
  }
}

/** The order in which Debezium asks the kinds of mappers, wherever they stand in the configuration. */
const ranks = [
  /^column\.truncate\./,
  /^column\.mask\.with\./,
  /^column\.propagate\./,
  /^datatype\.propagate\./,
  /^column\.mask\.hash\.(?!v2\.)/,
  /^column\.mask\.hash\.v2\./,
]

const rankOf = (option: string): number => ranks.findIndex((start) => start.test(option))

function mapperOf(option: string): Mapper | null {
  const truncated = truncateOption.exec(option)
  if (truncated !== null) return truncate(Number(truncated[1]))
  const masked = maskOption.exec(option)
  if (masked !== null) return mask(Number(masked[1]))
  const hashed = hashOption.exec(option)
  if (hashed === null) return null
  return hash(hashed[2] as string, hashed[3] as string, hashed[1] === undefined ? 1 : 2)
}

/** Problems of the mapper options, whose names carry values and which the definition therefore cannot list. */
export function mapperProblems(config: RawConfig): readonly ConfigProblem[] {
  return Object.keys(config).flatMap((option) => {
    const algorithm = hashOption.exec(option)?.[2]
    if (algorithm === undefined || getHashes().includes(nodeAlgorithm(algorithm))) return []
    return [{ option, message: `Unknown hash algorithm ${algorithm}; use SHA-256 or SHA-512.` }]
  })
}
