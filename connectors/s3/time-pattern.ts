import { dayStart } from './iso-time.ts'

/** Calendar arithmetic of time-based directories and of scheduled rotation, as Joda-Time does it. */

const dayMs = 86_400_000
/** Offsets of all zones since 1970 change at multiples of this, so one look-up per step suffices. */
const stepMs = 900_000
const maxCachedSteps = 4096

/** A time zone with cheap look-ups of its offset. */
export class TimeZone {
  readonly id: string
  readonly #format: Intl.DateTimeFormat
  readonly #offsets = new Map<number, number>()

  constructor(id: string) {
    this.id = id
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone: id,
      hourCycle: 'h23',
      era: 'short',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
  }

  /** Local time minus UTC in ms at an instant (ms since 1970). */
  offsetAt(instant: number): number {
    const step = Math.floor(instant / stepMs)
    let offset = this.#offsets.get(step)
    if (offset === undefined) {
      if (this.#offsets.size >= maxCachedSteps) this.#offsets.clear()
      offset = this.#lookUp(step * stepMs)
      this.#offsets.set(step, offset)
    }
    return offset
  }

  /** Instant of a local time; in a gap or an overlap Joda's choice (`convertLocalToUTC`, not strict). */
  toInstant(local: number): number {
    const offsetLocal = this.offsetAt(local)
    const offset = this.offsetAt(local - offsetLocal)
    if (offsetLocal === offset) return local - offset
    // Only west of Greenwich can a transition lie between the two guesses; there the first offset counts.
    const gap = offsetLocal < 0 && this.offsetAt(local - offsetLocal) !== this.offsetAt(local - offset)
    return local - (gap ? offsetLocal : offset)
  }

  /** First instant of the local day `days` after that of `instant`. */
  startOfDay(instant: number, days = 0): number {
    const local = instant + this.offsetAt(instant)
    return this.toInstant((Math.floor(local / dayMs) + days) * dayMs)
  }

  #lookUp(instant: number): number {
    const parts = new Map(this.#format.formatToParts(instant).map((p) => [p.type, p.value]))
    const read = (type: Intl.DateTimeFormatPartTypes) => Number(parts.get(type) ?? 0)
    const year = parts.get('era') === 'BC' ? 1 - read('year') : read('year')
    const day = dayStart(year, read('month') - 1, read('day'))
    return day + ((read('hour') * 60 + read('minute')) * 60 + read('second')) * 1000 - instant
  }
}

/**
 * Next wall-clock rotation after `now`: multiples of the period counted from local midnight, never past the next
 * midnight, so that days of 23 and 25 hours keep their cuts.
 */
export function nextScheduledRotation(now: number, periodMs: number, zone: TimeZone): number {
  const start = zone.startOfDay(now)
  const next = start + (Math.floor((now - start) / periodMs) + 1) * periodMs
  return Math.min(next, zone.startOfDay(now, 1))
}

/** Fields of a local time. */
interface LocalTime {
  /** UTC fields of this date are the local ones. */
  readonly date: Date
  readonly instant: number
  readonly offset: number
}

type Part = (time: LocalTime) => string

/** Java's locale of no language: short English names, also where the pattern asks for long ones. */
const rootLocale = 'root'

/**
 * `locale` as Java's `new Locale(text)` reads it: a text with a region is unknown there and gives the root locale, and
 * so does a language without names.
 */
function javaLocale(text: string): string {
  const isLanguage = /^[a-zA-Z]{2,3}$/.test(text) && Intl.DateTimeFormat.supportedLocalesOf(text).length > 0
  return isLanguage ? text : rootLocale
}

/** A Joda-Time pattern, compiled once. @throws RangeError for a letter that is not supported */
export class TimePattern {
  readonly #parts: readonly Part[]
  readonly #zone: TimeZone

  constructor(pattern: string, zone: TimeZone, locale: string) {
    this.#zone = zone
    this.#parts = compile(pattern, zone, javaLocale(locale))
  }

  format(instant: number): string {
    const offset = this.#zone.offsetAt(instant)
    const time = { date: new Date(instant + offset), instant, offset }
    let text = ''
    for (const part of this.#parts) text += part(time)
    return text
  }
}

function compile(pattern: string, zone: TimeZone, locale: string): readonly Part[] {
  const parts: Part[] = []
  for (let at = 0; at < pattern.length; ) {
    const start = at
    const letter = pattern.charAt(at)
    if (letter === "'") {
      const literal = quoted(pattern, at)
      parts.push(() => literal.text)
      at = literal.end
      continue
    }
    while (pattern.charAt(at) === letter) at++
    if (/[A-Za-z]/.test(letter)) parts.push(fieldOf(letter, at - start, { zone, locale }))
    else parts.push(constant(pattern.slice(start, at)))
  }
  return parts
}

const constant =
  (text: string): Part =>
  () =>
    text

/** A quoted literal; two quotes are one quote, inside and outside of a literal. */
function quoted(pattern: string, start: number): { text: string; end: number } {
  if (pattern.charAt(start + 1) === "'") return { text: "'", end: start + 2 }
  let text = ''
  for (let at = start + 1; at < pattern.length; at++) {
    const unit = pattern.charAt(at)
    if (unit !== "'") text += unit
    else if (pattern.charAt(at + 1) === "'") {
      text += "'"
      at++
    } else return { text, end: at + 1 }
  }
  return { text, end: pattern.length }
}

function fieldOf(letter: string, count: number, { zone, locale }: { zone: TimeZone; locale: string }): Part {
  const number =
    (read: (time: LocalTime) => number): Part =>
    (time) =>
      pad(read(time), count)
  switch (letter) {
    case 'y':
    case 'Y':
      if (count === 2) return (t) => pad(t.date.getUTCFullYear() % 100, 2)
      // Joda's Y is the year of era, unlike the week-year of other libraries.
      return number(({ date }) => {
        const year = date.getUTCFullYear()
        return letter === 'Y' && year < 1 ? 1 - year : year
      })
    case 'x':
      return count === 2 ? (t) => pad(isoWeek(t.date).year % 100, 2) : number((t) => isoWeek(t.date).year)
    case 'M':
      if (count < 3) return number((t) => t.date.getUTCMonth() + 1)
      return month(locale, count === 3 ? 'short' : 'long')
    case 'd':
      return number((t) => t.date.getUTCDate())
    case 'D':
      return number((t) => dayOfYear(t.date))
    case 'w':
      return number((t) => isoWeek(t.date).week)
    case 'e':
      return number((t) => t.date.getUTCDay() || 7)
    case 'E':
      return weekday(locale, count < 4 ? 'short' : 'long')
    case 'H':
      return number((t) => t.date.getUTCHours())
    case 'k':
      return number((t) => t.date.getUTCHours() || 24)
    case 'K':
      return number((t) => t.date.getUTCHours() % 12)
    case 'h':
      return number((t) => t.date.getUTCHours() % 12 || 12)
    case 'm':
      return number((t) => t.date.getUTCMinutes())
    case 's':
      return number((t) => t.date.getUTCSeconds())
    case 'S':
      return (t) => String(t.date.getUTCMilliseconds()).padStart(3, '0').padEnd(count, '0').slice(0, count)
    case 'a':
      return halfDay(locale)
    case 'G':
      return era(locale)
    case 'C':
      return number((t) => Math.floor(t.date.getUTCFullYear() / 100))
    case 'Z':
      return count > 2 ? constant(zone.id) : (t) => offsetText(t.offset, count === 2)
    default:
      throw new RangeError(`pattern letter '${letter}' is not supported`)
  }
}

type Width = 'short' | 'long'

function month(locale: string, width: Width): Part {
  const names = Array.from({ length: 12 }, (_, i) => nameIn(locale, Date.UTC(2024, i, 2), { month: width }))
  return ({ date }) => names[date.getUTCMonth()] ?? ''
}

function weekday(locale: string, width: Width): Part {
  // 1970 began on a Thursday; day 3 was a Sunday.
  const names = Array.from({ length: 7 }, (_, i) => nameIn(locale, (3 + i) * dayMs, { weekday: width }))
  return ({ date }) => names[date.getUTCDay()] ?? ''
}

function era(locale: string): Part {
  if (locale === rootLocale) return ({ date }) => (date.getUTCFullYear() < 1 ? 'BCE' : 'CE')
  const [before, after] = [-1, 1].map((year) => nameIn(locale, new Date(0).setUTCFullYear(year), { era: 'short' }))
  return ({ date }) => (date.getUTCFullYear() < 1 ? before : after) ?? ''
}

function halfDay(locale: string): Part {
  const format = new Intl.DateTimeFormat(tagOf(locale), { hour: 'numeric', hour12: true, timeZone: 'UTC' })
  const [am, pm] = [1, 13].map((hour) => partOf(format, hour * 3_600_000, 'dayPeriod'))
  return ({ date }) => (date.getUTCHours() < 12 ? am : pm) ?? ''
}

/** Names are those of the Gregorian calendar in every language, as in Java. */
const tagOf = (locale: string) => `${locale === rootLocale ? 'en' : locale}-u-ca-gregory-nu-latn`

/**
 * The form that a name has within a date (Russian `июня`, not `июнь`), as Java takes it. Languages that write a number
 * there have a name for it alone.
 */
function nameIn(locale: string, time: number, name: { month: Width } | { weekday: Width } | { era: 'short' }): string {
  const wanted = locale === rootLocale ? Object.fromEntries(Object.keys(name).map((part) => [part, 'short'])) : name
  const date = { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric', timeZone: 'UTC' } as const
  const [part] = Object.keys(name) as Intl.DateTimeFormatPartTypes[]
  const within = partOf(new Intl.DateTimeFormat(tagOf(locale), { ...date, ...wanted }), time, part)
  if (!/^\d+$/.test(within)) return within
  return new Intl.DateTimeFormat(tagOf(locale), { ...wanted, timeZone: 'UTC' }).format(time)
}

function partOf(format: Intl.DateTimeFormat, time: number, type: Intl.DateTimeFormatPartTypes | undefined): string {
  return format.formatToParts(time).find((part) => part.type === type)?.value ?? ''
}

function pad(value: number, width: number): string {
  return value < 0 ? `-${String(-value).padStart(width, '0')}` : String(value).padStart(width, '0')
}

function dayOfYear(date: Date): number {
  return Math.floor((date.getTime() - dayStart(date.getUTCFullYear(), 0, 1)) / dayMs) + 1
}

/** Week and week-year of ISO 8601: the week that holds the year's first Thursday is the first. */
function isoWeek(date: Date): { year: number; week: number } {
  const day = date.getUTCDay() || 7
  const thursday = new Date(date.getTime() + (4 - day) * dayMs)
  return { year: thursday.getUTCFullYear(), week: Math.ceil(dayOfYear(thursday) / 7) }
}

function offsetText(offset: number, colon: boolean): string {
  const minutes = Math.floor(Math.abs(offset) / 60_000)
  const hours = String(Math.floor(minutes / 60)).padStart(2, '0')
  return `${offset < 0 ? '-' : '+'}${hours}${colon ? ':' : ''}${String(minutes % 60).padStart(2, '0')}`
}
