/** Java regular expressions as far as connector options use them, and the lists made of them. */

const posixClasses: Readonly<Record<string, string>> = {
  Alpha: 'A-Za-z',
  Digit: '0-9',
  Alnum: 'A-Za-z0-9',
  Upper: 'A-Z',
  Lower: 'a-z',
  Punct: '!-\\/:-@\\[-`{-~',
  Space: '\\s',
  XDigit: '0-9A-Fa-f',
}

/**
 * Translates the source of a Java pattern: quoting with `\Q…\E`, POSIX classes, `\A`, `\z`, `\Z`, `\h`, possessive
 * quantifiers (taken as greedy ones, which match no less), inline `(?i)` at the start.
 */
function translate(pattern: string): { readonly source: string; readonly ignoreCase: boolean } {
  let source = ''
  let ignoreCase = false
  let inClass = false
  let i = 0
  const inline = /^\(\?([a-z]+)\)/.exec(pattern)
  if (inline !== null) {
    ignoreCase = inline[1]?.includes('i') ?? false
    i = inline[0].length
  }
  while (i < pattern.length) {
    const char = pattern.charAt(i)
    if (char === '\\') {
      const next = pattern.charAt(i + 1)
      if (next === 'Q') {
        const end = pattern.indexOf('\\E', i + 2)
        const quoted = pattern.slice(i + 2, end < 0 ? pattern.length : end)
        source += quoted.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
        i = end < 0 ? pattern.length : end + 2
        continue
      }
      const posix = /^\\([pP])\{(\w+)\}/.exec(pattern.slice(i))
      const members = posix === null ? undefined : posixClasses[posix[2] as string]
      if (posix !== null && members !== undefined) {
        const negated = posix[1] === 'P' ? '^' : ''
        source += inClass && negated === '' ? members : `[${negated}${members}]`
        i += posix[0].length
        continue
      }
      if (next === 'A') source += '^'
      else if (next === 'z' || next === 'Z') source += '$'
      else if (next === 'h') source += inClass ? ' \\t' : '[ \\t]'
      else source += char + next
      i += 2
      continue
    }
    if (char === '[') inClass = true
    else if (char === ']') inClass = false
    if (char === '+' && !inClass && /[*+?}]$/.test(source) && !/\\[*+?}]$/.test(source)) {
      i += 1
      continue
    }
    source += char
    i += 1
  }
  return { source, ignoreCase }
}

/** A pattern that must match a whole identifier. @throws SyntaxError when the pattern is not one */
export function wholeMatch(pattern: string, options: { readonly ignoreCase: boolean }): RegExp {
  const { source, ignoreCase } = translate(pattern)
  return new RegExp(`^(?:${source})$`, ignoreCase || options.ignoreCase ? 'i' : '')
}

/**
 * Replaces in texts that match as a whole, as Java's `matches()` and `replaceFirst()`; others stay.
 * @throws SyntaxError when the pattern is not one
 */
export function wholeReplacer(pattern: string, replacement: string): (text: string) => string {
  const { source, ignoreCase } = translate(pattern)
  const whole = wholeMatch(pattern, { ignoreCase })
  const first = new RegExp(source, ignoreCase ? 'i' : '')
  // Java writes groups as $1 and ${name}, and \$ for the character.
  const target = replacement.replace(/\\(.)|\$\{(\w+)\}/g, (_, escaped: string | undefined, name: string) =>
    escaped === undefined ? `$<${name}>` : escaped === '$' ? '$$' : escaped,
  )
  return (text) => (whole.test(text) ? text.replace(first, target) : text)
}

/** Items of a list option: split at commas (`\,` is a comma), trimmed, without empty ones. */
export function splitList(text: string): readonly string[] {
  return text
    .split(/(?<!\\),/)
    .map((item) => item.replaceAll('\\,', ',').trim())
    .filter((item) => item.length > 0)
}

/** The first problem of a list of patterns, or null. */
export function listProblem(text: string): string | null {
  for (const item of splitList(text)) {
    try {
      wholeMatch(item, { ignoreCase: true })
    } catch (error) {
      return `'${item}' is not a regular expression: ${error instanceof Error ? error.message : String(error)}`
    }
  }
  return null
}

/** Identifiers that a list of case-insensitive patterns names. */
export class PatternList {
  readonly patterns: readonly RegExp[]

  constructor(text: string) {
    this.patterns = splitList(text).map((item) => wholeMatch(item, { ignoreCase: true }))
  }

  /** Index of the first pattern that matches the whole of `identifier`, or −1. */
  indexOf(identifier: string): number {
    return this.patterns.findIndex((pattern) => pattern.test(identifier))
  }

  matches(identifier: string): boolean {
    return this.indexOf(identifier) >= 0
  }
}
