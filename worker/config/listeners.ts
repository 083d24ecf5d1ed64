/** Listener URLs, the URL a worker is known by, and rules for response headers: pure functions of option texts. */
import { hostname } from 'node:os'

export interface Listener {
  readonly protocol: 'http' | 'https'
  /** '' listens on all addresses. */
  readonly host: string
  /** 0 takes a free port. */
  readonly port: number
}

const listenerPattern = /^(.*):\/\/\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$/u

/** @throws Error with Connect's text; option validation has seen to it before */
export function parseListener(url: string): Listener {
  const problem = listenerProblem(url)
  const match = listenerPattern.exec(url.trim())
  if (problem !== null || match === null) throw new Error(`${url}: ${problem}`)
  const [, protocol = '', host = '', port = ''] = match
  return { protocol: protocol.toLowerCase() === 'https' ? 'https' : 'http', host, port: Math.max(0, Number(port)) }
}

function listenerProblem(url: string): string | null {
  const match = listenerPattern.exec(url.trim())
  if (match === null) return "Listener doesn't have the right format (protocol://hostname:port)."
  const protocol = match[1]?.toLowerCase()
  return protocol === 'http' || protocol === 'https' ? null : 'Listener protocol must be either "http" or "https".'
}

function urlListProblem(value: unknown, blank: string): string | null {
  for (const url of Array.isArray(value) ? value.map(String) : []) {
    const problem = url.trim() === '' ? blank : listenerProblem(url)
    if (problem !== null) return problem
  }
  return null
}

/** What is wrong with `listeners`, with Connect's texts; null when nothing is. */
export function listenerListProblem(value: unknown): string | null {
  if (!Array.isArray(value) || value.length === 0) {
    return 'Invalid value for listeners, at least one URL is expected, ex: http://localhost:8080,https://localhost:8443.'
  }
  return urlListProblem(value, 'Empty URL found when parsing listeners list.')
}

/** As `listenerListProblem` for `admin.listeners`, where null and an empty list have a meaning. */
export function adminListenerListProblem(value: unknown): string | null {
  return urlListProblem(value, 'Empty URL found when parsing admin.listeners list.')
}

export interface AdvertisedOptions {
  readonly listeners: readonly string[]
  readonly 'rest.advertised.listener': string | null
  readonly 'rest.advertised.host.name': string | null
  readonly 'rest.advertised.port': number | null
}

export interface AdvertisedUrl {
  /** Ends with `/`, as it stands in the group metadata. */
  readonly url: string
  /** `host:port`. */
  readonly workerId: string
}

/**
 * The URL by which other workers reach this one (spec of Connect: advertised options first, then the first listener
 * of that protocol, then the local host name).
 * @param boundPorts of the listeners, in their order, once they are open
 */
export function advertisedUrl(options: AdvertisedOptions, boundPorts: readonly number[]): AdvertisedUrl {
  const listeners = options.listeners.map(parseListener)
  const protocol =
    options['rest.advertised.listener']?.toLowerCase() ??
    (listeners.every((l) => l.protocol === 'https') ? 'https' : 'http')
  const listener = listeners.find((l) => l.protocol === protocol)
  const wildcard =
    listener === undefined || listener.host === '' || listener.host === '0.0.0.0' || listener.host === '::'
  const host = nonBlank(options['rest.advertised.host.name']) ?? (wildcard ? hostname() : listener.host)
  const bound = boundPorts[listener === undefined ? 0 : listeners.indexOf(listener)] ?? 0
  const configured = listener !== undefined && listener.port > 0 ? listener.port : bound
  const port = options['rest.advertised.port'] ?? configured
  const workerId = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return { url: `${protocol}://${workerId}/`, workerId }
}

function nonBlank(text: string | null): string | null {
  return text === null || text.trim() === '' ? null : text.trim()
}

export type HeaderAction = 'set' | 'add' | 'setDate' | 'addDate'

export interface HeaderRule {
  readonly action: HeaderAction
  readonly name: string
  /** For the date actions milliseconds after the request, as Jetty's header filter has it. */
  readonly value: string
}

const headerActions: ReadonlyMap<string, HeaderAction> = new Map(
  (['set', 'add', 'setDate', 'addDate'] as const).map((a) => [a.toLowerCase(), a]),
)

/** What is wrong with `response.http.headers.config`, with Connect's texts; null when nothing is. */
export function headerRuleProblem(text: string): string | null {
  for (const rule of splitRules(text)) {
    const parsed = parseRule(rule)
    if (typeof parsed === 'string') return parsed
  }
  return null
}

/** Rules of `response.http.headers.config`; malformed ones are left out (the option's validator reports them). */
export function parseHeaderRules(text: string): HeaderRule[] {
  return splitRules(text).flatMap((rule) => {
    const parsed = parseRule(rule)
    return typeof parsed === 'string' ? [] : [parsed]
  })
}

/** At commas outside double quotes; the quotes are cut off. */
function splitRules(text: string): string[] {
  if (text.trim() === '') return []
  const rules = text.match(/(?:"[^"]*"|[^,"])+/gu) ?? []
  return rules.map((rule) =>
    rule
      .trim()
      .replace(/^"([^]*)"$/u, '$1')
      .trim(),
  )
}

function parseRule(rule: string): HeaderRule | string {
  const [, actionText = '', rest = ''] = /^(\S+)\s+([^]*)$/u.exec(rule) ?? []
  const colon = rest.indexOf(':')
  if (actionText === '' || colon < 0) {
    return `Invalid format of header config '${rule}'. Expected: '[action] [header name]:[header value]'`
  }
  const action = headerActions.get(actionText.toLowerCase())
  if (action === undefined) {
    return `Invalid header config action: '${actionText}'. Expected one of [set, add, setDate, addDate]`
  }
  const name = rest.slice(0, colon).trim()
  if (name === '' || /\s/u.test(name)) {
    return `Invalid header name '${name}'. The '[header name]' cannot contain whitespace`
  }
  return { action, name, value: rest.slice(colon + 1).trim() }
}
