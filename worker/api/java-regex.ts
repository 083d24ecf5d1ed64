import { type CharacterClassHost, translateClass } from './java-regex-class.ts'
import { anyOf, escapedClass, type LetterCase, propertyClass } from './java-regex-sets.ts'

/** How Java compiles a pattern beside its own inline flags. */
export interface JavaRegexOptions {
  /** `Pattern.CASE_INSENSITIVE`: letters of ASCII only, as in Java. */
  readonly ignoreCase?: boolean
}

/** A match with Java's numbering of groups; 0 is the whole match, null a group that took no part. */
export interface JavaMatch {
  readonly index: number
  readonly text: string
  readonly groups: readonly (string | null)[]
  readonly named: ReadonlyMap<string, number>
}

/**
 * A regular expression of Java, run by JavaScript's engine with Java's meaning: `\Q…\E`, inline flags, POSIX and
 * nested classes with `&&`, possessive quantifiers and atomic groups, `\A \z \Z \h \R`, line terminators, ASCII for
 * `\d \w \s` and for letters without regard to case. What cannot be had (`\G`, `\X`, `\N{…}`, blocks as `\p{InGreek}`)
 * is an error, never another meaning. Two differences stay: a back reference to a group that took no part matches the
 * empty text, where Java fails; and a repetition ends before a round that would match nothing, where Java keeps it.
 */
export class JavaRegex {
  /** For what takes a `RegExp`: matches the text as a whole. Its group numbers are not Java's. */
  readonly whole: RegExp
  readonly #find: RegExp
  readonly #groups: readonly number[]
  readonly #named: ReadonlyMap<string, number>

  /** @throws SyntaxError with Java's description, position and pattern */
  constructor(pattern: string, options: JavaRegexOptions = {}) {
    const { source, groups, named } = new Translator(pattern, options.ignoreCase ?? false).translate()
    try {
      this.whole = new RegExp(`^(?:${source})$`, 'v')
      this.#find = new RegExp(source, 'v')
    } catch (error) {
      throw new SyntaxError(error instanceof Error ? error.message : String(error), { cause: error })
    }
    this.#groups = groups
    this.#named = named
  }

  /** `Matcher.matches()`. */
  matches(text: string): boolean {
    return this.whole.test(text)
  }

  /** `Matcher.matches()`, with its groups. */
  match(text: string): JavaMatch | null {
    return this.#match(this.whole.exec(text))
  }

  /** The first `Matcher.find()`. */
  find(text: string): JavaMatch | null {
    return this.#match(this.#find.exec(text))
  }

  /**
   * `matches() ? replaceFirst(replacement) : null`, which is how transforms and topic routers rename. The first match
   * may be shorter than the whole (`a|ab`).
   * @throws RangeError see `expandReplacement`
   */
  replaceWhenWhole(text: string, replacement: string): string | null {
    const match = this.matches(text) ? this.find(text) : null
    if (match === null) return null
    return (
      text.slice(0, match.index) + expandReplacement(replacement, match) + text.slice(match.index + match.text.length)
    )
  }

  #match(match: RegExpExecArray | null): JavaMatch | null {
    if (match === null) return null
    const groups = this.#groups.map((group) => match[group] ?? null)
    return { index: match.index, text: match[0], groups, named: this.#named }
  }
}

/**
 * Java's replacement text (`$1`, `${name}`, `\$`) filled from a match.
 * @throws RangeError in Java's words for a group that is not there
 */
export function expandReplacement(replacement: string, match: JavaMatch): string {
  let text = ''
  for (let i = 0; i < replacement.length; i++) {
    const char = replacement.charAt(i)
    if (char === '\\') {
      if (++i >= replacement.length) throw new RangeError('character to be escaped is missing')
      text += replacement.charAt(i)
    } else if (char !== '$') text += char
    else {
      const [group, length] = readGroup(replacement.slice(i + 1), match)
      text += group
      i += length
    }
  }
  return text
}

function readGroup(rest: string, { groups, named }: JavaMatch): readonly [string, number] {
  const name = /^\{([A-Za-z][A-Za-z0-9]*)\}/.exec(rest)
  if (name !== null) {
    const group = named.get(name[1] as string)
    if (group === undefined) throw new RangeError(`No group with name {${name[1]}}`)
    return [groups[group] ?? '', name[0].length]
  }
  if (!/^\d/.test(rest)) throw new RangeError('Illegal group reference')
  // As in Java, further digits belong to the number while such a group exists.
  let length = 1
  while (/^\d$/.test(rest.charAt(length)) && Number(rest.slice(0, length + 1)) < groups.length) length++
  const group = Number(rest.slice(0, length))
  if (group >= groups.length) throw new RangeError(`No group ${group}`)
  return [groups[group] ?? '', length]
}

interface Flags extends LetterCase {
  readonly dotAll: boolean
  readonly multiline: boolean
  readonly unixLines: boolean
  readonly comments: boolean
}

/** Text, the start of a group that captures (`java` null: a helper of ours), or a reference to one. */
type Piece =
  | string
  | { readonly kind: 'open'; readonly java: number | null; readonly id: number }
  | { readonly kind: 'reference'; readonly id: number }

const flagNames: Readonly<Record<string, keyof Flags | 'unicodeClasses'>> = {
  i: 'ignoreCase',
  u: 'unicodeCase',
  s: 'dotAll',
  m: 'multiline',
  d: 'unixLines',
  x: 'comments',
  U: 'unicodeClasses',
}
const lineEnd = '\\n\\r\\u0085\\u2028\\u2029'

interface Translation {
  readonly source: string
  /** Java's group number → number in `source`. */
  readonly groups: readonly number[]
  readonly named: ReadonlyMap<string, number>
}

/** One pass over the pattern; pieces get their group numbers at the end, since helpers come in between. */
class Translator implements CharacterClassHost {
  readonly pattern: string
  at = 0
  readonly #ignoreCase: boolean
  readonly #pieces: Piece[] = []
  readonly #named = new Map<string, number>()
  #javaGroups = 0
  #ids = 0
  /** Id of the group with Java's number n. */
  readonly #idOfGroup: number[] = []

  constructor(pattern: string, ignoreCase: boolean) {
    this.pattern = pattern
    this.#ignoreCase = ignoreCase
  }

  translate(): Translation {
    const flags = {
      ignoreCase: this.#ignoreCase,
      unicodeCase: false,
      dotAll: false,
      multiline: false,
      unixLines: false,
      comments: false,
    }
    this.#sequence(flags)
    if (this.at < this.pattern.length) throw this.error("Unmatched closing ')'", this.at - 1)
    const numbers = new Map<number, number>()
    const groups = [0]
    let count = 0
    for (const piece of this.#pieces) {
      if (typeof piece === 'string' || piece.kind !== 'open') continue
      numbers.set(piece.id, ++count)
      if (piece.java !== null) groups[piece.java] = count
    }
    const source = this.#pieces
      .map((piece) => {
        if (typeof piece === 'string') return piece
        return piece.kind === 'open' ? '(' : `(?:\\${numbers.get(piece.id)})`
      })
      .join('')
    return { source, groups, named: this.#named }
  }

  /** @param index of the fault; Java shows a caret where it lies within the pattern */
  error(description: string, index: number): SyntaxError {
    const near = index < 0 ? '' : ` near index ${index}`
    const caret = index >= 0 && index < this.pattern.length ? `\n${' '.repeat(index)}^` : ''
    return new SyntaxError(`${description}${near}\n${this.pattern}${caret}`)
  }

  /** Alternatives up to the end or to the closing parenthesis of this group; flags set within end with it. */
  #sequence(outer: Flags): void {
    let flags = outer
    while (this.at < this.pattern.length && this.pattern.charAt(this.at) !== ')') {
      const start = this.#pieces.length
      const char = this.pattern.charAt(this.at)
      if (char === '|') {
        this.at++
        this.#pieces.push('|')
        continue
      }
      if (flags.comments && this.#skippedComment()) continue
      const inline = char === '(' ? this.#inlineFlags(flags) : null
      if (inline !== null && inline.closed) {
        flags = inline.flags
        continue
      }
      if (inline !== null) this.#group('(?:', inline.flags)
      else if (!this.#atom(char, flags)) continue
      this.#quantifier(start)
    }
  }

  #skippedComment(): boolean {
    const skipped = /^(?:\s+|#[^\n\r\u0085\u2028\u2029]*)/.exec(this.pattern.slice(this.at))
    this.at += skipped?.[0].length ?? 0
    return skipped !== null
  }

  /** @returns whether something was written */
  #atom(char: string, flags: Flags): boolean {
    switch (char) {
      case '(':
        this.#openGroup(flags)
        return true
      case '[':
        this.#pieces.push(translateClass(this, flags))
        return true
      case '\\':
        return this.#escape(flags)
      case '.':
        return this.#write(flags.dotAll ? '[^]' : flags.unixLines ? '[^\\n]' : `[^${lineEnd}]`)
      case '^':
        return this.#write(flags.multiline ? '(?:(?<=^|[\\n\\u0085\\u2028\\u2029]|\\r(?!\\n))(?=[^]))' : '^')
      case '$':
        return this.#write(flags.multiline ? lineEnds(flags.unixLines, true) : lineEnds(flags.unixLines, false))
      case '*':
      case '+':
      case '?':
        throw this.error(`Dangling meta character '${char}'`, this.at)
      case '{':
        throw this.error('Illegal repetition', this.at + 1)
      default: {
        const point = String.fromCodePoint(this.pattern.codePointAt(this.at) ?? 0)
        return this.#write(anyOf(point, flags), point.length)
      }
    }
  }

  #write(source: string, length = 1): boolean {
    this.at += length
    this.#pieces.push(source)
    return true
  }

  #inlineFlags(flags: Flags): { readonly flags: Flags; readonly closed: boolean } | null {
    const found = /^\(\?([a-zA-Z]*)(?:-([a-zA-Z]*))?([:)])/.exec(this.pattern.slice(this.at))
    if (found === null || (found[3] === ':' && found[1] === '' && found[2] === undefined)) return null
    const set: Record<string, boolean> = {}
    for (const [letters, value] of [[found[1] ?? '', true] as const, [found[2] ?? '', false] as const]) {
      for (const letter of letters) {
        const name = flagNames[letter]
        if (name === undefined) throw this.error('Unknown inline modifier', this.at + 2)
        if (name === 'unicodeClasses') throw this.error('The flag U (Unicode classes) is not supported', this.at + 2)
        set[name] = value
      }
    }
    this.at += found[0].length
    return { flags: { ...flags, ...set }, closed: found[3] === ')' }
  }

  #openGroup(flags: Flags): void {
    const head = /^\((?:\?(?:<([A-Za-z][A-Za-z0-9]*)>|:|>|<?[=!]))?/.exec(this.pattern.slice(this.at))?.[0] ?? '('
    if (head === '(' && this.pattern.charAt(this.at + 1) === '?')
      throw this.error('Unknown inline modifier', this.at + 2)
    this.at += head.length
    if (head === '(?>') {
      const start = this.#pieces.length
      this.#group('(?:', flags)
      this.#makeAtomic(start)
    } else if (head === '(' || head.endsWith('>')) {
      const number = ++this.#javaGroups
      const id = ++this.#ids
      const name = head === '(' ? null : head.slice(3, -1)
      if (name !== null) {
        if (this.#named.has(name)) throw this.error(`Named capturing group <${name}> is already defined`, this.at - 1)
        this.#named.set(name, number)
      }
      this.#idOfGroup[number] = id
      this.#group({ kind: 'open', java: number, id }, flags)
    } else if (head === '(?:') this.#group(head, flags)
    else {
      // An assertion may carry a quantifier in Java, not in JavaScript.
      this.#pieces.push('(?:')
      this.#group(head, flags)
      this.#pieces.push(')')
    }
  }

  #group(open: Piece, flags: Flags): void {
    this.#pieces.push(open)
    this.#sequence(flags)
    if (this.at >= this.pattern.length) throw this.error('Unclosed group', this.pattern.length)
    this.at++
    this.#pieces.push(')')
  }

  /** What stands from `start` on is matched once and never given back: a lookahead that captures, then that text. */
  #makeAtomic(start: number): void {
    const id = ++this.#ids
    this.#pieces.splice(start, 0, '(?:(?=', { kind: 'open', java: null, id })
    this.#pieces.push('))', { kind: 'reference', id }, ')')
  }

  #quantifier(start: number): void {
    const rest = this.pattern.slice(this.at)
    const found = /^(?:[*+?]|\{(\d+)(?:,(\d*))?\})/.exec(rest)
    if (found === null) {
      if (/^\{\d/.test(rest)) throw this.error('Unclosed counted closure', this.pattern.length)
      return
    }
    const [, least, most] = found
    if (most !== undefined && most !== '' && Number(most) < Number(least)) {
      throw this.error('Illegal repetition range', this.at + found[0].length - 1)
    }
    this.#pieces.splice(start, 0, '(?:')
    this.#pieces.push(')', found[0])
    this.at += found[0].length
    const mode = this.pattern.charAt(this.at)
    if (mode === '?') this.#pieces.push('?')
    if (mode === '+') this.#makeAtomic(start)
    if (mode === '?' || mode === '+') this.at++
  }

  /** @returns false for a quotation of nothing */
  #escape(flags: Flags): boolean {
    const next = this.pattern.charAt(this.at + 1)
    if (next === '') throw this.error('Unescaped trailing backslash', this.at + 1)
    if (next === 'Q') return this.#quotation(flags)
    if (/[1-9]/.test(next)) return this.#reference(this.#referenceNumber(), flags)
    if (next === 'k') {
      const name = /^<([A-Za-z][A-Za-z0-9]*)>/.exec(this.pattern.slice(this.at + 2))
      if (name === null) throw this.error("\\k is not followed by '<' for named capturing group", this.at + 2)
      const number = this.#named.get(name[1] as string)
      if (number === undefined)
        throw this.error(`named capturing group <${name[1]}> does not exist`, this.at + 1 + name[0].length)
      this.at += 2 + name[0].length
      return this.#reference(number, flags)
    }
    const boundary = boundaries[next]
    if (boundary !== undefined) return this.#write(boundary, 2)
    const set = this.escapedSet(flags)
    if (set !== null) return this.#write(set, 0)
    return this.#write(anyOf(this.escapedCharacter(), flags), 0)
  }

  #quotation(flags: Flags): boolean {
    const end = this.pattern.indexOf('\\E', this.at + 2)
    const quoted = this.pattern.slice(this.at + 2, end < 0 ? this.pattern.length : end)
    this.at = end < 0 ? this.pattern.length : end + 2
    // A quantifier after the quotation belongs to its last character.
    const points = Array.from(quoted)
    const last = points.pop()
    if (last === undefined) return false
    this.#pieces.push(...points.map((point) => anyOf(point, flags)))
    const start = this.#pieces.length
    this.#pieces.push(anyOf(last, flags))
    this.#quantifier(start)
    return false
  }

  /** As in Java, further digits belong to the number while such a group exists. */
  #referenceNumber(): number {
    let end = this.at + 2
    while (
      /^\d$/.test(this.pattern.charAt(end)) &&
      Number(this.pattern.slice(this.at + 1, end + 1)) <= this.#javaGroups
    )
      end++
    const number = Number(this.pattern.slice(this.at + 1, end))
    this.at = end
    return number
  }

  #reference(number: number, flags: Flags): boolean {
    const id = this.#idOfGroup[number]
    // Java knows no group yet at this place: what refers to it cannot match.
    if (id === undefined) return this.#write('[]', 0)
    const reference = { kind: 'reference', id } as const
    if (flags.ignoreCase) this.#pieces.push('(?i:', reference, ')')
    else this.#pieces.push(reference)
    return true
  }

  /** A predefined class or property at the backslash, as a class of JavaScript; null leaves the position. */
  escapedSet(letterCase: LetterCase): string | null {
    const set = escapedClass(this.pattern.charAt(this.at + 1))
    if (set !== null) {
      this.at += 2
      return set
    }
    const property = /^\\([pP])(?:\{([^}]*)\}|([A-Za-z]))/.exec(this.pattern.slice(this.at))
    if (property === null) return null
    const name = property[2] ?? property[3] ?? ''
    const source = propertyClass(name, letterCase)
    if (source === null) throw this.error(`Unknown character property name {${name}}`, this.at + property[0].length - 1)
    this.at += property[0].length
    return property[1] === 'P' ? `[^${source}]` : source
  }

  /** The character that an escape stands for. */
  escapedCharacter(): string {
    const rest = this.pattern.slice(this.at + 1)
    const coded = /^(?:x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|0([0-3]?[0-7]{1,2})|c([^]))/.exec(rest)
    if (coded !== null) {
      this.at += 1 + coded[0].length
      const [, long, short, unit, octal, control] = coded
      if (control !== undefined) return String.fromCodePoint((control.codePointAt(0) ?? 0) ^ 64)
      const value = octal === undefined ? Number.parseInt(long ?? short ?? unit ?? '', 16) : Number.parseInt(octal, 8)
      return this.#codePoint(value)
    }
    const point = String.fromCodePoint(rest.codePointAt(0) ?? 0)
    const control = controls[point]
    if (control === undefined && /^[0-9A-Za-z]$/.test(point)) {
      throw this.error('Illegal/unsupported escape sequence', this.at + 1)
    }
    this.at += 1 + point.length
    return control ?? point
  }

  #codePoint(value: number): string {
    if (value > 0x10_ff_ff) throw this.error('Hexadecimal codepoint is too big', this.at - 1)
    // Java reads the two halves of a surrogate pair as one character.
    const low = /^\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})/.exec(this.pattern.slice(this.at))
    if (value >= 0xd8_00 && value <= 0xdb_ff && low !== null) {
      this.at += low[0].length
      return String.fromCharCode(value, Number.parseInt(low[1] as string, 16))
    }
    return String.fromCodePoint(value)
  }
}

const controls: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f', a: '\x07', e: '\x1b' }

const boundaries: Readonly<Record<string, string>> = {
  A: '^',
  z: '$',
  Z: lineEnds(false, false),
  b: '(?:\\b)',
  B: '(?:\\B)',
  R: `(?:\\r\\n|[\\n-\\r\\u0085\\u2028\\u2029])`,
}

/** `$`: before the last line terminator or the end; before any when `all`. */
function lineEnds(unix: boolean, all: boolean): string {
  const end = all ? '' : '$'
  if (unix) return `(?:$|(?=\\n${end}))`
  return `(?:$|(?=\\r\\n${end}|[\\r\\u0085\\u2028\\u2029]${end})|(?<!\\r)(?=\\n${end}))`
}
