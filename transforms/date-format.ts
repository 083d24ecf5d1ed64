import { type CalendarFields, calendarFields, dayStart } from './java-calendar.ts'

/** Java's `SimpleDateFormat` in UTC and English, for formatting and for its lenient parsing of a prefix. */
export class DateFormat {
  readonly #parts: readonly Part[]

  /** @throws SyntaxError for a letter that has no meaning, or an open quote */
  constructor(pattern: string) {
    this.#parts = compile(pattern)
  }

  /** @param ms since 1970, within the range of `Date` */
  format(ms: number): string {
    const date = { ...calendarFields(ms), ms }
    return this.#parts.map((part) => ('text' in part ? part.text : formatField(part, date))).join('')
  }

  /** Milliseconds since 1970 of the time that `text` begins with; null when it does not match. Out-of-range fields roll over. */
  parse(text: string): number | null {
    const fields = new Map<string, number>()
    let at = 0
    for (const [i, part] of this.#parts.entries()) {
      const end = 'text' in part ? literalEnd(text, at, part.text) : this.#parseField(part, i, { text, at, fields })
      if (end === null) return null
      at = end
    }
    return assemble(fields)
  }

  #parseField(field: FieldPart, index: number, state: ParseState): number | null {
    // Spaces before a field are skipped.
    while (state.text[state.at] === ' ' || state.text[state.at] === '\t') state.at++
    const rest = state.text.slice(state.at)
    if (!isNumeric(field)) return parseName(field, rest, state)
    const next = this.#parts[index + 1]
    // A number directly before another takes as many digits as it has letters.
    const abuts = next !== undefined && !('text' in next) && isNumeric(next)
    const digits = (abuts ? rest.slice(0, field.count) : rest).match(/^\d+/u)?.[0]
    if (digits === undefined || (abuts && digits.length < field.count)) return null
    const isShortYear = (field.letter === 'y' || field.letter === 'Y') && field.count <= 2 && digits.length === 2
    state.fields.set(field.letter, isShortYear ? centuryOf(Number(digits)) : Number(digits))
    return state.at + digits.length
  }
}

interface LiteralPart {
  readonly text: string
}

interface FieldPart {
  readonly letter: string
  readonly count: number
}

type Part = LiteralPart | FieldPart

interface ParseState {
  readonly text: string
  at: number
  readonly fields: Map<string, number>
}

const letters = 'GyYMLwWDdFEuaHkKhmsSzZX'

function compile(pattern: string): readonly Part[] {
  const parts: Part[] = []
  for (const [token] of pattern.matchAll(/''|'(?:[^']|'')*'|'|([A-Za-z])\1*|[^A-Za-z']+/gu)) {
    if (token === "''") parts.push({ text: "'" })
    else if (token === "'") throw new SyntaxError('Unterminated quote')
    else if (token.startsWith("'")) parts.push({ text: token.slice(1, -1).replaceAll("''", "'") })
    else if (!/^[A-Za-z]/u.test(token)) parts.push({ text: token })
    else if (!letters.includes(token[0] ?? ' ')) throw new SyntaxError(`Illegal pattern character '${token[0]}'`)
    else if (token.startsWith('X') && token.length > 3)
      throw new SyntaxError(`invalid ISO 8601 format: length=${token.length}`)
    else parts.push({ letter: token[0] ?? '', count: token.length })
  }
  return parts
}

const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] // prettier-ignore
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const dayMs = 86_400_000
const minuteMs = 60_000

function isNumeric({ letter, count }: FieldPart): boolean {
  if (letter === 'M' || letter === 'L') return count <= 2
  return !'GEazZX'.includes(letter)
}

const yearOfEra = (year: number): number => (year > 0 ? year : 1 - year)

/** A time with its fields. */
interface CalendarTime extends CalendarFields {
  readonly ms: number
}

function formatField({ letter, count }: FieldPart, date: CalendarTime): string {
  const padded = (value: number): string => String(value).padStart(count, '0')
  const year = yearOfEra(date.year)
  switch (letter) {
    case 'G':
      return date.year > 0 ? 'AD' : 'BC'
    case 'y':
      return count === 2 ? String(year % 100).padStart(2, '0') : padded(year)
    case 'Y':
      return count === 2 ? String(weekOf(date).year % 100).padStart(2, '0') : padded(weekOf(date).year)
    case 'M':
    case 'L':
      return count <= 2 ? padded(date.month + 1) : named(months[date.month], count)
    case 'E':
      return named(days[date.weekday], count)
    case 'a':
      return date.msOfDay < dayMs / 2 ? 'AM' : 'PM'
    case 'z':
      return count >= 4 ? 'Coordinated Universal Time' : 'UTC'
    case 'Z':
      return '+0000'
    case 'X':
      return 'Z'
    default:
      return padded(numberOf(letter, date))
  }
}

const named = (name: string | undefined, count: number): string =>
  count >= 4 ? (name ?? '') : (name ?? '').slice(0, 3)

function numberOf(letter: string, date: CalendarTime): number {
  const hours = Math.floor(date.msOfDay / (60 * minuteMs))
  switch (letter) {
    case 'w':
      return weekOf(date).week
    case 'W': {
      const first = calendarFields(dayStart(date.year, date.month, 1)).weekday
      return Math.floor((date.day - 1 + first) / 7) + 1
    }
    case 'D':
      return Math.floor((date.ms - startOfYear(date.year)) / dayMs) + 1
    case 'd':
      return date.day
    case 'F':
      return Math.floor((date.day - 1) / 7) + 1
    case 'u':
      return date.weekday === 0 ? 7 : date.weekday
    case 'H':
      return hours
    case 'k':
      return hours === 0 ? 24 : hours
    case 'K':
      return hours % 12
    case 'h':
      return hours % 12 === 0 ? 12 : hours % 12
    case 'm':
      return Math.floor(date.msOfDay / minuteMs) % 60
    case 's':
      return Math.floor(date.msOfDay / 1000) % 60
    default:
      return date.msOfDay % 1000
  }
}

const startOfYear = (year: number): number => dayStart(year, 0, 1)

/** Week of the US calendar: weeks begin on Sunday, the first one holds January 1. */
function weekOf({ year, ms }: CalendarTime): { readonly year: number; readonly week: number } {
  const firstWeek = (y: number): number => {
    const start = startOfYear(y)
    return start - calendarFields(start).weekday * dayMs
  }
  if (ms >= firstWeek(year + 1)) return { year: year + 1, week: 1 }
  return { year, week: Math.floor((ms - firstWeek(year)) / (7 * dayMs)) + 1 }
}

const literalEnd = (text: string, at: number, literal: string): number | null =>
  text.startsWith(literal, at) ? at + literal.length : null

/** Two digits are a year from 80 years ago to 20 years ahead. */
function centuryOf(digits: number): number {
  const first = new Date().getUTCFullYear() - 80
  const year = first - (first % 100) + digits
  return year < first ? year + 100 : year
}

/** @returns the position behind the name or zone; null when there is none */
function parseName({ letter }: FieldPart, rest: string, { at, fields }: ParseState): number | null {
  if (letter === 'z' || letter === 'Z' || letter === 'X') {
    const zone = /^(?:Z|(?:GMT|UTC)?(?:([+-])(\d{1,2}):?(\d{2})?)|GMT|UTC)/u.exec(rest)
    if (zone === null) return null
    const minutes = Number(zone[2] ?? 0) * 60 + Number(zone[3] ?? 0)
    fields.set('zone', zone[1] === '-' ? -minutes : minutes)
    return at + zone[0].length
  }
  const names = letter === 'G' ? ['BC', 'AD'] : letter === 'a' ? ['AM', 'PM'] : letter === 'E' ? days : months
  const lower = rest.toLowerCase()
  for (const length of [Number.POSITIVE_INFINITY, 3]) {
    const found = names.findIndex((name) => lower.startsWith(name.slice(0, length).toLowerCase()))
    if (found < 0) continue
    const isMonth = letter === 'M' || letter === 'L'
    fields.set(letter === 'L' ? 'M' : letter, isMonth ? found + 1 : found)
    return at + Math.min(length, names[found]?.length ?? 0)
  }
  return null
}

function assemble(fields: ReadonlyMap<string, number>): number {
  const given = fields.get('y') ?? fields.get('Y') ?? 1970
  const year = fields.get('G') === 0 ? 1 - given : given
  const dayOfYear = fields.get('D')
  const isDayOfYear = dayOfYear !== undefined && !fields.has('M') && !fields.has('L')
  const month = (fields.get('M') ?? fields.get('L') ?? 1) - 1
  const day = dayStart(year, isDayOfYear ? 0 : month, isDayOfYear ? dayOfYear : (fields.get('d') ?? 1))
  const half = (fields.get('h') ?? 0) % 12 || (fields.get('K') ?? 0)
  const clock24 = fields.get('H') ?? (fields.has('k') ? (fields.get('k') ?? 0) % 24 : undefined)
  const hours = clock24 ?? half + (fields.get('a') === 1 ? 12 : 0)
  const minutes = hours * 60 + (fields.get('m') ?? 0) - (fields.get('zone') ?? 0)
  return day + minutes * minuteMs + (fields.get('s') ?? 0) * 1000 + (fields.get('S') ?? 0)
}
