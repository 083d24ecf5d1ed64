/** Sets of characters that Java's regular expressions name, as classes of JavaScript's `v` mode. */

/** Whose letters are equal: none, those of ASCII, or those of Unicode. */
export interface LetterCase {
  readonly ignoreCase: boolean
  readonly unicodeCase: boolean
}

const punctuation = '!-\\/:-@\\[-`\\{-~'
const horizontalSpace = ' \\t\\u00a0\\u1680\\u180e\\u2000-\\u200a\\u202f\\u205f\\u3000'
const verticalSpace = '\\n-\\r\\u0085\\u2028\\u2029'
const space = ' \\t-\\r'

const escaped: Readonly<Record<string, string>> = {
  d: '[0-9]',
  D: '[^0-9]',
  w: '[0-9A-Za-z_]',
  W: '[^0-9A-Za-z_]',
  s: `[${space}]`,
  S: `[^${space}]`,
  h: `[${horizontalSpace}]`,
  H: `[^${horizontalSpace}]`,
  v: `[${verticalSpace}]`,
  V: `[^${verticalSpace}]`,
}

const posix: Readonly<Record<string, string>> = {
  Lower: 'a-z',
  Upper: 'A-Z',
  ASCII: '\\u0000-\\u007f',
  Alpha: 'A-Za-z',
  Digit: '0-9',
  Alnum: '0-9A-Za-z',
  Punct: punctuation,
  Graph: '!-~',
  Print: ' -~',
  Blank: ' \\t',
  Cntrl: '\\u0000-\\u001f\\u007f',
  XDigit: '0-9A-Fa-f',
  Space: space,
  javaLowerCase: '\\p{Lowercase}',
  javaUpperCase: '\\p{Uppercase}',
  javaAlphabetic: '\\p{Alphabetic}',
  javaDigit: '\\p{Nd}',
  javaLetter: '\\p{L}',
  javaLetterOrDigit: '\\p{L}\\p{Nd}',
  javaTitleCase: '\\p{Lt}',
  L1: '\\u0000-\\u00ff',
  LC: '\\p{Lu}\\p{Ll}\\p{Lt}',
  LD: '\\p{L}\\p{Nd}',
  all: '\\u0000-\\u{10ffff}',
  IsDigit: '\\p{Nd}',
  IsPunctuation: '\\p{P}',
  IsControl: '\\p{Cc}',
  IsLetter: '\\p{L}',
  IsTitlecase: '\\p{Lt}',
}

/** Sets of one case, which without regard to case are sets of all letters that have one (Java 18 and later). */
const ofOneCase: Readonly<Record<string, string>> = {
  Lower: 'A-Za-z',
  Upper: 'A-Za-z',
  javaLowerCase: '\\p{Cased}',
  javaUpperCase: '\\p{Cased}',
  javaTitleCase: '\\p{Cased}',
  IsLowercase: '\\p{Cased}',
  IsUppercase: '\\p{Cased}',
  IsTitlecase: '\\p{Cased}',
  Lu: '\\p{Lu}\\p{Ll}\\p{Lt}',
  Ll: '\\p{Lu}\\p{Ll}\\p{Lt}',
  Lt: '\\p{Lu}\\p{Ll}\\p{Lt}',
  IsLu: '\\p{Lu}\\p{Ll}\\p{Lt}',
  IsLl: '\\p{Lu}\\p{Ll}\\p{Lt}',
  IsLt: '\\p{Lu}\\p{Ll}\\p{Lt}',
}

/** The class that `\d`, `\w`, `\h` and their like stand for, or null. */
export function escapedClass(letter: string): string | null {
  return Object.hasOwn(escaped, letter) ? (escaped[letter] ?? null) : null
}

/** The class that `\p{name}` stands for, or null when Java or JavaScript does not know it. */
export function propertyClass(name: string, { ignoreCase }: LetterCase): string | null {
  if (ignoreCase && Object.hasOwn(ofOneCase, name)) return `[${ofOneCase[name]}]`
  if (Object.hasOwn(posix, name)) return `[${posix[name]}]`
  const spelled = /^(?:(script|sc|general_category|gc)=)?(?:Is)?(\w+)$/.exec(name)
  if (spelled === null) return null
  const [, kind, value = ''] = spelled
  const candidates =
    kind === undefined
      ? [value, `Script=${value}`, capitalised(value), `Script=${capitalised(value)}`]
      : [kind.startsWith('s') ? `Script=${capitalised(value)}` : value]
  const known = candidates.find(isProperty)
  return known === undefined ? null : `[\\p{${known}}]`
}

function capitalised(name: string): string {
  return name.toLowerCase().replaceAll(/(?:^|_)[a-z]/g, (start) => start.toUpperCase())
}

function isProperty(name: string): boolean {
  try {
    new RegExp(`\\p{${name}}`, 'v')
    return true
  } catch {
    return false
  }
}

/** A character as itself, outside and inside a class. */
export function escapeLiteral(point: string): string {
  if (/^[0-9A-Za-z_]$/.test(point)) return point
  return /^[$()*+./?[\\\]^{|}]$/.test(point) ? `\\${point}` : `\\u{${(point.codePointAt(0) ?? 0).toString(16)}}`
}

/** The characters that are one with `point` under these rules, itself first. */
export function equalLetters(point: string, { ignoreCase, unicodeCase }: LetterCase): readonly string[] {
  if (!ignoreCase || (!unicodeCase && !/^[A-Za-z]$/.test(point))) return [point]
  const others = [point.toUpperCase(), point.toLowerCase(), point.toUpperCase().toLowerCase()]
  return [...new Set([point, ...others.filter((other) => Array.from(other).length === 1)])]
}

/** A class or character that matches `point` under these rules. */
export function anyOf(point: string, letterCase: LetterCase): string {
  const all = equalLetters(point, letterCase).map(escapeLiteral)
  return all.length === 1 ? (all[0] ?? '') : `[${all.join('')}]`
}

/** A range of a class under these rules; `from` is not above `to`. */
export function rangeOf(from: string, to: string, letterCase: LetterCase): string {
  const plain = `${escapeLiteral(from)}-${escapeLiteral(to)}`
  if (!letterCase.ignoreCase) return plain
  // Unicode's foldings have no bounds worth listing: the engine knows them.
  if (letterCase.unicodeCase) return `${plain}${foldedRange(from, to, 0x10_ff_ff)}`
  return `${plain}${foldedRange(from, to, 0x7f)}`
}

function foldedRange(from: string, to: string, limit: number): string {
  const first = from.codePointAt(0) ?? 0
  const last = Math.min(to.codePointAt(0) ?? 0, limit)
  let folded = ''
  for (let code = first; code <= last; code++) {
    const point = String.fromCodePoint(code)
    const unicode = limit > 0x7f
    for (const other of equalLetters(point, { ignoreCase: true, unicodeCase: unicode }).slice(1)) {
      folded += escapeLiteral(other)
    }
  }
  return folded
}
