import { equalLetters, escapeLiteral, type LetterCase, rangeOf } from './java-regex-sets.ts'

/** What a class needs from the pattern around it. */
export interface CharacterClassHost {
  readonly pattern: string
  /** Index of what is read next; moves on. */
  at: number
  error(description: string, index: number): SyntaxError
  escapedSet(letterCase: LetterCase): string | null
  escapedCharacter(): string
}

interface ClassFlags extends LetterCase {
  readonly comments: boolean
}

/**
 * A character class from its `[` to its `]` in the terms of JavaScript's `v` mode, which has nested classes and `&&`
 * as Java does but wants each side of `&&` to be one class.
 * @throws SyntaxError
 */
export function translateClass(host: CharacterClassHost, flags: ClassFlags): string {
  host.at++
  const negated = host.pattern.charAt(host.at) === '^'
  if (negated) host.at++
  const sides: string[] = []
  let side = ''
  let first = true
  for (;;) {
    const char = host.pattern.charAt(host.at)
    if (char === '') throw host.error('Unclosed character class', host.pattern.length - 1)
    // Java takes a bracket at the very start for itself.
    if (char === ']' && !first) break
    if (host.pattern.startsWith('&&', host.at)) {
      host.at += 2
      sides.push(side)
      side = ''
      // Further ampersands say nothing more.
      while (host.pattern.charAt(host.at) === '&') host.at++
    } else side += classItem(host, char, flags)
    first = false
  }
  host.at++
  sides.push(side)
  // An empty side of && narrows nothing in Java.
  const full = sides.filter((text) => text !== '')
  const body = full.length > 1 ? full.map((text) => `[${text}]`).join('&&') : (full[0] ?? '')
  return `[${negated ? '^' : ''}${body}]`
}

function classItem(host: CharacterClassHost, char: string, flags: ClassFlags): string {
  if (char === '[') return translateClass(host, flags)
  if (flags.comments && /^\s$/.test(char)) {
    host.at++
    return ''
  }
  if (char === '\\') {
    if (host.pattern.startsWith('\\Q', host.at)) return quotation(host, flags)
    const set = host.escapedSet(flags)
    if (set !== null) return set
  }
  const from = character(host)
  const dash = host.pattern.charAt(host.at) === '-'
  const after = host.pattern.charAt(host.at + 1)
  if (!dash || after === ']' || after === '[' || after === '') {
    return equalLetters(from, flags).map(escapeLiteral).join('')
  }
  host.at++
  const to = character(host)
  if ((to.codePointAt(0) ?? 0) < (from.codePointAt(0) ?? 0)) {
    throw host.error('Illegal character range', host.at - 1)
  }
  return rangeOf(from, to, flags)
}

function character(host: CharacterClassHost): string {
  if (host.pattern.charAt(host.at) === '\\') return host.escapedCharacter()
  const point = String.fromCodePoint(host.pattern.codePointAt(host.at) ?? 0)
  host.at += point.length
  return point
}

function quotation(host: CharacterClassHost, flags: ClassFlags): string {
  const end = host.pattern.indexOf('\\E', host.at + 2)
  if (end < 0) throw host.error('Unclosed character class', host.pattern.length - 1)
  const quoted = host.pattern.slice(host.at + 2, end)
  host.at = end + 2
  return Array.from(quoted)
    .flatMap((point) => equalLetters(point, flags).map(escapeLiteral))
    .join('')
}
