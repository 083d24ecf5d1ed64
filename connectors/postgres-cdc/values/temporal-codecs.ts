import {
  type Schema,
  type SchemaSpec,
  Schemas,
  type Struct,
  type Value,
  type ValueWriter,
} from '../../../worker/api/data.ts'
import {
  dateOf,
  daysOf,
  type Interval,
  intervalMicros,
  isoDate,
  isoInterval,
  isoTime,
  microsPerDay,
  ParsedMoment,
  parseInterval,
  parseMoment,
} from './calendar.ts'
import { conversionError, type ReadFrom, textCodec, type ValueCodec, type ValueOptions, valueCodec } from './codec.ts'

const debezium = 'io.debezium.time'
const connectName = 'org.apache.kafka.connect.data'

const maxInt64 = 2n ** 63n - 1n
const minInt64 = -(2n ** 63n)
/** What Debezium's milliseconds of ±infinity come to. */
const infiniteMs = 9_223_372_036_825_200_000n
const minusInfiniteMs = -9_223_372_036_832_400_000n
/** The days that stand for them in Debezium's stream: 5877611-06-21 and -5877611-06-22. */
const infiniteDays = 2_146_033_979
const minusInfiniteDays = -2_147_472_691
/** Days within which microseconds since 1970 are exact as a double. */
const exactDays = 104_000
const maxDateMs = 8_640_000_000_000_000

interface Context {
  readonly options: ValueOptions
  /** Declared fractional digits; 6 when not declared. */
  readonly digits: number
  readonly from: ReadFrom
  readonly inArray: boolean
}

function named(type: SchemaSpec['type'], name: string): SchemaSpec {
  return { type, name, version: 1 }
}

/** An INT64 as the writer wants it: a number while exact. */
function writeInt64(value: number | bigint, out: ValueWriter): void {
  if (typeof value === 'bigint') out.int64(value)
  else out.integer(value)
}

/** One scratch object: every codec reads it to the end before the next value is parsed. */
const moment = new ParsedMoment()

function parse(type: string, bytes: Buffer, start: number, end: number): ParsedMoment {
  if (!parseMoment(bytes, start, end, moment)) throw conversionError(type)
  return moment
}

function int64Codec(
  spec: SchemaSpec,
  compute: (bytes: Buffer, start: number, end: number) => number | bigint,
): ValueCodec {
  return {
    spec,
    fallback: 0n,
    unavailable: undefined,
    read: (bytes, start, end) => BigInt(compute(bytes, start, end)),
    write: (bytes, start, end, out) => writeInt64(compute(bytes, start, end), out),
  }
}

function int32Codec(spec: SchemaSpec, compute: (bytes: Buffer, start: number, end: number) => number): ValueCodec {
  return {
    spec,
    fallback: 0,
    unavailable: undefined,
    read: compute,
    write: (bytes, start, end, out) => out.integer(compute(bytes, start, end)),
  }
}

// ---- structured mode ------------------------------------------------------------------------------------------------

function structuredSpec(name: string, fields: readonly (readonly [string, Schema])[]): SchemaSpec {
  return {
    ...named('STRUCT', `${debezium}.${name}`),
    fields: fields.map(([field, schema]) => ({ name: field, schema })),
  }
}

const optionalInt8 = Schemas.optionalInt8
const optionalInt32 = Schemas.optionalInt32
const dateFields = [
  ['year', optionalInt32],
  ['month', optionalInt8],
  ['day', optionalInt8],
] as const
const timeFields = [
  ['hour', optionalInt8],
  ['minute', optionalInt8],
  ['second', optionalInt8],
  ['nanos', optionalInt32],
] as const
const special = ['specialValue', Schemas.optionalString] as const
const precision = ['precision', optionalInt32] as const
const offset = ['offsetSeconds', optionalInt32] as const

const structured = {
  date: structuredSpec('StructuredDate', [...dateFields, special]),
  time: structuredSpec('StructuredTime', [...timeFields, precision]),
  zonedTime: structuredSpec('StructuredZonedTime', [...timeFields, offset, precision]),
  timestamp: structuredSpec('StructuredTimestamp', [...dateFields, ...timeFields, special, precision]),
  zonedTimestamp: structuredSpec('StructuredZonedTimestamp', [
    ...dateFields,
    ...timeFields,
    offset,
    ['zoneId', Schemas.optionalString],
    special,
    precision,
  ]),
  duration: structuredSpec('StructuredDuration', [
    ['years', optionalInt32],
    ['months', optionalInt32],
    ['days', optionalInt32],
    ['hours', optionalInt32],
    ['minutes', optionalInt32],
    ['seconds', Schemas.optionalInt64],
    ['nanos', optionalInt32],
    precision,
  ]),
}

function timeParts(micros: number): { hour: number; minute: number; second: number; nanos: number } {
  const seconds = Math.floor(micros / 1_000_000)
  return {
    hour: Math.floor(seconds / 3600),
    minute: Math.floor(seconds / 60) % 60,
    second: seconds % 60,
    nanos: (micros % 1_000_000) * 1000,
  }
}

const noTime = { hour: null, minute: null, second: null, nanos: null }
const noDate = { year: null, month: null, day: null }
/** What stands for the null of a required column, as in an old row of nothing but its key. */
const midnight = { hour: 0, minute: 0, second: 0, nanos: 0 }
const firstDay = { year: 1970, month: 1, day: 1 }
const infinityName = (sign: number): string => (sign > 0 ? 'POSITIVE_INFINITY' : 'NEGATIVE_INFINITY')

function structuredDuration(interval: Interval, digits: number): Struct {
  const { years, months, days, hours, minutes, seconds, micros } = interval
  return { years, months, days, hours, minutes, seconds: BigInt(seconds), nanos: micros * 1000, precision: digits }
}

// ---- date -----------------------------------------------------------------------------------------------------------

const reformStart = daysOf(1582, 10, 5)
const reformEnd = daysOf(1582, 10, 15)

/** Days since 1970; through JDBC the ten days that the Gregorian reform skipped come out ten days later. */
function daysFrom(parsed: ParsedMoment, from: ReadFrom): number {
  if (parsed.infinity !== 0) return parsed.infinity > 0 ? infiniteDays : minusInfiniteDays
  return from === 'snapshot' && parsed.days >= reformStart && parsed.days < reformEnd ? parsed.days + 10 : parsed.days
}

/** A Connect Date; beyond the year 275760, where JavaScript's `Date` ends, the bare days. */
function connectDate(days: number): Value {
  const ms = days * 86_400_000
  return Math.abs(ms) <= maxDateMs ? new Date(ms) : BigInt(days)
}

export function dateCodec({ options, from }: Context): ValueCodec {
  const days = (bytes: Buffer, start: number, end: number) => daysFrom(parse('date', bytes, start, end), from)
  switch (options.timePrecision) {
    case 'connect':
      return {
        spec: named('INT32', `${connectName}.Date`),
        fallback: new Date(0),
        unavailable: undefined,
        read: (bytes, start, end) => connectDate(days(bytes, start, end)),
        write: (bytes, start, end, out) => out.integer(days(bytes, start, end)),
      }
    case 'isostring':
      return valueCodec(
        { spec: named('STRING', `${debezium}.IsoDate`), fallback: '1970-01-01Z' },
        (bytes, start, end) => `${isoDate(days(bytes, start, end))}Z`,
      )
    case 'structured':
      return valueCodec(
        { spec: structured.date, fallback: { ...firstDay, specialValue: null } },
        (bytes, start, end) => {
          const value = days(bytes, start, end)
          return moment.infinity !== 0
            ? { ...noDate, specialValue: infinityName(moment.infinity) }
            : { ...dateOf(value), specialValue: null }
        },
      )
    default:
      return int32Codec(named('INT32', `${debezium}.Date`), days)
  }
}

// ---- time -----------------------------------------------------------------------------------------------------------

export function timeCodec({ options, digits, inArray }: Context): ValueCodec {
  const micros = (bytes: Buffer, start: number, end: number) => {
    const value = parse('time', bytes, start, end).micros
    // Elements of arrays are LocalTime in Debezium, where 24:00:00 wraps.
    return inArray && value === microsPerDay ? 0 : value
  }
  switch (options.timePrecision) {
    case 'connect':
      return {
        spec: named('INT32', `${connectName}.Time`),
        fallback: new Date(0),
        unavailable: undefined,
        read: (bytes, start, end) => new Date(Math.floor(micros(bytes, start, end) / 1000)),
        write: (bytes, start, end, out) => out.integer(Math.floor(micros(bytes, start, end) / 1000)),
      }
    case 'isostring':
      return valueCodec(
        { spec: named('STRING', `${debezium}.IsoTime`), fallback: '00:00:00Z' },
        (bytes, start, end) => `${isoTime(micros(bytes, start, end) % microsPerDay, -1)}Z`,
      )
    case 'structured':
      return valueCodec(
        { spec: structured.time, fallback: { ...midnight, precision: digits } },
        (bytes, start, end) => {
          const value = micros(bytes, start, end)
          if (value === microsPerDay) throw conversionError('time')
          return { ...timeParts(value), precision: digits }
        },
      )
    case 'nanoseconds':
      return int64Codec(named('INT64', `${debezium}.NanoTime`), (bytes, start, end) => micros(bytes, start, end) * 1000)
    case 'adaptive':
      if (digits <= 3) {
        return int32Codec(named('INT32', `${debezium}.Time`), (bytes, start, end) =>
          Math.floor(micros(bytes, start, end) / 1000),
        )
      }
      return int64Codec(named('INT64', `${debezium}.MicroTime`), micros)
    default:
      return int64Codec(named('INT64', `${debezium}.MicroTime`), micros)
  }
}

export function zonedTimeCodec({ options, digits }: Context): ValueCodec {
  if (options.timePrecision === 'structured') {
    return valueCodec(
      { spec: structured.zonedTime, fallback: { ...midnight, offsetSeconds: 0, precision: digits } },
      (bytes, start, end) => {
        const { micros, offsetSeconds } = parse('timetz', bytes, start, end)
        return { ...timeParts(micros), offsetSeconds, precision: digits }
      },
    )
  }
  return valueCodec({ spec: named('STRING', `${debezium}.ZonedTime`), fallback: '00:00:00Z' }, (bytes, start, end) => {
    const { micros, offsetSeconds, offsetHasSeconds } = parse('timetz', bytes, start, end)
    // Debezium's pattern has no seconds in the offset: no value, and of an array none as a whole.
    if (offsetHasSeconds) throw conversionError('timetz')
    if (micros === microsPerDay && offsetSeconds === 0) return '24:00:00Z'
    const utc = (((micros - offsetSeconds * 1_000_000) % microsPerDay) + microsPerDay) % microsPerDay
    return `${isoTime(utc, -1)}Z`
  })
}

// ---- timestamp ------------------------------------------------------------------------------------------------------

/** Moves a moment with an offset to UTC. */
function toUtc(parsed: ParsedMoment): void {
  const micros = parsed.micros - parsed.offsetSeconds * 1_000_000
  const shift = Math.floor(micros / microsPerDay)
  parsed.days += shift
  parsed.micros = micros - shift * microsPerDay
  parsed.offsetSeconds = 0
}

/** @throws DataError for what no int64 holds: microseconds end in the year 294247, nanoseconds in 2262 */
function inInt64(value: bigint): bigint {
  if (value > maxInt64 || value < minInt64) throw conversionError('timestamp')
  return value
}

function microsSince1970(parsed: ParsedMoment): number | bigint {
  if (parsed.infinity !== 0) return parsed.infinity > 0 ? maxInt64 : minInt64
  return Math.abs(parsed.days) < exactDays
    ? parsed.days * microsPerDay + parsed.micros
    : inInt64(BigInt(parsed.days) * BigInt(microsPerDay) + BigInt(parsed.micros))
}

function millisSince1970(parsed: ParsedMoment): number | bigint {
  if (parsed.infinity !== 0) return parsed.infinity > 0 ? infiniteMs : minusInfiniteMs
  return parsed.days * 86_400_000 + Math.floor(parsed.micros / 1000)
}

function nanosSince1970(parsed: ParsedMoment): bigint {
  if (parsed.infinity !== 0) return parsed.infinity > 0 ? maxInt64 : minInt64
  return inInt64(BigInt(microsSince1970(parsed)) * 1000n)
}

const infiniteIso = '+292278994-08-16T23:00:00Z'
const minusInfiniteIso = '-292275055-05-16T23:00:00Z'

/** A Connect Timestamp; beyond the range of `Date` the bare milliseconds. */
function connectTimestamp(value: number | bigint): Value {
  return typeof value === 'number' && Math.abs(value) <= maxDateMs ? new Date(value) : BigInt(value)
}

export function timestampCodec({ options, digits }: Context): ValueCodec {
  const parsed = (bytes: Buffer, start: number, end: number) => parse('timestamp', bytes, start, end)
  const micros = () =>
    int64Codec(named('INT64', `${debezium}.MicroTimestamp`), (b, s, e) => microsSince1970(parsed(b, s, e)))
  switch (options.timePrecision) {
    case 'connect':
      return {
        spec: named('INT64', `${connectName}.Timestamp`),
        fallback: new Date(0),
        unavailable: undefined,
        read: (bytes, start, end) => connectTimestamp(millisSince1970(parsed(bytes, start, end))),
        write: (bytes, start, end, out) => writeInt64(millisSince1970(parsed(bytes, start, end)), out),
      }
    case 'isostring':
      return valueCodec(
        { spec: named('STRING', `${debezium}.IsoTimestamp`), fallback: '1970-01-01T00:00:00Z' },
        (bytes, start, end) => {
          const m = parsed(bytes, start, end)
          if (m.infinity !== 0) return m.infinity > 0 ? infiniteIso : minusInfiniteIso
          return `${isoDate(m.days)}T${isoTime(m.micros, -1)}Z`
        },
      )
    case 'structured':
      return valueCodec(
        { spec: structured.timestamp, fallback: { ...firstDay, ...midnight, specialValue: null, precision: digits } },
        (bytes, start, end) => {
          const m = parsed(bytes, start, end)
          return m.infinity !== 0
            ? { ...noDate, ...noTime, specialValue: infinityName(m.infinity), precision: digits }
            : { ...dateOf(m.days), ...timeParts(m.micros), specialValue: null, precision: digits }
        },
      )
    case 'nanoseconds':
      return int64Codec(named('INT64', `${debezium}.NanoTimestamp`), (b, s, e) => nanosSince1970(parsed(b, s, e)))
    case 'microseconds':
      return micros()
    default:
      if (digits > 3) return micros()
      return int64Codec(named('INT64', `${debezium}.Timestamp`), (b, s, e) => millisSince1970(parsed(b, s, e)))
  }
}

export function zonedTimestampCodec({ options, digits }: Context): ValueCodec {
  if (options.timePrecision === 'structured') {
    const zone = { offsetSeconds: 0, zoneId: null, specialValue: null, precision: digits }
    return valueCodec(
      { spec: structured.zonedTimestamp, fallback: { ...firstDay, ...midnight, ...zone } },
      (bytes, start, end) => {
        const m = parse('timestamptz', bytes, start, end)
        if (m.infinity !== 0) {
          const none = { ...noDate, ...noTime, offsetSeconds: null, zoneId: null }
          return { ...none, specialValue: infinityName(m.infinity), precision: digits }
        }
        toUtc(m)
        return { ...dateOf(m.days), ...timeParts(m.micros), ...zone, zoneId: 'Z' }
      },
    )
  }
  const slow = valueCodec(
    { spec: named('STRING', `${debezium}.ZonedTimestamp`), fallback: '1970-01-01T00:00:00Z' },
    (bytes, start, end) => {
      const m = parse('timestamptz', bytes, start, end)
      if (m.infinity !== 0) return m.infinity > 0 ? 'infinity' : '-infinity'
      toUtc(m)
      return `${isoDate(m.days)}T${isoTime(m.micros, digits)}Z`
    },
  )
  return {
    ...slow,
    write: (bytes, start, end, out) => {
      const length = utcTimestamp(bytes, start, end, digits)
      if (length > 0) out.utf8(utcText, 0, length)
      else slow.write(bytes, start, end, out)
    },
  }
}

/** Receives what `utcTimestamp` makes; read to the end before the next value. */
const utcText = Buffer.alloc(32)

/**
 * The common case without a calendar: `2024-02-29 01:02:03[.000004]+00` is the ISO text but for a few characters.
 * @returns the length of the text in `utcText`; 0 for a year of five digits or before 1, another zone, an infinity
 */
function utcTimestamp(bytes: Buffer, start: number, end: number, digits: number): number {
  const zone = end - 3
  const length = zone - start
  if (length < 19 || length > 26 || length === 20) return 0
  if (bytes[zone] !== 0x2b || bytes[zone + 1] !== 0x30 || bytes[zone + 2] !== 0x30) return 0
  if (bytes[start + 4] !== 0x2d || bytes[start + 10] !== 0x20) return 0
  // Seconds, or the declared digits of a fraction, padded or cut.
  const wanted = digits === 0 ? 19 : 20 + digits
  for (let i = 0; i < wanted; i++) utcText[i] = i < length ? (bytes[start + i] as number) : 0x30
  utcText[10] = 0x54
  if (digits > 0) utcText[19] = 0x2e
  utcText[wanted] = 0x5a
  return wanted + 1
}

// ---- interval -------------------------------------------------------------------------------------------------------

export function intervalCodec({ options, digits }: Context): ValueCodec {
  const interval = (text: string): Interval => {
    const parsed = parseInterval(text)
    if (parsed === null) throw conversionError('interval')
    return parsed
  }
  const none: Interval = { years: 0, months: 0, days: 0, hours: 0, minutes: 0, seconds: 0, micros: 0 }
  if (options.timePrecision === 'structured') {
    return textCodec({ spec: structured.duration, fallback: structuredDuration(none, digits) }, (text) =>
      structuredDuration(interval(text), digits),
    )
  }
  if (options.intervals === 'string') {
    return textCodec({ spec: named('STRING', `${debezium}.Interval`), fallback: isoInterval(none) }, (text) =>
      isoInterval(interval(text)),
    )
  }
  return textCodec({ spec: named('INT64', `${debezium}.MicroDuration`), fallback: 0n }, (text) =>
    intervalMicros(interval(text)),
  )
}

export type TemporalContext = Context
