/** Offsets of time zones from UTC, by the rules that Java's `ZoneRules` applies. */

const offsetText = /^([+-])(\d{2}):(\d{2})(?::(\d{2}))?$/
const dayS = 86_400
/** Where `Date` ends, in s; beyond it a zone keeps the offset it has there. */
const maxS = 8_640_000_000_000
/** Days whose offset is remembered. */
const maxDays = 4096

/** A fixed offset (`+08:00`, `-03:30`, `+00:19:32`) or a zone by name (`America/Los_Angeles`). */
export class TimeZone {
  readonly #fixedS: number | null
  readonly #format: Intl.DateTimeFormat | null
  /** Days all of which have one offset; most do. */
  readonly #days = new Map<number, number | null>()

  /** @throws RangeError for a text that names no zone */
  constructor(text: string) {
    const fixed = offsetText.exec(text)
    this.#fixedS = fixed === null ? null : offsetSeconds(fixed)
    if (this.#fixedS !== null && Math.abs(this.#fixedS) > 18 * 3600) throw new RangeError(`Offset beyond 18 h: ${text}`)
    this.#format =
      fixed === null ? new Intl.DateTimeFormat('en-US', { timeZone: text, timeZoneName: 'longOffset' }) : null
  }

  /** Seconds that local time is ahead of UTC at an instant (s since 1970). */
  offsetAt(instantS: number): number {
    if (this.#fixedS !== null) return this.#fixedS
    const bounded = Math.max(-maxS + dayS, Math.min(maxS - dayS, instantS))
    const day = Math.floor(bounded / dayS)
    let offset = this.#days.get(day)
    if (offset === undefined) {
      const first = this.#lookUp(day * dayS)
      offset = first === this.#lookUp((day + 1) * dayS) ? first : null
      if (this.#days.size >= maxDays) this.#days.clear()
      this.#days.set(day, offset)
    }
    return offset ?? this.#lookUp(bounded)
  }

  /**
   * The offset for a wall clock time, given as if it were UTC. Where clocks are put back the earlier of the two
   * offsets holds, and where they are put forward the one from before the gap.
   */
  offsetAtLocal(localS: number): number {
    const before = this.offsetAt(localS - dayS)
    const after = this.offsetAt(localS + dayS)
    if (before === after || this.offsetAt(localS - before) === before) return before
    return this.offsetAt(localS - after) === after ? after : before
  }

  #lookUp(instantS: number): number {
    const text = this.#format?.formatToParts(instantS * 1000).find((part) => part.type === 'timeZoneName')?.value
    const fixed = offsetText.exec((text ?? '').replace('GMT', ''))
    return fixed === null ? 0 : offsetSeconds(fixed)
  }
}

function offsetSeconds([, sign, hours, minutes, seconds = '0']: RegExpExecArray): number {
  const total = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  return sign === '-' ? -total : total
}

/** `Z`, `+02:00` or `+00:19:32`. */
export function formatOffset(offsetS: number): string {
  if (offsetS === 0) return 'Z'
  const two = (n: number): string => String(n).padStart(2, '0')
  const total = Math.abs(offsetS)
  const seconds = total % 60
  const text = `${offsetS < 0 ? '-' : '+'}${two(Math.floor(total / 3600))}:${two(Math.floor(total / 60) % 60)}`
  return seconds === 0 ? text : `${text}:${two(seconds)}`
}
