/** Java's `GregorianCalendar` in UTC: the Julian calendar before October 15, 1582, the Gregorian one from then on. */

const dayMs = 86_400_000
/** Beginning of the Gregorian calendar, in ms since 1970. */
const cutoverMs = -12_219_292_800_000
/** Days from March 1 of year 0 of the Julian calendar to 1970. */
const julianEpochDays = 719_470

export interface CalendarFields {
  /** Astronomical: 0 is 1 BC. */
  readonly year: number
  /** From 0. */
  readonly month: number
  readonly day: number
  /** From 0, Sunday. */
  readonly weekday: number
  readonly msOfDay: number
}

/** @param ms since 1970, within the range of `Date` */
export function calendarFields(ms: number): CalendarFields {
  const days = Math.floor(ms / dayMs)
  const rest = { weekday: (((days + 4) % 7) + 7) % 7, msOfDay: ms - days * dayMs }
  if (ms >= cutoverMs) {
    const date = new Date(ms)
    return { year: date.getUTCFullYear(), month: date.getUTCMonth(), day: date.getUTCDate(), ...rest }
  }
  // A year that begins in March ends with the day that leap years add.
  const shifted = days + julianEpochDays
  const cycle = Math.floor(shifted / 1461)
  const dayOfCycle = shifted - cycle * 1461
  const yearOfCycle = Math.min(3, Math.floor(dayOfCycle / 365))
  const dayOfYear = dayOfCycle - yearOfCycle * 365
  const march = Math.floor((5 * dayOfYear + 2) / 153)
  const month = (march + 2) % 12
  const year = cycle * 4 + yearOfCycle + (march >= 10 ? 1 : 0)
  return { year, month, day: dayOfYear - Math.floor((153 * march + 2) / 5) + 1, ...rest }
}

/** Milliseconds of the beginning of a day; months and days that are out of range roll over. */
export function dayStart(year: number, month: number, day: number): number {
  const gregorian = new Date(0).setUTCFullYear(year, month, day)
  if (gregorian >= cutoverMs) return gregorian
  const march = (((month - 2) % 12) + 12) % 12
  const y = year + Math.floor((month - 2) / 12)
  const days = Math.floor((y * 1461) / 4) + Math.floor((153 * march + 2) / 5) + day - 1
  return (days - julianEpochDays) * dayMs
}
