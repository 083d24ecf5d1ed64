import { JavaRegex } from '../../worker/api/java-regex.ts'

/** Items of a list option: split at commas (`\\,` is a comma), trimmed, without empty ones. */
export function splitList(text: string): readonly string[] {
  return text
    .split(/(?<!\\),/)
    .map((item) => item.replaceAll('\\,', ',').trim())
    .filter((item) => item.length > 0)
}

/** What is wrong with one pattern, or null. */
export function patternProblem(pattern: string): string | null {
  try {
    new JavaRegex(pattern)
    return null
  } catch (error) {
    return `'${pattern}' is not a regular expression: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** The first problem of a list of patterns, or null. */
export function listProblem(text: string): string | null {
  for (const item of splitList(text)) {
    const problem = patternProblem(item)
    if (problem !== null) return problem
  }
  return null
}

/** Identifiers that a list of case-insensitive patterns names. */
export class PatternList {
  readonly #patterns: readonly JavaRegex[]

  /** @throws SyntaxError for an item that is no pattern */
  constructor(text: string) {
    this.#patterns = splitList(text).map((item) => new JavaRegex(item, { ignoreCase: true }))
  }

  /** Index of the first pattern that matches the whole of `identifier`, or −1. */
  indexOf(identifier: string): number {
    return this.#patterns.findIndex((pattern) => pattern.matches(identifier))
  }

  matches(identifier: string): boolean {
    return this.indexOf(identifier) >= 0
  }
}
