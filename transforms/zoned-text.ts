/** ISO texts with an offset, as Debezium's ZonedTimestamp and ZonedTime hold them. */
import { formatOffset } from './zone-offset.ts'

/** A wall clock time with its offset from UTC. */
export interface ZonedTime {
  /** Seconds of the wall clock: since 1970-01-01T00:00 there, or of the day for a time alone. */
  readonly localS: number
  /** Fraction of a second as written, without trailing zeros; empty for none. */
  readonly fraction: string
  readonly offsetS: number
}

const dayS = 86_400
const offset = '(z|[+-]\\d{2}:\\d{2}(?::\\d{2})?)'
const time = '(\\d{2}):(\\d{2})(?::(\\d{2})(?:\\.(\\d{0,9}))?)?'
const timestampPattern = new RegExp(`^([+-]?\\d{4,9})-(\\d{2})-(\\d{2})t${time}${offset}$`, 'i')
const timePattern = new RegExp(`^${time}${offset}$`, 'i')

/** Null for a text that is no such timestamp. Years beyond those of `Date` are understood too. */
export function parseZonedTimestamp(text: string): ZonedTime | null {
  const match = timestampPattern.exec(text)
  if (match === null) return null
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const clock = parseClock(match.slice(4))
  if (clock === null || month < 1 || month > 12 || day < 1 || day > daysOfMonth(year, month)) return null
  return { ...clock, localS: daysFromCivil(year, month, day) * dayS + clock.localS }
}

/** Null for a text that is no such time. */
export function parseZonedTime(text: string): ZonedTime | null {
  const match = timePattern.exec(text)
  return match === null ? null : parseClock(match.slice(1))
}

function parseClock([hour, minute, second = '0', fraction = '', zone = '']: readonly string[]): ZonedTime | null {
  const localS = Number(hour) * 3600 + Number(minute) * 60 + Number(second)
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return null
  const sign = zone.startsWith('-') ? -1 : 1
  const [hours = 0, minutes = 0, seconds = 0] = /^z$/i.test(zone) ? [] : zone.slice(1).split(':').map(Number)
  const offsetS = hours * 3600 + minutes * 60 + seconds
  if (minutes > 59 || seconds > 59 || offsetS > 18 * 3600) return null
  return { localS, fraction: fraction.replace(/0+$/, ''), offsetS: sign * offsetS }
}

/** The same instant on a clock with another offset. */
export function atOffset(value: ZonedTime, offsetS: number): ZonedTime {
  return { ...value, localS: value.localS - value.offsetS + offsetS, offsetS }
}

export function formatZonedTimestamp(value: ZonedTime): string {
  const days = Math.floor(value.localS / dayS)
  const [year, month, day] = civilFromDays(days)
  return `${yearText(year)}-${two(month)}-${two(day)}T${clockText(value, value.localS - days * dayS)}`
}

/** The time of day; what passes midnight starts anew. */
export function formatZonedTime(value: ZonedTime): string {
  return clockText(value, ((value.localS % dayS) + dayS) % dayS)
}

function clockText({ fraction, offsetS }: ZonedTime, secondOfDay: number): string {
  const clock = `${two(Math.floor(secondOfDay / 3600))}:${two(Math.floor(secondOfDay / 60) % 60)}:${two(secondOfDay % 60)}`
  return `${clock}${fraction === '' ? '' : `.${fraction}`}${formatOffset(offsetS)}`
}

const two = (n: number): string => String(n).padStart(2, '0')

function yearText(year: number): string {
  const digits = String(Math.abs(year)).padStart(4, '0')
  if (year < 0) return `-${digits}`
  return year > 9999 ? `+${digits}` : digits
}

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

function daysOfMonth(year: number, month: number): number {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return month === 2 && isLeap ? 29 : (monthDays[month - 1] ?? 0)
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar; the year is taken to begin in March. */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

function civilFromDays(days: number): readonly [year: number, month: number, day: number] {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const leaps = Math.floor(dayOfEra / 1460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096)
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365)
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153)
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day]
}
