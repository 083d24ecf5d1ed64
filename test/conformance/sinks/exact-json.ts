/** JSON of the recorded sink cases: integers beyond 2^53 stay exact, members that were read keep the digits as written. */

export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject
export type JsonObject = { readonly [name: string]: Json }

// ECMAScript's JSON.rawJSON; the library types of TypeScript do not have it yet.
const rawJson = (JSON as unknown as { readonly rawJSON: (text: string) => unknown }).rawJSON

interface NumberContext {
  readonly source?: string
}

/** Reads JSON; integers beyond 2^53 become `bigint`. */
export function readJson(text: string): Json {
  return JSON.parse(text, (_key: string, value: Json, context?: NumberContext) => {
    const source = context?.source
    const isRounded = typeof value === 'number' && source !== undefined && !Number.isSafeInteger(value)
    return isRounded && /^-?\d+$/.test(source) ? BigInt(source) : value
  }) as Json
}

/** Compact JSON of a value that was read; `bigint`s as digits. */
export function writeJson(value: Json): string {
  return JSON.stringify(value, (_key: string, item: Json) => {
    return typeof item === 'bigint' ? rawJson(item.toString()) : item
  })
}

/** Compact JSON of every member of an object, with the digits of its numbers as they stand in the text. */
export function memberTexts(text: string): ReadonlyMap<string, string> {
  const root = JSON.parse(text, (_key: string, value: unknown, context?: NumberContext) => {
    return typeof value === 'number' && context?.source !== undefined ? rawJson(context.source) : value
  }) as Readonly<Record<string, unknown>>
  return new Map(Object.entries(root).map(([name, value]) => [name, JSON.stringify(value)]))
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Where in a tree: member names and indices. */
export type JsonPath = readonly (string | number)[]

/** One place where an outcome is not as expected; a missing side means that the member or element is not there. */
export interface Difference {
  readonly path: JsonPath
  readonly expected?: Json
  readonly actual?: Json
}

/** All differences; order of members is free, numbers are compared by value, lists of different length as a whole. */
export function differences(expected: Json, actual: Json, path: JsonPath = []): readonly Difference[] {
  if (isJsonObject(expected) && isJsonObject(actual)) {
    const names = [...new Set([...Object.keys(expected), ...Object.keys(actual)])].sort()
    return names.flatMap((name) => {
      const [e, a] = [expected[name], actual[name]]
      if (e === undefined) return [{ path: [...path, name], ...(a !== undefined && { actual: a }) }]
      return a === undefined ? [{ path: [...path, name], expected: e }] : differences(e, a, [...path, name])
    })
  }
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length) {
    return expected.flatMap((item, i) => differences(item, actual[i] as Json, [...path, i]))
  }
  return isSame(expected, actual) ? [] : [{ path, expected, actual }]
}

function isSame(a: Json, b: Json): boolean {
  if (typeof a === 'bigint' && typeof b === 'number') return Number.isInteger(b) && BigInt(b) === a
  if (typeof a === 'number' && typeof b === 'bigint') return isSame(b, a)
  return a === b || (Array.isArray(a) && Array.isArray(b) && a.length === 0 && b.length === 0)
}

/**
 * Whether two lines of an object hold equal JSON that is written in another way: with its members in another order, which
 * readers of JSON do not see, or with other escapes.
 */
export function isOrderOfMembers({ path, expected, actual }: Difference): boolean {
  if (path.at(-2) !== 'lines' || typeof expected !== 'string' || typeof actual !== 'string') return false
  if (expected.endsWith('\n') !== actual.endsWith('\n')) return false
  try {
    return differences(readJson(expected), readJson(actual)).length === 0
  } catch (error) {
    if (error instanceof SyntaxError) return false
    throw error
  }
}

/** One line for people. */
export function describeDifference({ path, expected, actual }: Difference): string {
  const show = (value: Json | undefined): string => {
    const text = value === undefined ? 'nothing' : writeJson(value)
    return text.length <= 300 ? text : `${text.slice(0, 300)}…`
  }
  return `${path.join('.')}: expected ${show(expected)}, actual ${show(actual)}`
}

/** A tree with the value at `path` set, or taken away when `value` is undefined. */
export function withChange(tree: Json, path: JsonPath, value: Json | undefined): Json {
  const [head, ...rest] = path
  if (head === undefined) return value ?? null
  if (Array.isArray(tree)) {
    return (tree as readonly Json[]).map((item, i) => (i === head ? withChange(item, rest, value) : item))
  }
  const object = isJsonObject(tree) ? tree : {}
  if (rest.length > 0) return { ...object, [head]: withChange(object[head] ?? {}, rest, value) }
  if (value !== undefined) return { ...object, [head]: value }
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== head))
}
