/** Random options and records for the S3 sink, and what the reference model and the sink make of them. */
import {
  Decimal,
  LogicalName,
  makeSchema,
  type Schema,
  Schemas,
  type Struct,
  type Value,
} from '../../../worker/api/data.ts'
import { type Header, SinkRecord } from '../../../worker/api/record.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../../worker/converters/json.ts'
import type { Random } from '../../support/random.ts'
import {
  Double,
  type ModelOptions,
  type ModelPartitioner,
  type ModelPoll,
  type ModelRecord,
  type ModelSchema,
  type ModelValue,
} from './reference-model.ts'

export interface RandomCase {
  /** As a user writes it. */
  readonly config: Readonly<Record<string, string>>
  readonly model: ModelOptions
  readonly startedAt: number
  readonly polls: readonly { readonly model: ModelPoll; readonly records: readonly SinkRecord[] }[]
}

const formats = {
  json: 'io.confluent.connect.s3.format.json.JsonFormat',
  bytes: 'io.confluent.connect.s3.format.bytearray.ByteArrayFormat',
  avro: 'io.confluent.connect.s3.format.avro.AvroFormat',
  parquet: 'io.confluent.connect.s3.format.parquet.ParquetFormat',
} as const

const chance = (random: Random, share: number) => random.next() < share

/** A case that depends on the state of `random` alone. */
export function randomCase(random: Random): RandomCase {
  const format = random.pick(['json', 'json', 'json', 'bytes', 'avro', 'parquet'] as const)
  const typed = format === 'avro' || format === 'parquet' || (format === 'json' && chance(random, 0.4))
  const { model, config } = randomOptions(random, format, typed)
  const startedAt = Date.UTC(2024, random.integer(0, 11), random.integer(1, 28), random.integer(0, 23))
  return { config, model, startedAt, polls: randomPolls(random, { model, typed, startedAt }) }
}

function randomOptions(random: Random, format: ModelOptions['format'], typed: boolean) {
  const partitioner = randomPartitioner(random, format)
  const directoryDelimiter = random.pick(['/', '/', '/', '_', '--'])
  const isPlain = format === 'json' || format === 'bytes'
  const compression = isPlain ? random.pick(['none', 'none', 'gzip', 'zstd'] as const) : 'none'
  const storeKeys = isPlain && chance(random, 0.25)
  const byTime = partitioner.model.kind === 'time'
  const model: ModelOptions = {
    topicsDir: random.pick(['topics', 'topics', '', 'lake_1']),
    directoryDelimiter,
    fileDelimiter: random.pick(['+', '+', '-', '__']),
    padWidth: random.pick([10, 10, 1, 15]),
    format,
    compressionSuffix: { none: '', gzip: '.gz', zstd: '.zst' }[compression],
    separator: format === 'bytes' ? random.pick(['\n', 'SEPARATOR', ' | ']) : '\n',
    numericDecimals: chance(random, 0.5),
    flushSize: random.pick([1, 2, 3, 5, 8, 1000]),
    rotateIntervalMs: chance(random, 0.5) ? random.pick([1_000, 60_000, 3_600_000]) : -1,
    rotateScheduleMs: chance(random, 0.3) ? random.pick([1_000, 60_000, 7_000_000]) : -1,
    rotateOnChange: chance(random, 0.5),
    maxOpenFiles: chance(random, 0.2) ? random.integer(1, 3) : -1,
    partitioner: partitioner.model,
    affix: random.pick(['NONE', 'NONE', 'PREFIX', 'SUFFIX']),
    compatibility: typed ? random.pick(['NONE', 'BACKWARD', 'FORWARD', 'FULL']) : 'NONE',
    nulls: storeKeys && chance(random, 0.7) ? 'write' : 'ignore',
    tombstoneDirectory: random.pick(['tombstone', 'deleted']),
    storeKeys,
    storeHeaders: isPlain && chance(random, 0.2),
  }
  const config: Record<string, string> = {
    'topics.dir': model.topicsDir,
    'directory.delim': directoryDelimiter,
    'file.delim': model.fileDelimiter,
    'filename.offset.zero.pad.width': String(model.padWidth),
    'format.class': formats[format],
    's3.compression.type': compression,
    'format.bytearray.separator': model.separator,
    'json.decimal.format': model.numericDecimals ? 'NUMERIC' : 'BASE64',
    'flush.size': String(model.flushSize),
    'rotate.interval.ms': String(model.rotateIntervalMs),
    'rotate.schedule.interval.ms': String(model.rotateScheduleMs),
    'rotate.file.on.partition.change': String(model.rotateOnChange),
    'partitioner.max.open.files': String(model.maxOpenFiles),
    's3.schema.partition.affix.type': model.affix,
    'schema.compatibility': model.compatibility,
    'behavior.on.null.values': model.nulls,
    'tombstone.encoded.partition': model.tombstoneDirectory,
    'store.kafka.keys': String(storeKeys),
    'store.kafka.headers': String(model.storeHeaders),
    'keys.format.class': formats.json,
    'headers.format.class': formats.json,
    'enable.conditional.writes': 'false',
    'errors.tolerance': 'all',
    's3.elastic.buffer.enable': String(chance(random, 0.5)),
    ...partitioner.configOf(directoryDelimiter),
    // The model knows midnights of UTC only, and one zone serves both.
    ...(model.rotateScheduleMs > 0 && !byTime && { timezone: 'UTC' }),
  }
  if (model.rotateScheduleMs <= 0 || !byTime || config['timezone'] === 'UTC') return { model, config }
  return {
    model: { ...model, rotateScheduleMs: -1 },
    config: { ...config, 'rotate.schedule.interval.ms': '-1' },
  }
}

interface ChosenPartitioner {
  readonly model: ModelPartitioner
  configOf(directoryDelimiter: string): Readonly<Record<string, string>>
}

type Extractor = (ModelPartitioner & { readonly kind: 'time' })['extractor']

const partitionerClass = (name: string) => `io.confluent.connect.storage.partitioner.${name}Partitioner`
const two = (value: number) => String(value).padStart(2, '0')

/** Patterns and what they mean, of a local time given as the UTC fields of a date. */
const patterns: readonly [pattern: string, durations: readonly number[], write: (t: Date, locale: string) => string][] =
  [
    ["'day'=YYYY-MM-dd", [3_600_000, 86_400_000], (t) => `day=${t.toISOString().slice(0, 10)}`],
    [
      "yyyyMMdd'T'HHmm",
      [60_000, 900_000, 3_600_000],
      (t) => `${t.toISOString().slice(0, 13).replaceAll('-', '')}${two(t.getUTCMinutes())}`,
    ],
    [
      "'y'yy'_m'M'_d'd'_h'H",
      [3_600_000],
      (t) => `y${two(t.getUTCFullYear() % 100)}_m${t.getUTCMonth() + 1}_d${t.getUTCDate()}_h${t.getUTCHours()}`,
    ],
    [
      "'o''clock'=hh-a",
      [3_600_000],
      (t) =>
        `o'clock=${two(t.getUTCHours() % 12 === 0 ? 12 : t.getUTCHours() % 12)}-${t.getUTCHours() < 12 ? 'AM' : 'PM'}`,
    ],
    [
      "'doy'=DDD",
      [86_400_000],
      (t) =>
        `doy=${String(1 + Math.floor((t.getTime() - Date.UTC(t.getUTCFullYear(), 0, 1)) / 86_400_000)).padStart(3, '0')}`,
    ],
    ['EEEE-MMMM', [86_400_000], (t, locale) => `${nameOf(t, locale, 'weekday')}-${nameOf(t, locale, 'month')}`],
  ]

function nameOf(time: Date, locale: string, part: 'weekday' | 'month'): string {
  // A region is unknown to Java's `new Locale(text)`: the locale of no language has short names only (Java 17).
  const width = locale.includes('-') ? 'short' : 'long'
  return new Intl.DateTimeFormat(locale, { timeZone: 'UTC', [part]: width }).format(time)
}

function randomPartitioner(random: Random, format: ModelOptions['format']): ChosenPartitioner {
  const kinds = ['Default', 'Field', 'TimeBased', 'Daily', 'Hourly'] as const
  const kind = format === 'bytes' ? random.pick(['Default', 'TimeBased', 'Hourly']) : random.pick(kinds)
  if (kind === 'Default') {
    return { model: { kind: 'default' }, configOf: () => ({ 'partitioner.class': partitionerClass(kind) }) }
  }
  if (kind === 'Field') {
    const fields = random.pick([['kind'], ['kind', 'nested.tier'], ['nested.tier'], ['kind', 'flag']])
    return {
      model: { kind: 'field', fields },
      configOf: () => ({ 'partitioner.class': partitionerClass(kind), 'partition.field.name': fields.join() }),
    }
  }
  const timeZone = random.pick(['UTC', 'America/Los_Angeles', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe'])
  const locale = random.pick(['en', 'de', 'en-US'])
  const extractor =
    format === 'bytes'
      ? random.pick<Extractor>(['wallclock', 'record'])
      : random.pick<Extractor>(['wallclock', 'record', { field: 'at' }, { field: 'nested.at' }])
  const [pattern, durations, write] =
    patterns[random.integer(0, patterns.length - 1)] ?? (patterns[0] as (typeof patterns)[number])
  const durationMs = durations[random.integer(0, durations.length - 1)] ?? 3_600_000
  const options = {
    'partitioner.class': partitionerClass(kind),
    timezone: timeZone,
    locale,
    'timestamp.extractor':
      typeof extractor === 'string' ? { wallclock: 'Wallclock', record: 'Record' }[extractor] : 'RecordField',
    ...(typeof extractor === 'object' && { 'timestamp.field': extractor.field }),
  }
  const time = (path: (t: Date) => string, duration: number): ModelPartitioner => ({
    kind: 'time',
    durationMs: duration,
    timeZone,
    path,
    extractor,
  })
  if (kind === 'TimeBased') {
    return {
      model: time((t) => write(t, locale), durationMs),
      configOf: () => ({ ...options, 'path.format': pattern, 'partition.duration.ms': String(durationMs) }),
    }
  }
  const isHourly = kind === 'Hourly'
  let delimiter = '/'
  const path = (t: Date) => {
    const [year = '', month = '', day = ''] = t.toISOString().slice(0, 10).split('-')
    const parts = [
      `year=${year}`,
      `month=${month}`,
      `day=${day}`,
      ...(isHourly ? [`hour=${two(t.getUTCHours())}`] : []),
    ]
    return parts.join(delimiter)
  }
  return {
    model: time(path, isHourly ? 3_600_000 : 86_400_000),
    configOf(directoryDelimiter) {
      delimiter = directoryDelimiter
      return options
    },
  }
}

interface RecordContext {
  readonly model: ModelOptions
  readonly typed: boolean
  readonly startedAt: number
}

function randomPolls(random: Random, context: RecordContext): RandomCase['polls'] {
  const offsets = [0, 0].map(() => BigInt(random.integer(0, 2_000)))
  const clock = { now: context.startedAt }
  const polls: { model: ModelPoll; records: SinkRecord[] }[] = []
  for (let count = random.integer(2, 6); count > 0; count--) {
    clock.now += random.pick([0, 500, 1_000, 60_000, 3_600_000])
    const models: ModelRecord[] = []
    const records: SinkRecord[] = []
    for (let size = random.integer(0, 12); size > 0; size--) {
      const partition = random.integer(0, 1)
      const offset = offsets[partition] ?? 0n
      // Gaps are what compaction and transactions leave.
      offsets[partition] = offset + BigInt(chance(random, 0.1) ? 3 : 1)
      const [model, record] = randomRecord(random, context, { partition, offset, now: clock.now })
      models.push(model)
      records.push(record)
    }
    polls.push({ model: { now: clock.now, records: models }, records })
  }
  return polls
}

function randomRecord(
  random: Random,
  { model, typed, startedAt }: RecordContext,
  place: { readonly partition: number; readonly offset: bigint; readonly now: number },
): [ModelRecord, SinkRecord] {
  const { partition, offset, now } = place
  const timestamp = chance(random, 0.05)
    ? null
    : random.pick([now, startedAt, startedAt + random.integer(-7_200_000, 90_000_000)])
  const key = chance(random, 0.1) ? null : random.pick(['k1', 'über', 'a "b"'])
  const headers: Header[] = chance(random, 0.2)
    ? []
    : [{ key: 'h', schema: Schemas.string, value: random.pick(['x', 'ÿ"']) }]
  const common = { topic: 'orders', partition, offset, timestamp }
  const schema = typed ? random.pick(eventSchemas) : null
  const value = randomValue(random, { format: model.format, schema, offset, startedAt })
  const told: ModelRecord = {
    ...common,
    key: key === null ? null : JSON.stringify(key),
    headers: headers.length === 0 ? null : `{"headers":[{"key":"h","value":${JSON.stringify(headers[0]?.value)}}]}`,
    value,
    schema: value === null || schema === null ? null : schema.model,
  }
  const given = new SinkRecord({
    ...common,
    key,
    keySchema: key === null ? null : Schemas.string,
    headers,
    ...(value === null ? {} : connectValue(random, value, schema)),
  })
  return [told, given]
}

interface EventSchema {
  readonly model: ModelSchema
  readonly connect: Schema
}

const nestedSchema = makeSchema({
  type: 'STRUCT',
  optional: true,
  fields: [
    { name: 'tier', schema: Schemas.optionalString },
    { name: 'at', schema: makeSchema({ type: 'INT64', name: LogicalName.timestamp }) },
  ],
})
const decimalSchema = (scale: number) =>
  makeSchema({ type: 'BYTES', name: LogicalName.decimal, parameters: { scale: String(scale) } })

/** Versions of one schema, the last with another scale, and another name. */
const eventSchemas: readonly [EventSchema, ...EventSchema[]] = [
  eventSchema('com.acme.Event', 1, []),
  eventSchema('com.acme.Event', 2, ['extra']),
  eventSchema('com.acme.Event', 3, ['extra', 'more']),
  eventSchema('com.acme.Event', 4, ['extra', 'more'], 3),
  eventSchema('com.acme.Other', 1, []),
]

function eventSchema(name: string, version: number, added: readonly string[], scale = 2): EventSchema {
  const extra = makeSchema({ type: 'STRING', defaultValue: 'none' })
  const fields = [
    { name: 'id', schema: Schemas.int64 },
    { name: 'kind', schema: Schemas.optionalString },
    { name: 'flag', schema: Schemas.boolean },
    { name: 'amount', schema: decimalSchema(scale) },
    { name: 'ratio', schema: Schemas.float64 },
    { name: 'at', schema: Schemas.int64 },
    { name: 'nested', schema: nestedSchema },
    ...added.map((field) => ({ name: field, schema: extra })),
  ]
  const missing = (field: string): ModelValue => (added.includes(field) ? 'none' : null)
  return {
    model: { name, version, scale, fields: fields.map((field) => [field.name, missing(field.name)]) },
    connect: makeSchema({ type: 'STRUCT', name, version, fields }),
  }
}

interface ValueContext {
  readonly format: ModelOptions['format']
  readonly schema: EventSchema | null
  readonly offset: bigint
  readonly startedAt: number
}

function randomValue(random: Random, { format, schema, offset, startedAt }: ValueContext): ModelValue {
  if (chance(random, 0.06)) return null
  if (format === 'bytes') {
    return { bytes: Buffer.from(Array.from({ length: random.integer(0, 12) }, () => random.integer(0, 255))) }
  }
  const at = BigInt(startedAt + random.integer(-4_000_000, 90_000_000))
  const kind = random.pick(['a', 'a', 'b', 'c d', 'ü', null])
  const tier = random.pick(['gold', 'base', null])
  const ratio = new Double(random.pick([0.5, 1, -12.25, 12345678.5, 0.0001, 1e20, 0]))
  const flag = chance(random, 0.5)
  const nestedMembers = [
    ['tier', tier],
    ['at', at],
  ] as const
  if (schema !== null) {
    const members: (readonly [string, ModelValue])[] = [
      ['id', offset],
      ['kind', kind],
      ['flag', flag],
      ['amount', { unscaled: BigInt(random.integer(-100_000, 100_000)), scale: schema.model.scale }],
      ['ratio', ratio],
      ['at', at],
      ['nested', { members: nestedMembers, typed: true }],
    ]
    for (const [field] of schema.model.fields.slice(members.length)) members.push([field, random.pick(['x', 'y'])])
    return { members, typed: true }
  }
  const timeText = random.pick([at, at, new Double(Number(at) + 0.5), true, ...timeTexts(Number(at))])
  const members: (readonly [string, ModelValue])[] = [
    ['id', offset],
    ['kind', chance(random, 0.05) ? ratio : kind],
    ['flag', flag],
    ['at', timeText],
    ['nested', { members: shuffled(random, nestedMembers), typed: false }],
    ['text', random.pick(['plain', 'é – 東', 'a\n"b"\\', '😀', '\u0001\u007f'])],
    [
      'list',
      {
        list: [
          ratio,
          null,
          {
            members: [
              ['z', true],
              ['Aa', 'BB'],
              ['BB', 1n],
            ],
            typed: false,
          },
        ],
      },
    ],
    ['big', random.pick([9_007_199_254_740_993n, -9_223_372_036_854_775_808n, 0n])],
  ]
  for (let count = random.integer(0, 12); count > 0; count--)
    members.push([`m${count * 37}`, random.pick<ModelValue>([ratio, 'v', BigInt(count)])])
  return { members: shuffled(random, members), typed: false }
}

/** Forms of one time that RecordField reads. */
function timeTexts(at: number): readonly string[] {
  const iso = new Date(at).toISOString()
  const kolkata = new Date(at + 19_800_000).toISOString().slice(0, -1)
  const day = 1 + Math.floor((at - Date.UTC(new Date(at).getUTCFullYear(), 0, 1)) / 86_400_000)
  return [String(at), iso, `${kolkata}+05:30`, `${iso.slice(0, 4)}-${String(day).padStart(3, '0')}${iso.slice(10)}`]
}

function shuffled<T>(random: Random, items: readonly T[]): readonly T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.integer(0, i)
    const [a, b] = [result[i], result[j]]
    if (a !== undefined && b !== undefined) [result[i], result[j]] = [b, a]
  }
  return result
}

const converter = new JsonConverter()
converter.configure(parseConfig(jsonConverterConfig, { 'schemas.enable': 'false', 'converter.type': 'value' }), 'value')

/** What a converter hands to the sink: of JSON without a schema its bytes, sometimes, as the worker does. */
function connectValue(random: Random, value: ModelValue, schema: EventSchema | null) {
  if (schema !== null) return { valueSchema: schema.connect, value: structOf(value) }
  if (value !== null && typeof value === 'object' && 'bytes' in value) {
    return { valueSchema: Schemas.bytes, value: value.bytes }
  }
  const text = jsonText(value, chance(random, 0.2))
  const bytes = Buffer.from(text)
  const plain = chance(random, 0.7) ? converter.toPlainJson(bytes) : null
  return { value: plain ?? converter.toConnectData('orders', [], bytes).value }
}

/** JSON as a producer writes it, with or without blanks. */
function jsonText(value: ModelValue, blanks: boolean): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof Double) return Number.isInteger(value.value) ? `${value.value.toFixed(1)}` : String(value.value)
  if ('list' in value) return `[${value.list.map((item) => jsonText(item, blanks)).join(blanks ? ' , ' : ',')}]`
  if (!('members' in value)) throw new TypeError('not a value of JSON')
  const members = value.members.map(
    ([name, member]) => `${JSON.stringify(name)}:${blanks ? ' ' : ''}${jsonText(member, blanks)}`,
  )
  return `{${members.join(',')}}`
}

function structOf(value: ModelValue): Value {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Double) return value.value
  if ('unscaled' in value) return new Decimal(value.unscaled, value.scale)
  if (!('members' in value)) throw new TypeError('not a value of the schemas')
  const struct: Record<string, Value> = {}
  for (const [name, member] of value.members) {
    struct[name] = name === 'at' && value.members.length === 2 ? new Date(Number(member)) : structOf(member)
  }
  return struct as Struct
}
