/**
 * The recorded REST answers of Connect 4.3.0 (`golden/rest/`) and the normal form in which answers are compared: what
 * varies between workers (hosts, versions, times, traces, orders that mean nothing) is left out, nothing else.
 */
import { readFileSync } from 'node:fs'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

export interface RecordedStep {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly status: number
  readonly request?: string
  readonly headers: Readonly<Record<string, string>>
  readonly json?: Json
  readonly text?: string
  readonly hint?: Readonly<Record<string, Json>>
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
export function normalBody(value: Json, key: string | null = null): Json {
  if (Array.isArray(value)) {
    if (key === 'recommended_values') {
      return value
        .filter((v) => !/^[a-z]+\.[\w.$]+$/u.test(String(v)) || kafkaClass.test(String(v)))
        .map(String)
        .sort()
    }
    if (key === 'errors') return value.map((v) => normalMessage(String(v))).sort()
    return value.map((v) => normalBody(v))
  }
  if (value === null || typeof value !== 'object') return value
  const isVersion = String(value['name'] ?? '').endsWith('plugin.version')
  const result: { [key: string]: Json } = {}
  for (const [k, v] of Object.entries(value)) result[k] = normalField(k, v, isVersion)
  return result
}

function normalField(key: string, value: Json, isVersion: boolean): Json {
  if (isVersion && (key === 'default_value' || key === 'value') && value) return '<version>'
  if (isVersion && key === 'recommended_values' && Array.isArray(value)) return value.length > 0 ? ['<version>'] : []
  if (key === 'documentation' || key === 'display_name') return '<text>'
  if (key === 'worker_id' && value) return '<worker>'
  if (key === 'version' && typeof value === 'string') return '<version>'
  if (key === 'trace' && value) return '<trace>'
  if (key === 'last_modified' && value !== null) return '<time>'
  if (key === 'message' && typeof value === 'string') return normalMessage(value)
  if (key === 'configs' && Array.isArray(value)) {
    return Object.fromEntries(value.map((entry) => [configName(entry), normalBody(entry)]))
  }
  return normalBody(value, key)
}

function configName(entry: Json): string {
  if (entry === null || typeof entry !== 'object' || Array.isArray(entry)) return '?'
  const value = entry['value'] ?? null
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? String(value['name'] ?? '?') : '?'
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
