/**
 * The recorded REST answers of Connect 4.3.0 (`golden/rest/`) and the normal form in which answers are compared: what
 * varies between workers (hosts, versions, times, traces, orders that mean nothing) is left out, nothing else.
 */
import { readFileSync } from 'node:fs'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** What a server answered. `json` is absent when the body is text of another kind. */
export interface Answer {
  readonly status: number
  /** Content-Type, Location and Allow, as far as they were sent. */
  readonly headers: Readonly<Record<string, string>>
  readonly json?: Json
  readonly text?: string
}

export interface RecordedStep extends Answer {
  readonly id: string
  readonly method: string
  readonly path: string
  /** At most 300 characters; longer ones were cut in the recording. */
  readonly request?: string
  /** What of the answer is compared, where not all of it: see `comparableBody`. */
  readonly hint?: Readonly<Record<string, Json>>
}

/** What is compared beyond the usual. */
export interface CompareOptions {
  /** Documentation texts and display names, too. */
  readonly docs?: boolean
  /** The absence of Content-Type where Java sends none, too. */
  readonly headers?: boolean
  /** No better answers: every status as Java's. */
  readonly strict?: boolean
}

const goldenUrl = new URL('./golden/rest/golden-connect-4.3.0.json', import.meta.url)

/** All recorded steps, in order, pooled parts put back. */
export function loadGolden(): RecordedStep[] {
  const file = JSON.parse(readFileSync(goldenUrl, 'utf8')) as { steps: Json[]; pool: Json[] }
  return unpack(file.steps, file.pool, null) as unknown as RecordedStep[]
}

const reference = (value: Json, pool: readonly Json[]): Json | undefined =>
  typeof value === 'string' && /^#\d+$/u.test(value) ? pool[Number(value.slice(1))] : undefined

function unpack(value: Json, pool: readonly Json[], key: string | null): Json {
  if (key === 'configs' && Array.isArray(value)) return value.map((v) => unpack(v, pool, 'config'))
  if (key === 'config' || key === 'definition' || key === 'recommended_values') {
    const found = reference(value, pool)
    if (found !== undefined) return unpack(found, pool, null)
  }
  if (Array.isArray(value)) return value.map((v) => reference(v, pool) ?? unpack(v, pool, null))
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v, pool, k)]))
  }
  return value
}

/** Classes of Kafka itself; others are those of the installation. */
export const kafkaClass = /^org\.apache\.kafka\.connect\.(file|json|storage|converters|transforms)\./u

const jsonFaults = [
  /Unrecognized field \\?"[^"\\]*\\?"/u,
  /Cannot deserialize value/u,
  /Cannot construct instance/u,
  /Unexpected end-of-input/u,
  /Unexpected character/u,
  /Unrecognized token/u,
]

function normalMessage(text: string): string {
  for (const fault of jsonFaults) {
    const found = fault.exec(text)
    if (found !== null) return `<json: ${found[0]}>`
  }
  let result = text.replace(/^(?:(?:[a-z]+\.)+[A-Z]\w*Exception: )+/u, '')
  result = result.replace(/available connectors are: [^]*/u, 'available connectors are: <list>')
  const lines = result.split('\n')
  if (lines.length > 3 && lines[0]?.includes('is invalid and contains')) {
    result = [lines[0], ...lines.slice(1, -1).sort(), lines.at(-1)].join('\n')
  }
  // What Java says of its own null pointers nobody needs to repeat.
  if (result.startsWith('Cannot invoke "')) result = '<null pointer>'
  return result.replaceAll(/(class|interface) (java|org)\.[\w.$]+/gu, '<class>')
}

/** The comparable form of a body. */
export function normalBody(value: Json, key: string | null = null, docs = false): Json {
  if (Array.isArray(value)) {
    if (key === 'recommended_values') {
      return value
        .filter((v) => !/^[a-z]+\.[\w.$]+$/u.test(String(v)) || kafkaClass.test(String(v)))
        .map(String)
        .sort()
    }
    if (key === 'errors') return value.map((v) => normalMessage(String(v))).sort()
    const items = value.map((v) => normalBody(v, null, docs))
    return key === 'offsets'
      ? items
          .map((v) => [JSON.stringify(v), v] as const)
          .sort(byText)
          .map(([, v]) => v)
      : items
  }
  if (value === null || typeof value !== 'object') return value
  const isVersion = String(value['name'] ?? '').endsWith('plugin.version')
  const result: { [key: string]: Json } = {}
  for (const [k, v] of Object.entries(value)) result[normalName(k, value)] = normalField(k, v, { isVersion, docs })
  return result
}

const byText = (a: readonly [string, Json], b: readonly [string, Json]): number => (a[0] < b[0] ? -1 : 1)

/** Until Connect 4.1 `order_in_group` was called `order`. */
const normalName = (key: string, owner: { [key: string]: Json }): string =>
  key === 'order' && 'importance' in owner ? 'order_in_group' : key

function normalField(key: string, value: Json, { isVersion, docs }: { isVersion: boolean; docs: boolean }): Json {
  if (isVersion && (key === 'default_value' || key === 'value') && value) return '<version>'
  if (isVersion && key === 'recommended_values' && Array.isArray(value)) return value.length > 0 ? ['<version>'] : []
  if (key === 'documentation' || key === 'display_name') return docs ? value : '<text>'
  if (key === 'worker_id' && value) return '<worker>'
  if ((key === 'version' || key === 'plugin_version') && typeof value === 'string') return '<version>'
  if (key === 'trace' && value) return '<trace>'
  if (key === 'last_modified' && value !== null) return '<time>'
  if (key === 'message' && typeof value === 'string') return normalMessage(value)
  if (key === 'configs' && Array.isArray(value)) {
    return Object.fromEntries(value.map((entry) => [configName(entry), normalBody(entry, null, docs)]))
  }
  return normalBody(value, key, docs)
}

function configName(entry: Json): string {
  if (entry === null || typeof entry !== 'object' || Array.isArray(entry)) return '?'
  const value = entry['value'] ?? null
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? String(value['name'] ?? '?') : '?'
}

/** The part of a body that is compared, by the hint of the step, in normal form. */
export function comparableBody(step: RecordedStep, body: Json, docs = false): Json {
  const hint = step.hint ?? {}
  if (hint['type'] !== undefined) return Array.isArray(body) ? 'array' : typeof body
  if (Array.isArray(body)) return normalBody(comparableList(hint, body, docs), null, docs)
  if (body === null || typeof body !== 'object') return body
  // Which members are set, not what they are.
  if (hint['root'] !== undefined) return Object.fromEntries(Object.entries(body).map(([k, v]) => [k, v !== null]))
  const pick = hint['pick']
  const keeps = (name: string): boolean =>
    (!Array.isArray(pick) || pick.includes(name)) && (hint['prefix'] === undefined || name.startsWith(ownPrefix))
  if ('error_code' in body || (pick === undefined && hint['prefix'] === undefined)) {
    return normalBody(hint['noversions'] === undefined ? body : withoutVersions(body), null, docs)
  }
  return normalBody(Object.fromEntries(Object.entries(body).filter(([name]) => keeps(name))), null, docs)
}

/** Begins every name that the requests make. */
const ownPrefix = 'rd-TOKEN-'

const withoutVersions = (body: Json): Json =>
  JSON.parse(JSON.stringify(body).replaceAll(/\d+\.\d+\.\d+/gu, '1.0.0')) as Json

function comparableList(hint: Readonly<Record<string, Json>>, body: Json[], docs: boolean): Json {
  if (hint['noversions'] !== undefined) return comparableList({}, withoutVersions(body) as Json[], docs)
  if (hint['plugins'] !== undefined) {
    const own = body.filter((p) => kafkaClass.test(String((p as { class?: Json }).class)))
    const texts = own.map((p) => JSON.stringify(normalBody(p, null, docs)))
    return texts.sort().map((p) => JSON.parse(p) as Json)
  }
  const has = hint['has']
  if (Array.isArray(has)) return has.filter((item) => body.includes(item))
  if (hint['prefix'] !== undefined) return body.filter((name) => String(name).startsWith(ownPrefix)).sort()
  if (body.length > 0 && 'importance' in Object(body[0])) {
    return Object.fromEntries(body.map((d) => [String((d as { name: Json }).name), d]))
  }
  return body
}

/** Everything of an answer that is compared. */
function comparable(step: RecordedStep, answer: Answer, docs: boolean): { [key: string]: Json } {
  if (step.hint?.['status'] !== undefined) return { status: answer.status }
  const { location, allow, 'content-type': type } = answer.headers
  const result: { [key: string]: Json } = { status: answer.status }
  result['body'] =
    answer.text === undefined
      ? comparableBody(step, answer.json ?? null, docs)
      : { '<text>': answer.text.replaceAll(/\s+/gu, ' ').slice(0, 80) }
  if (location !== undefined) result['location'] = location.replace(/^https?:\/\/[^/]+/u, '')
  if (allow !== undefined && step.method === 'OPTIONS') {
    result['allow'] = allow.split(',').map((m) => m.trim())
    result['allow'].sort()
    result['body'] = null
  }
  if (type !== undefined) result['content-type'] = (type.split(';')[0] ?? '').trim().toLowerCase()
  return result
}

/** One place at which two answers differ; an absent value is undefined. */
export interface Difference {
  readonly path: string
  readonly expected: Json | undefined
  readonly actual: Json | undefined
}

function differences(expected: Json | undefined, actual: Json | undefined, path = ''): Difference[] {
  if (expected === '<null pointer>' && typeof actual === 'string' && actual !== '') return []
  if (Array.isArray(expected) && Array.isArray(actual) && expected.length === actual.length) {
    return expected.flatMap((item, i) => differences(item, actual[i], `${path}[${i}]`))
  }
  if (isObject(expected) && isObject(actual)) {
    const keys = [...new Set([...Object.keys(expected), ...Object.keys(actual)])].sort()
    return keys.flatMap((key) => differences(expected[key], actual[key], path === '' ? key : `${path}.${key}`))
  }
  return expected === actual ? [] : [{ path, expected, actual }]
}

const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  value !== null && typeof value === 'object' && !Array.isArray(value)

export type Verdict = 'equal' | 'better' | readonly Difference[]

/** Compares an answer with the recorded one. */
export function compareAnswer(step: RecordedStep, answer: Answer, options: CompareOptions = {}): Verdict {
  const expected = comparable(step, step, options.docs === true)
  const actual = comparable(step, answer, options.docs === true)
  if (!('content-type' in expected) && options.headers !== true) delete actual['content-type']
  const found = differences(expected, actual)
  if (found.length === 0) return 'equal'
  return options.strict !== true && isBetter(step, answer.status, answer.json ?? null) ? 'better' : found
}

/**
 * Whether an answer is one of the deliberate differences: where Java answers bad input with 500 or with a HTML page,
 * a 4xx with Connect's error body that names the fault.
 */
export function isBetter(recorded: RecordedStep, status: number, body: Json): boolean {
  if (body === null || typeof body !== 'object' || Array.isArray(body)) return false
  const typed = body['error_code'] === status && typeof body['message'] === 'string' && body['message'] !== ''
  const page = recorded.status === 400 && recorded.json === undefined && recorded.path.includes('%')
  return typed && status >= 400 && status < 500 && (recorded.status >= 500 || page)
}
