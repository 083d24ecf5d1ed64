import type { Value } from '../../worker/api/data.ts'
import { parseJson } from '../../worker/api/json.ts'

/**
 * Positions in the text of a `PlainJson`, of which is known that it can be parsed and has neither blanks nor escapes:
 * what is looked for needs no checks on the way.
 */

/** Above this a native search finds the end of a string sooner than a loop. */
const shortString = 32
/** Integers of so many digits are numbers, whatever they are. */
const safeDigits = 15

const quote = 0x22
const brace = { open: 0x7b, close: 0x7d } as const
const bracket = { open: 0x5b, close: 0x5d } as const

/** Behind the string that begins at `start`: without escapes, the next quote is its end. */
export function skipString(bytes: Buffer, start: number): number {
  const limit = start + shortString
  for (let at = start + 1; at < limit; at++) if (bytes[at] === quote) return at + 1
  return bytes.indexOf(quote, limit) + 1
}

/** Behind the text, number or word that begins at `start`, a member of an object. */
export function skipScalar(bytes: Buffer, start: number): number {
  if (bytes[start] === quote) return skipString(bytes, start)
  let at = start
  while (bytes[at] !== 0x2c && bytes[at] !== brace.close) at++
  return at
}

/** Behind the object or array that begins at `start`. */
export function skipNested(bytes: Buffer, start: number): number {
  let depth = 0
  for (let at = start; ; ) {
    const byte = bytes[at]
    if (byte === quote) {
      at = skipString(bytes, at)
      continue
    }
    at++
    if (byte === brace.open || byte === bracket.open) depth++
    else if ((byte === brace.close || byte === bracket.close) && --depth === 0) return at
  }
}

/**
 * The text, number, boolean or null that a path of names (in UTF-8) leads to, as it would be after reading all of the
 * object; a null on the way gives null.
 * @returns undefined when there is none, or something else, which is for the ordinary way to tell
 */
export function plainMember(bytes: Buffer, path: readonly Buffer[]): Value | undefined {
  let start = 0
  for (const name of path) {
    if (bytes[start] !== brace.open) return bytes[start] === 0x6e ? null : undefined
    start = valueOf(bytes, start, name)
    if (start < 0) return undefined
  }
  return scalarAt(bytes, start)
}

/** Where the value of a member begins, of the last one of that name; -1 when there is none. */
function valueOf(bytes: Buffer, objectStart: number, name: Buffer): number {
  let found = -1
  for (let at = objectStart; bytes[at] !== brace.close; ) {
    const nameStart = at + 2
    if (bytes[nameStart - 1] !== quote) return found
    const nameEnd = skipString(bytes, nameStart - 1) - 1
    const value = nameEnd + 2
    if (nameEnd - nameStart === name.length && isAt(bytes, nameStart, name)) found = value
    const first = bytes[value]
    at = first === brace.open || first === bracket.open ? skipNested(bytes, value) : skipScalar(bytes, value)
  }
  return found
}

function isAt(bytes: Buffer, start: number, name: Buffer): boolean {
  for (let i = 0; i < name.length; i++) if (bytes[start + i] !== name[i]) return false
  return true
}

function scalarAt(bytes: Buffer, start: number): Value | undefined {
  switch (bytes[start]) {
    case brace.open:
    case bracket.open:
      return undefined
    case quote:
      return bytes.toString('utf8', start + 1, skipString(bytes, start) - 1)
    case 0x74:
      return true
    case 0x66:
      return false
    case 0x6e:
      return null
    default: {
      const text = bytes.toString('latin1', start, skipScalar(bytes, start))
      return text.length <= safeDigits && !text.includes('.') ? Number(text) : parseJson(text)
    }
  }
}
