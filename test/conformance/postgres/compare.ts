/** Comparison of normalised records: numbers of tokens act as variables, equal stays equal and smaller stays smaller. */
import { type Json, masked, type NormalRecord, stringify, tokenPattern } from './normalise.ts'

export interface Comparison {
  readonly equal: number
  readonly total: number
  /** One line per difference. */
  readonly differences: readonly string[]
}

interface TokenPair {
  readonly path: string
  readonly kind: string
  readonly expected: number
  readonly actual: number
}

type Differences = (readonly [path: string, expected: string, actual: string])[]

const show = (value: Json | undefined): string => {
  if (value === undefined) return '<missing>'
  const text = stringify(value)
  return text.length <= 300 ? text : `${text.slice(0, 300)}… (${text.length} chars)`
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const tokensOf = (text: string): readonly (readonly [string, number])[] =>
  Array.from(text.matchAll(tokenPattern), (match) => [match[1] as string, Number(match[2])])

class Differ {
  readonly differences: Differences = []
  readonly tokens: TokenPair[] = []
  readonly #unordered: ReadonlySet<string>

  constructor(unordered: ReadonlySet<string>) {
    this.#unordered = unordered
  }

  compare(expected: Json, actual: Json, path: string): void {
    if (Array.isArray(expected) && Array.isArray(actual)) this.#arrays(expected, actual, path)
    else if (isObject(expected) && isObject(actual)) this.#objects(expected, actual, path)
    else if (typeof expected === 'string' && typeof actual === 'string') this.#texts(expected, actual, path)
    else if (!equalScalars(expected, actual)) this.differences.push([path, show(expected), show(actual)])
  }

  #arrays(expected: readonly Json[], actual: readonly Json[], path: string): void {
    if (expected.length !== actual.length) {
      this.differences.push([`${path} (length)`, String(expected.length), String(actual.length)])
    }
    for (let i = 0; i < Math.max(expected.length, actual.length); i++) {
      const e = expected[i]
      const a = actual[i]
      const field = e !== undefined && isObject(e) && typeof e['field'] === 'string' ? e['field'] : i
      if (e === undefined || a === undefined) this.differences.push([`${path}[${field}]`, show(e), show(a)])
      else this.compare(e, a, `${path}[${field}]`)
    }
  }

  #objects(expected: { readonly [key: string]: Json }, actual: { readonly [key: string]: Json }, path: string): void {
    const names = [...new Set([...Object.keys(expected), ...Object.keys(actual)])]
    for (const name of names) {
      const e = expected[name]
      const a = actual[name]
      if (e === undefined || a === undefined) this.differences.push([`${path}.${name}`, show(e), show(a)])
      else this.compare(e, a, `${path}.${name}`)
    }
    const order = Object.keys(expected).join(',')
    const sameSet = names.length === Object.keys(expected).length && names.length === Object.keys(actual).length
    if (sameSet && order !== Object.keys(actual).join(',') && !this.#unordered.has(path.split('.').at(-1) ?? '')) {
      this.differences.push([`${path} (field order)`, order, Object.keys(actual).join(',')])
    }
  }

  #texts(expected: string, actual: string, path: string): void {
    const e = tokensOf(expected)
    const a = tokensOf(actual)
    const mask = (text: string) => text.replace(tokenPattern, '$1#')
    if (e.length > 0 && mask(expected) === mask(actual)) {
      for (const [i, [kind, number]] of e.entries()) {
        this.tokens.push({ path, kind, expected: number, actual: a[i]?.[1] ?? 0 })
      }
    } else if (expected !== actual) this.differences.push([path, show(expected), show(actual)])
  }
}

function equalScalars(a: Json, b: Json): boolean {
  if (typeof a === 'bigint' || typeof b === 'bigint') {
    if (typeof a === 'bigint' && typeof b === 'bigint') return a === b
    // A number that is no safe integer may be a rounded int64; as a double it equals only its own value.
    const [big, other] = typeof a === 'bigint' ? [a, b] : [b as bigint, a]
    return typeof other === 'number' && Number.isInteger(other) && BigInt(other) === big
  }
  return a === b
}

/** Aligns two lists by equal masked text (longest common subsequence); what lies between pairs up in order. */
function align(expected: readonly string[], actual: readonly string[]): readonly (readonly [number, number])[] {
  const rows = expected.length + 1
  const columns = actual.length + 1
  const lengths = new Uint32Array(rows * columns)
  const at = (i: number, j: number): number => lengths[i * columns + j] as number
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = actual.length - 1; j >= 0; j--) {
      lengths[i * columns + j] = expected[i] === actual[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const pairs: [number, number][] = []
  let i = 0
  let j = 0
  let gapI = 0
  let gapJ = 0
  const closeGap = () => {
    for (let k = 0; k < Math.max(i - gapI, j - gapJ); k++) {
      pairs.push([gapI + k < i ? gapI + k : -1, gapJ + k < j ? gapJ + k : -1])
    }
  }
  while (i < expected.length && j < actual.length) {
    if (expected[i] === actual[j]) {
      closeGap()
      pairs.push([i++, j++])
      gapI = i
      gapJ = j
    } else if (at(i + 1, j) >= at(i, j + 1)) i += 1
    else j += 1
  }
  i = expected.length
  j = actual.length
  closeGap()
  return pairs
}

/** @param unordered names of objects whose member order means nothing */
export function compareRecords(
  expected: readonly NormalRecord[],
  actual: readonly NormalRecord[],
  unordered: ReadonlySet<string>,
): Comparison {
  const differences: string[] = []
  const forward = new Map<string, number>()
  const backward = new Map<string, number>()
  let total = 0
  let equal = 0
  const byTopic = (records: readonly NormalRecord[]) => Map.groupBy(records, (record) => record.topic)
  const left = byTopic(expected)
  const right = byTopic(actual)
  for (const topic of [...new Set([...left.keys(), ...right.keys()])].sort()) {
    const e = left.get(topic) ?? []
    const a = right.get(topic) ?? []
    for (const [i, j] of align(e.map(masked), a.map(masked))) {
      total += 1
      const one = e[i]
      const other = a[j]
      if (one === undefined || other === undefined) {
        const what = one === undefined ? 'unexpected record' : 'missing record'
        differences.push(`${topic} [${one === undefined ? j : i}] ${what}: ${show((one ?? other) as unknown as Json)}`)
        continue
      }
      const differ = new Differ(unordered)
      differ.compare(one as unknown as Json, other as unknown as Json, '')
      for (const token of differ.tokens) {
        const known = forward.get(`${token.kind}#${token.expected}`) ?? token.actual
        const back = backward.get(`${token.kind}#${token.actual}`) ?? token.expected
        forward.set(`${token.kind}#${token.expected}`, known)
        backward.set(`${token.kind}#${token.actual}`, back)
        if (known !== token.actual || back !== token.expected) {
          differ.differences.push([token.path, `${token.kind}#${token.expected}`, `${token.kind}#${token.actual}`])
        }
      }
      for (const [path, x, y] of differ.differences) {
        differences.push(`${topic} [${i}] ${path.replace(/^\./, '')}: expected ${x}, actual ${y}`)
      }
      if (differ.differences.length === 0) equal += 1
    }
  }
  differences.push(...orderProblems(forward))
  return { equal, total, differences }
}

function orderProblems(forward: ReadonlyMap<string, number>): readonly string[] {
  const kinds = Map.groupBy(forward, ([token]) => token.split('#')[0] as string)
  return [...kinds].flatMap(([kind, tokens]) => {
    const pairs = tokens
      .map(([token, actual]) => [Number(token.split('#')[1]), actual] as const)
      .sort(([x], [y]) => x - y)
    return pairs.flatMap(([x, y], i) => {
      const next = pairs[i + 1]
      return next !== undefined && next[1] <= y
        ? [`order of ${kind} values: ${kind}#${x} < ${kind}#${next[0]} expected, actual ${y} and ${next[1]}`]
        : []
    })
  })
}
