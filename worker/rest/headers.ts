/** Headers of all answers: cross-origin access and the configured rules. Pure functions of option texts. */
import type { HeaderRule } from '../config/listeners.ts'

export interface CorsOptions {
  /** `access.control.allow.origin`; null when blank: no cross-origin access. */
  readonly origins: readonly string[] | null
  readonly methods: string
}

/** Options as Jetty's `CrossOriginFilter` reads them. */
export function corsOptions(origin: string, methods: string): CorsOptions {
  const list = origin
    .split(',')
    .map((o) => o.trim())
    .filter((o) => o !== '')
  return { origins: list.length === 0 ? null : list, methods: methods.trim() === '' ? 'GET,POST,HEAD' : methods.trim() }
}

function originAllowed(origins: readonly string[], origin: string): boolean {
  return origins.some((allowed) => {
    if (allowed === '*' || allowed === origin) return true
    const pattern = allowed.replaceAll(/[.+?^${}()|[\]\\]/gu, '\\$&').replaceAll('*', '.*')
    return allowed.includes('*') && new RegExp(`^${pattern}$`, 'u').test(origin)
  })
}

/**
 * Headers for a request from another origin; null when it gets none.
 * @param preflightMethod `Access-Control-Request-Method` of an OPTIONS request
 */
export function corsHeaders(
  { origins, methods }: CorsOptions,
  origin: string | undefined,
  preflightMethod: string | undefined,
): Readonly<Record<string, string>> | null {
  if (origins === null || origin === undefined || !originAllowed(origins, origin)) return null
  const simple = {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    vary: 'Origin',
  }
  if (preflightMethod === undefined) return simple
  return {
    ...simple,
    'access-control-allow-methods': methods,
    'access-control-allow-headers': 'X-Requested-With,Content-Type,Accept,Origin',
    'access-control-max-age': '1800',
  }
}

/** Headers by the rules of `response.http.headers.config`; a list has one entry per `add`. */
export function ruleHeaders(rules: readonly HeaderRule[], nowMs: number): Map<string, string[]> {
  const headers = new Map<string, string[]>()
  for (const { action, name, value } of rules) {
    const isDate = action === 'setDate' || action === 'addDate'
    const text = isDate ? new Date(nowMs + Number(value)).toUTCString() : value
    const before = action === 'add' || action === 'addDate' ? (headers.get(name) ?? []) : []
    headers.set(name, [...before, text])
  }
  return headers
}
