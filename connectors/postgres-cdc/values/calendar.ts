/** Proleptic Gregorian calendar arithmetic and the text forms of PostgreSQL's date and time types (DateStyle ISO). */

export interface DateParts {
  /** Astronomical: 1 BC is 0. */
  readonly year: number
  readonly month: number
  readonly day: number
}

/** Days since 1970-01-01 (Howard Hinnant's `days_from_civil`). */
export function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146097 + dayOfEra - 719468
}

/** Inverse of `daysOf`. */
export function dateOf(days: number): DateParts {
  const z = days + 719468
  const era = Math.floor(z / 146097)
  const dayOfEra = z - era * 146097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shifted = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shifted < 10 ? shifted + 3 : shifted - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1,
  }
}

export const microsPerDay = 86_400_000_000

/** Seconds since midnight and microseconds, e.g. of `24:00:00` 86400 and 0. */
export class ParsedMoment {
  /** Days since 1970-01-01. */
  days = 0
  /** Microseconds of the day, 0…86 400 000 000 (24:00:00 is valid for `time`). */
  micros = 0
  /** East of Greenwich; 0 without a zone. */
  offsetSeconds = 0
  /** Whether the zone's offset has seconds. */
  offsetHasSeconds = false
  /** 1, −1 or 0 when finite. */
  infinity = 0
}

const zero = 48
const nine = 57
const colon = 58
const dash = 45
const plus = 43
const dot = 46
const space = 32

/**
 * Parses `date`, `time`, `timetz`, `timestamp` and `timestamptz` text of `bytes[start, end)` into `into`, which one
 * caller reuses. Returns false for text that is none of them.
 */
export function parseMoment(bytes: Uint8Array, start: number, end: number, into: ParsedMoment): boolean {
  into.days = 0
  into.micros = 0
  into.offsetSeconds = 0
  into.offsetHasSeconds = false
  into.infinity = 0
  let last = end
  const first = bytes[start] as number
  if (first < zero || first > nine) return parseInfinity(bytes, start, end, into)
  let bc = false
  // "… BC"
  if (last - start > 3 && bytes[last - 1] === 67 && bytes[last - 2] === 66 && bytes[last - 3] === space) {
    bc = true
    last -= 3
  }
  let at = start
  let number = 0
  while (at < last && isDigit(bytes[at])) number = number * 10 + (bytes[at++] as number) - zero
  if (bytes[at] === dash) {
    const month = twoDigits(bytes, at + 1)
    const day = twoDigits(bytes, at + 4)
    if (month < 1 || day < 1 || bytes[at + 3] !== dash) return false
    into.days = daysOf(bc ? 1 - number : number, month, day)
    at += 6
    if (at === last) return true
    if (bytes[at] !== space) return false
    return parseTime(bytes, at + 1, last, into)
  }
  return parseTime(bytes, start, last, into)
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= nine
}

function twoDigits(bytes: Uint8Array, at: number): number {
  if (!isDigit(bytes[at]) || !isDigit(bytes[at + 1])) return -1
  return ((bytes[at] as number) - zero) * 10 + (bytes[at + 1] as number) - zero
}

function parseInfinity(bytes: Uint8Array, start: number, end: number, into: ParsedMoment): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
  if (text === 'infinity') into.infinity = 1
  else if (text === '-infinity') into.infinity = -1
  return into.infinity !== 0
}

function parseTime(bytes: Uint8Array, start: number, end: number, into: ParsedMoment): boolean {
  const hours = twoDigits(bytes, start)
  const minutes = twoDigits(bytes, start + 3)
  const seconds = twoDigits(bytes, start + 6)
  if (hours < 0 || minutes < 0 || seconds < 0 || bytes[start + 2] !== colon || bytes[start + 5] !== colon) return false
  let at = start + 8
  let fraction = 0
  if (bytes[at] === dot) {
    let digits = 0
    at += 1
    for (; at < end && isDigit(bytes[at]); at++) {
      if (digits < 6) fraction = fraction * 10 + (bytes[at] as number) - zero
      digits += 1
    }
    for (; digits < 6; digits++) fraction *= 10
  }
  into.micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction
  return at === end || parseZone(bytes, at, end, into)
}

function parseZone(bytes: Uint8Array, start: number, end: number, into: ParsedMoment): boolean {
  const sign = bytes[start] === plus ? 1 : bytes[start] === dash ? -1 : 0
  if (sign === 0) return false
  let offset = twoDigits(bytes, start + 1) * 3600
  if (offset < 0) return false
  if (start + 3 < end) offset += twoDigits(bytes, start + 4) * 60
  if (start + 6 < end) {
    const seconds = twoDigits(bytes, start + 7)
    into.offsetHasSeconds = seconds !== 0
    offset += seconds
  }
  into.offsetSeconds = sign * offset
  return true
}

const pad2 = (n: number): string => (n < 10 ? `0${n}` : String(n))

/** ISO 8601 year: four digits, a sign when before 0 or after 9999. */
function isoYear(year: number): string {
  const digits = String(Math.abs(year)).padStart(4, '0')
  return year < 0 ? `-${digits}` : year > 9999 ? `+${digits}` : digits
}

export function isoDate(days: number): string {
  const { year, month, day } = dateOf(days)
  return `${isoYear(year)}-${pad2(month)}-${pad2(day)}`
}

/** `HH:MM:SS` with exactly `digits` fractional digits, or with as many as are needed when `digits` is −1. */
export function isoTime(micros: number, digits: number): string {
  const seconds = Math.floor(micros / 1_000_000)
  const base = `${pad2(Math.floor(seconds / 3600))}:${pad2(Math.floor(seconds / 60) % 60)}:${pad2(seconds % 60)}`
  const fraction = micros % 1_000_000
  if (digits === 0 || (digits < 0 && fraction === 0)) return base
  const text = String(fraction).padStart(6, '0')
  return `${base}.${digits < 0 ? text.replace(/0+$/, '') : text.slice(0, digits)}`
}

/** Components of an interval in PostgreSQL's own style (`1 year 2 mons -3 days -04:05:06.78`). */
export interface Interval {
  readonly years: number
  readonly months: number
  readonly days: number
  readonly hours: number
  readonly minutes: number
  readonly seconds: number
  /** Of the time part, signed. */
  readonly micros: number
}

/** Null for text in another style. */
export function parseInterval(text: string): Interval | null {
  let years = 0
  let months = 0
  let days = 0
  const rest = text.replace(/([+-]?\d+) (years?|mons?|days?)\s*/g, (_, amount: string, unit: string) => {
    if (unit.startsWith('y')) years = Number(amount)
    else if (unit.startsWith('m')) months = Number(amount)
    else days = Number(amount)
    return ''
  })
  const time = /^([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?$/.exec(rest)
  if (time === null) {
    return rest === '' ? { years, months, days, hours: 0, minutes: 0, seconds: 0, micros: 0 } : null
  }
  const sign = time[1] === '-' ? -1 : 1
  return {
    years,
    months,
    days,
    hours: sign * Number(time[2]),
    minutes: sign * Number(time[3]),
    seconds: sign * Number(time[4]),
    micros: sign * Number((time[5] ?? '').padEnd(6, '0')),
  }
}

const microsPerMonth = 2_629_800_000_000n // 365.25 / 12 days
const maxInt64 = 2n ** 63n - 1n

/** Microseconds, a month being 365.25/12 days; held within int64 as a cast from Java's double does. */
export function intervalMicros(interval: Interval): bigint {
  const { years, months, days, hours, minutes, seconds, micros } = interval
  const total =
    (BigInt(years) * 12n + BigInt(months)) * microsPerMonth +
    BigInt(days) * BigInt(microsPerDay) +
    BigInt(hours) * 3_600_000_000n +
    BigInt(minutes * 60 + seconds) * 1_000_000n +
    BigInt(micros)
  if (total > maxInt64) return maxInt64
  return total < -maxInt64 - 1n ? -maxInt64 - 1n : total
}

/** `P1Y2M3DT4H5M6.78S`, every component present. */
export function isoInterval(interval: Interval): string {
  const { years, months, days, hours, minutes, seconds, micros } = interval
  const total = seconds * 1_000_000 + micros
  const size = Math.abs(total)
  const fraction = size % 1_000_000
  const digits = fraction === 0 ? '' : `.${String(fraction).padStart(6, '0').replace(/0+$/, '')}`
  const secondsText = `${total < 0 ? '-' : ''}${Math.floor(size / 1_000_000)}${digits}`
  return `P${years}Y${months}M${days}DT${hours}H${minutes}M${secondsText}S`
}
