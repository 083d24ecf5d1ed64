/** What a route is: data that the server registers, and a function from request to answer. Routes hold no logic. */

import type { RawConfig } from '../api/connector.ts'
import type { Value } from '../api/data.ts'
import { toError } from '../api/errors.ts'
import { parseJsonBytes } from '../api/json.ts'
import type { Herder } from '../cluster/herder.ts'
import { badRequest } from './errors.ts'

export interface RestRequest {
  /** Path parameters, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Without query. */
  readonly path: string
  /** As sent; signatures are made over these bytes. */
  readonly body: Uint8Array
  readonly headers: Readonly<Record<string, string | undefined>>
}

export interface Answer {
  readonly status: number
  /** Becomes JSON; absent: no body. */
  readonly body?: unknown
  /** JSON text already made (exact integers), or another type with its own content type. */
  readonly text?: { readonly contentType: string; readonly content: string }
  /** Path of the created resource. */
  readonly location?: string
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Fastify's notation: `/connectors/:name`. */
  readonly path: string
  /** Answers with something else than JSON, so `Accept` is not checked. */
  readonly anyType?: true
  handle(herder: Herder, request: RestRequest): Promise<Answer>
}

export const jsonContentType = 'application/json'

export const ok = (body: unknown): Answer => ({ status: 200, body })
export const noContent: Answer = { status: 204 }
export const accepted: Answer = { status: 202 }

export function param(request: RestRequest, name: string): string {
  return request.params[name] ?? ''
}

/** JAX-RS's `Boolean.valueOf`: anything but `true` in some case is false, never an error. */
export function flag(request: RestRequest, name: string, byDefault = false): boolean {
  const text = request.query.get(name)
  return text === null ? byDefault : text.toLowerCase() === 'true'
}

/** `Location` of a connector: its name as one path segment, reserved characters kept as far as a segment allows. */
export function connectorLocation(name: string): string {
  const segment = encodeURIComponent(name).replaceAll(/%(?:24|26|2B|2C|3A|3B|3D|40)/gu, (c) => decodeURIComponent(c))
  return `/connectors/${segment}`
}

function text(body: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    throw badRequest('The request body is not valid UTF-8')
  }
}

/** @throws RequestError 400, without quoting the body: it may hold secrets (I8) */
function parse<T>(body: Uint8Array, read: () => T): T {
  if (body.length === 0) throw badRequest('The request has no body; send JSON')
  try {
    return read()
  } catch (error) {
    const position = /position (\d+)/u.exec(toError(error).message)?.[1]
    const where = position === undefined ? '' : ` at position ${position}`
    throw badRequest(`The request body is not valid JSON: unexpected character or end${where}`)
  }
}

/** Body as JSON with exact integers. @throws RequestError 400 */
export function exactJson(request: RestRequest): Value {
  return parse(request.body, () => parseJsonBytes(request.body))
}

interface ReviverContext {
  readonly source?: string
}

/** Body as JSON whose numbers are their source text, so that `1.50` reaches an option as it was written. */
function textualJson(request: RestRequest): unknown {
  const reviver = (_: string, value: unknown, { source }: ReviverContext): unknown =>
    typeof value === 'number' && source !== undefined ? new NumberText(source) : value
  return parse(request.body, () => JSON.parse(text(request.body), reviver as (key: string, value: unknown) => unknown))
}

class NumberText {
  readonly source: string

  constructor(source: string) {
    this.source = source
  }
}

/** A JSON scalar as Java's binder turns it into a String; null stays null. @throws RequestError 400 for objects and arrays */
export function scalarText(value: unknown, what: string): string | null {
  if (value === null || value === undefined) return null
  if (typeof value === 'string') return value
  if (value instanceof NumberText) return value.source
  if (typeof value === 'boolean') return String(value)
  throw badRequest(`${what} must be a text; got ${kindOfJson(value)}`)
}

export function kindOfJson(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberText)
}

/** Body as an object whose numbers are text holders; for `scalarText`. @throws RequestError 400 */
export function objectBody(request: RestRequest): Readonly<Record<string, unknown>> {
  const json = textualJson(request)
  if (!isJsonObject(json)) throw badRequest(`The request body must be a JSON object; got ${kindOfJson(json)}`)
  return json
}

/** A flat map of options; scalars become text, null stays null. @throws RequestError 400 naming the option */
export function nullableOptions(json: Readonly<Record<string, unknown>>): Record<string, string | null> {
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, scalarText(value, `Option "${key}"`)]))
}

/**
 * Options of a connector. Connect stores null values as they come (the connector then fails at its start, with the
 * option named), so they pass here too, although `RawConfig` has no null.
 */
export function configOptions(json: Readonly<Record<string, unknown>>): RawConfig {
  return nullableOptions(json) as RawConfig
}

/** Body as an array whose numbers are text holders. @throws RequestError 400 */
export function jsonArrayBody(request: RestRequest): readonly unknown[] {
  const json = textualJson(request)
  if (!Array.isArray(json)) throw badRequest(`The request body must be a JSON array; got ${kindOfJson(json)}`)
  return json
}
