/**
 * Text forms of a point in time that `timestamp.extractor=RecordField` reads: those of Joda-Time's
 * `ISODateTimeFormat.dateTimeParser`, which are more than `Date.parse` knows (days of a year, weeks, times without a
 * date, fractions of hours and minutes) and fewer (no blank instead of `T`).
 */

const secondMs = 1_000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

const year = '(?<year>[+-]?\\d{1,9})'
const dates: readonly string[] = [
  `${year}(?:-(?<month>\\d{1,2})(?:-(?<day>\\d{1,2}))?)?`,
  `${year}-(?<dayOfYear>\\d{3})`,
  `${year}-W(?<week>\\d{1,2})(?:-(?<weekday>\\d))?`,
]
const fraction = '(?:[.,](?<fraction>\\d+))?'
const time = `(?<hour>\\d{1,2})(?::(?<minute>\\d{1,2})(?::(?<second>\\d{1,2}))?)?${fraction}`
const zone =
  '(?:Z|(?<sign>[+-])(?<zoneHour>\\d{2})(?::?(?<zoneMinute>\\d{2})(?::?(?<zoneSecond>\\d{2})(?:[.,]?(?<zoneFraction>\\d{1,3}))?)?)?)?'
const shapes: readonly RegExp[] = [
  ...dates.map((date) => new RegExp(`^${date}(?:T(?:${time})?${zone})?$`, 'i')),
  new RegExp(`^T${time}${zone}$`, 'i'),
]

type Groups = Readonly<Record<string, string | undefined>>

/** ms since 1970; without a zone it is UTC, without a date 1970-01-01. NaN when the text is none of the forms. */
export function parseIsoTime(text: string): number {
  for (const shape of shapes) {
    const groups = shape.exec(text)?.groups
    if (groups !== undefined) return dateOf(groups) + timeOf(groups) - zoneOf(groups)
  }
  return Number.NaN
}

/** NaN unless the value lies between the bounds. */
function bounded(
  text: string | undefined,
  unit: { readonly least: number; readonly most: number; readonly or: number },
) {
  if (text === undefined) return unit.or
  const value = Number(text)
  return value >= unit.least && value <= unit.most ? value : Number.NaN
}

function dateOf(groups: Groups): number {
  const { year: yearText, week } = groups
  if (yearText === undefined) return 0
  const yearNumber = Number(yearText)
  if (week !== undefined) return weekDate(yearNumber, groups)
  const { dayOfYear } = groups
  const start = dayStart(yearNumber, 0, 1)
  if (dayOfYear !== undefined) {
    const days = (dayStart(yearNumber + 1, 0, 1) - start) / dayMs
    return start + (bounded(dayOfYear, { least: 1, most: days, or: 1 }) - 1) * dayMs
  }
  const month = bounded(groups['month'], { least: 1, most: 12, or: 1 }) - 1
  const days = (dayStart(yearNumber, month + 1, 1) - dayStart(yearNumber, month, 1)) / dayMs
  return dayStart(yearNumber, month, bounded(groups['day'], { least: 1, most: days, or: 1 }))
}

/** Weeks of ISO 8601: from Monday on, the first is the one with 4 January. */
function weekDate(weekYear: number, { week, weekday }: Groups): number {
  const first = mondayBefore(dayStart(weekYear, 0, 4))
  const weeks = (mondayBefore(dayStart(weekYear + 1, 0, 4)) - first) / (7 * dayMs)
  const days =
    7 * (bounded(week, { least: 1, most: weeks, or: 1 }) - 1) + bounded(weekday, { least: 1, most: 7, or: 1 }) - 1
  return first + days * dayMs
}

function mondayBefore(day: number): number {
  return day - ((new Date(day).getUTCDay() + 6) % 7) * dayMs
}

/** Midnight UTC, of a month from 0 on. `Date.UTC` takes the years 0 to 99 for those of the 20th century. */
export function dayStart(yearNumber: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(yearNumber, month, day)
}

/** The fraction belongs to the last part that is there; what is below a millisecond is cut off. */
function timeOf({ hour, minute, second, fraction: digits }: Groups): number {
  const of = second !== undefined ? secondMs : minute !== undefined ? minuteMs : hourMs
  return (
    bounded(hour, { least: 0, most: 23, or: 0 }) * hourMs +
    bounded(minute, { least: 0, most: 59, or: 0 }) * minuteMs +
    bounded(second, { least: 0, most: 59, or: 0 }) * secondMs +
    partOf(digits, of)
  )
}

/** In whole numbers, as `0.29 * 1000` is not 290. */
function partOf(digits: string | undefined, unitMs: number): number {
  if (digits === undefined) return 0
  const known = digits.slice(0, 9)
  return Number((BigInt(known) * BigInt(unitMs)) / 10n ** BigInt(known.length))
}

function zoneOf({ sign, zoneHour, zoneMinute, zoneSecond, zoneFraction }: Groups): number {
  const offset =
    bounded(zoneHour, { least: 0, most: 23, or: 0 }) * hourMs +
    bounded(zoneMinute, { least: 0, most: 59, or: 0 }) * minuteMs +
    bounded(zoneSecond, { least: 0, most: 59, or: 0 }) * secondMs +
    partOf(zoneFraction, secondMs)
  return sign === '-' ? -offset : offset
}
