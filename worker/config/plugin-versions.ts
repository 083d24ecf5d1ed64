/**
 * Versions of plugins that a config asks for (KIP-891), in Maven's notation: `[1.0,2.0)` and sets of such ranges, a bare
 * version for exactly that one, `latest` for any. Texts are those of Connect 4.3, which has them from Maven.
 */
import { toError } from '../api/errors.ts'

interface Range {
  readonly low: string | null
  readonly high: string | null
  readonly lowIncluded: boolean
  readonly highIncluded: boolean
}

/** Which versions will do. */
export interface VersionRequirement {
  matches(version: string): boolean
  /** `[1.0,2.0)`; a bare version appears as `[1.0,1.0]`. */
  readonly text: string
}

/**
 * @param wanted null and `latest` take any version
 * @returns null when any version will do
 * @throws SyntaxError in Maven's words, such as `Unbounded range: [1`
 */
export function versionRequirement(wanted: string | null): VersionRequirement | null {
  if (wanted === null || wanted === 'latest') return null
  const spec = wanted.trim()
  const ranges = parseRanges(spec) ?? parseRanges(`[${spec}]`) ?? []
  return {
    matches: (version) => ranges.some((range) => isWithin(range, version)),
    text: ranges.map(rangeText).join(','),
  }
}

/**
 * What Connect answers when no installed version will do, or null.
 * @param available versions of the plugin here; a class of two kinds is listed with each
 * @throws SyntaxError when `wanted` is no range
 */
export function versionProblem(plugin: string, wanted: string | null, available: readonly string[]): string | null {
  const requirement = versionRequirement(wanted)
  if (requirement === null || available.some((version) => requirement.matches(version))) return null
  return noSuchVersion(plugin, requirement, available)
}

function noSuchVersion(plugin: string, { text }: VersionRequirement, available: readonly string[]): string {
  return `Plugin ${plugin} not found that matches the version range ${text}, available versions: [${available.join(', ')}]`
}

/**
 * The newest plugin that will do.
 * @param plugins versions of one class, oldest first; not empty
 * @returns what is wrong, in Connect's words, when none will do or `wanted` is no range
 */
export function chooseVersion<P extends { readonly name: string; readonly version: string }>(
  plugins: readonly P[],
  wanted: string | null,
): P | string {
  let requirement: VersionRequirement | null
  try {
    requirement = versionRequirement(wanted)
  } catch (error) {
    return toError(error).message
  }
  const newest = plugins.at(-1)
  if (newest === undefined) return 'There is no such plugin'
  if (requirement === null) return newest
  const { matches } = requirement
  const available = plugins.map(({ version }) => version)
  return plugins.findLast(({ version }) => matches(version)) ?? noSuchVersion(newest.name, requirement, available)
}

/** Null for a bare version, which restricts nothing in Maven's reading. */
function parseRanges(spec: string): readonly Range[] | null {
  const ranges: Range[] = []
  let rest = spec
  let upper: string | null = null
  while (/^[[(]/.test(rest)) {
    const end = rest.search(/[)\]]/)
    if (end < 0) throw new SyntaxError(`Unbounded range: ${spec}`)
    const range = parseRange(rest.slice(0, end + 1))
    if (upper !== null && (range.low === null || compareVersions(range.low, upper) < 0)) {
      throw new SyntaxError(`Ranges overlap: ${spec}`)
    }
    ranges.push(range)
    upper = range.high
    rest = rest
      .slice(end + 1)
      .trim()
      .replace(/^,\s*/, '')
  }
  if (rest !== '' && ranges.length > 0) {
    throw new SyntaxError(`Only fully-qualified sets allowed in multiple set scenario: ${spec}`)
  }
  return ranges.length === 0 ? null : ranges
}

function parseRange(text: string): Range {
  const lowIncluded = text.startsWith('[')
  const highIncluded = text.endsWith(']')
  const inner = text.slice(1, -1).trim()
  const comma = inner.indexOf(',')
  if (comma < 0) {
    if (!lowIncluded || !highIncluded) throw new SyntaxError(`Single version must be surrounded by []: ${text}`)
    return { low: inner, high: inner, lowIncluded, highIncluded }
  }
  const low = inner.slice(0, comma).trim()
  const high = inner.slice(comma + 1).trim()
  if (low !== '' && high !== '') {
    const order = compareVersions(high, low)
    if (order < 0 || (order === 0 && !(lowIncluded && highIncluded))) {
      throw new SyntaxError(`Range defies version ordering: ${text}`)
    }
  }
  return { low: low === '' ? null : low, high: high === '' ? null : high, lowIncluded, highIncluded }
}

function rangeText({ low, high, lowIncluded, highIncluded }: Range): string {
  return `${lowIncluded ? '[' : '('}${low ?? ''},${high ?? ''}${highIncluded ? ']' : ')'}`
}

function isWithin({ low, high, lowIncluded, highIncluded }: Range, version: string): boolean {
  const above = low === null ? 1 : compareVersions(version, low)
  const below = high === null ? -1 : compareVersions(version, high)
  return (above > 0 || (above === 0 && lowIncluded)) && (below < 0 || (below === 0 && highIncluded))
}

/** Words that Maven knows, from oldest to newest; the empty one is the release itself. */
const qualifiers = ['alpha', 'beta', 'milestone', 'rc', 'snapshot', '', 'sp'] as const
const synonyms: Readonly<Record<string, string>> = { ga: '', final: '', release: '', cr: 'rc' }
/** Only before a number: `1.0-a1`. */
const initials: Readonly<Record<string, string>> = { a: 'alpha', b: 'beta', m: 'milestone' }

/** Numbers and words in turn; words that mean the release itself and zeros at the end say nothing. */
function parts(version: string): readonly string[] {
  const words = version.toLowerCase().match(/\d+|[^\d.\-_]+/g) ?? []
  const result = words.map((word, i) => {
    if (/^\d/.test(word)) return word.replace(/^0+(?=\d)/, '')
    const initial = /^\d/.test(words[i + 1] ?? '') ? initials[word] : undefined
    return initial ?? synonyms[word] ?? word
  })
  while (result.length > 0 && (result.at(-1) === '' || result.at(-1) === '0')) result.pop()
  return result
}

/** Newer than the release: an unknown word; newer still: a number. */
function rank(part: string): number {
  if (/^\d/.test(part)) return qualifiers.length + 1
  const known = (qualifiers as readonly string[]).indexOf(part)
  return known < 0 ? qualifiers.length : known
}

/** What an absent part counts as: 0 beside a number, the release beside a word. */
function nothingBeside(other: string | undefined): string {
  return /^\d/.test(other ?? '') ? '0' : ''
}

/** As Maven's `ComparableVersion`: below 0, 0 or above 0. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const x = left[i] ?? nothingBeside(right[i])
    const y = right[i] ?? nothingBeside(left[i])
    const order = rank(x) - rank(y)
    if (order !== 0) return order
    if (x === y) continue
    if (/^\d/.test(x)) return BigInt(x) < BigInt(y) ? -1 : 1
    return x < y ? -1 : 1
  }
  return 0
}
