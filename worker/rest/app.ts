/** One Fastify application: registers routes, and answers as JAX-RS does where no route does (404, 405, 406, 415, OPTIONS). */
import type { RequestListener } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock, Logger } from '../api/context.ts'
import { NotLeaderError, RequestError, toError } from '../api/errors.ts'
import { nodeHttp } from '../api/node-modules.ts'
import type { Herder } from '../cluster/herder.ts'
import type { HeaderRule } from '../config/listeners.ts'
import type { MetricRegistry } from '../metrics/registry.ts'
import { type Credentials, isExempt, refusalText } from './basic-auth.ts'
import { errorAnswer, errorBody, httpMessages } from './errors.ts'
import type { Extensions } from './extensions.ts'
import { loadFastify } from './fastify.ts'
import { forward } from './forward.ts'
import { type CorsOptions, corsHeaders, ruleHeaders } from './headers.ts'
import type { InterWorkerClient } from './inter-worker-client.ts'
import { type Answer, jsonContentType, type RestRequest, type Route } from './route.ts'

/** A route that answers before there is a herder. */
export interface EarlyRoute {
  readonly path: string
  /** Answers with something else than JSON, so `Accept` is not checked. */
  readonly anyType?: true
  serve(herder: Herder | null): Promise<Answer>
}

export interface AppOptions {
  readonly routes: readonly Route[]
  readonly early: readonly EarlyRoute[]
  readonly herder: () => Herder | null
  readonly client: InterWorkerClient
  readonly cors: CorsOptions
  readonly headerRules: readonly HeaderRule[]
  /** Null: everybody may call. */
  readonly credentials: Credentials | null
  /** Absent on listeners that extensions do not belong to. */
  readonly extensions?: Extensions
  readonly requestTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricRegistry
}

/** Largest request body in bytes; Connect has no limit, but memory has one. */
const maxBodyBytes = 32 * 1024 * 1024

/** Routes have no schemas: without the compilers that Fastify would load for them a worker has 4 MB less. */
const noSchemas = { buildValidator: noCompiler, buildSerializer: noCompiler }

function noCompiler(): never {
  throw new Error('Routes of the REST API have no schemas: bodies are checked as Connect checks them')
}

export interface RestApp {
  readonly app: FastifyInstance
  /** Serves one request; for as many HTTP and HTTPS servers as there are listeners. */
  readonly handler: RequestListener
}

export async function createApp(options: AppOptions): Promise<RestApp> {
  const served: { handler: RequestListener | null } = { handler: null }
  const app = loadFastify()({
    bodyLimit: maxBodyBytes,
    rewriteUrl: (request) => withoutMatrixParameters(request.url ?? '/'),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 16_384 },
    schemaController: { compilersFactory: noSchemas },
    frameworkErrors: (error, _request, reply) => {
      void send(reply, plainError(400, toError(error).message))
    },
    // Listening is the server's business: several listeners of different protocols share one application.
    serverFactory: (serve) => {
      served.handler = serve
      return nodeHttp().createServer(serve)
    },
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(jsonContentType, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  addHooks(app, options)
  const table = new RouteTable()
  for (const route of options.routes) {
    table.add(route.method, route.path)
    app.route({
      method: route.method,
      url: route.path,
      handler: (request, reply) => serve(route, request, reply, options),
    })
  }
  for (const { path, anyType, serve: answer } of options.early) {
    table.add('GET', path)
    app.get(path, async (request, reply) => {
      return anyType !== true && !acceptsJson(request.headers.accept)
        ? sendBare(reply, 406)
        : send(reply, await answer(options.herder()))
    })
  }
  app.setNotFoundHandler((request, reply) => unrouted(table, request, reply))
  app.setErrorHandler((error, request, reply) => failed(error, { request, reply, table, options }))
  await app.ready()
  if (served.handler === null) throw new Error('Fastify did not ask for a server')
  return { app, handler: served.handler }
}

function addHooks(app: FastifyInstance, options: AppOptions): void {
  const { cors, headerRules, credentials, extensions, clock, logger, metrics } = options
  app.addHook('onRequest', async (request, reply) => {
    for (const [name, values] of ruleHeaders(headerRules, clock.now()))
      void reply.header(name, values.length === 1 ? values[0] : values)
    const preflight = request.method === 'OPTIONS' ? request.headers['access-control-request-method'] : undefined
    const corsHeader = corsHeaders(cors, request.headers.origin, preflight)
    if (corsHeader !== null) void reply.headers(corsHeader)
    const path = pathOf(request.originalUrl)
    if (credentials !== null && !isExempt(request.method, path) && !credentials.allows(request.headers.authorization)) {
      return reply.code(401).header('content-type', 'text/plain').send(refusalText)
    }
    if (extensions !== undefined && !isExempt(request.method, path)) {
      const { method, query, headers } = { ...toRestRequest(request), method: request.method }
      const answer = await extensions.filter({ method, path, query, headers })
      if (answer !== null) return send(reply.headers(answer.headers ?? {}), answer)
    }
    if (path.includes('//')) return send(reply, plainError(400, 'The path has an empty segment'))
    return undefined
  })
  const group = metrics.group('connect-rest-metrics')
  const latency = group.histogram(
    'request-time-ms',
    'Time to answer a request in ms',
    [5, 25, 100, 500, 2500, 10_000, 90_000],
  )
  const total = group.counter('request-total', 'Requests answered')
  const failures = group.counter('request-error-total', 'Requests answered with status 500 or above')
  app.addHook('onResponse', async (request, reply) => {
    latency.observe(reply.elapsedTime)
    total.add(1)
    if (reply.statusCode >= 500) failures.add(1)
    logger.info(
      {
        remote: request.ip,
        method: request.method,
        path: pathOf(request.originalUrl),
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
      },
      'request',
    )
  })
}

/** JAX-RS takes `;name=value` off every path segment. */
function withoutMatrixParameters(url: string): string {
  const path = pathOf(url)
  return path.includes(';') ? path.replaceAll(/;[^/]*/gu, '') + url.slice(path.length) : url
}

function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

async function serve(
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
  options: AppOptions,
): Promise<FastifyReply> {
  if (route.anyType !== true && !acceptsJson(request.headers.accept)) return sendBare(reply, 406)
  const herder = options.herder()
  // Resources appear when the herder is registered; until then there is nothing here (spec 1.8).
  if (herder === null) return sendBare(reply, 404)
  const restRequest = toRestRequest(request)
  try {
    return send(reply, await withDeadline(route.handle(herder, restRequest), herder, options))
  } catch (error) {
    if (!(error instanceof NotLeaderError)) throw error
    const path = pathOf(request.originalUrl)
    return send(reply, await forward(options.client, { method: request.method, path, request: restRequest, error }))
  }
}

function toRestRequest(request: FastifyRequest): RestRequest {
  const headers = Object.entries(request.headers).map(([name, value]): [string, string | undefined] => [
    name,
    Array.isArray(value) ? value.join(', ') : value,
  ])
  const url = request.originalUrl
  return {
    params: request.params as Readonly<Record<string, string>>,
    query: new URLSearchParams(url.slice(pathOf(url).length + 1)),
    path: pathOf(url),
    body: request.body instanceof Uint8Array ? request.body : new Uint8Array(),
    headers: Object.fromEntries(headers),
  }
}

function acceptsJson(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === '') return true
  return accept.split(',').some((part) => {
    const [type = '', ...parameters] = part.split(';').map((p) => p.trim().toLowerCase())
    if (parameters.some((p) => /^q=0(?:\.0*)?$/u.test(p))) return false
    return type === jsonContentType || type === '*/*' || type === 'application/*'
  })
}

/** @throws RequestError 500 that names what the worker is busy with (statement 14); the command itself goes on */
async function withDeadline<T>(work: Promise<T>, herder: Herder, { clock, requestTimeoutMs }: AppOptions): Promise<T> {
  const timer = new AbortController()
  const late = Symbol('late')
  try {
    const result = await Promise.race([work, clock.sleep(requestTimeoutMs, timer.signal).then((): typeof late => late)])
    if (result !== late) return result
  } finally {
    timer.abort()
  }
  throw new RequestError(500, 'CONNECT_REQUEST_TIMEOUT', `Request timed out. ${herder.stage()}`)
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  const { status, body, text, location } = answer
  void reply.code(status)
  if (location !== undefined) {
    const { request } = reply
    void reply.header('location', `${request.protocol}://${request.headers.host ?? request.host}${location}`)
  }
  if (text !== undefined) return reply.header('content-type', text.contentType).send(text.content)
  if (body === undefined) return reply.send()
  // Without a charset, as Connect has it.
  return reply.header('content-type', jsonContentType).send(Buffer.from(JSON.stringify(body)))
}

function plainError(status: number, message: string): Answer {
  return { status, body: { error_code: status, message } }
}

/** JAX-RS answers these with a JSON body but without Content-Type; Fastify would add one. */
function sendBare(reply: FastifyReply, status: 404 | 405 | 406 | 415): FastifyReply {
  const body = errorBody({ status, message: httpMessages[status] })
  reply.hijack()
  const { raw } = reply
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value)
  raw.writeHead(status, { 'content-length': Buffer.byteLength(body) }).end(body)
  return reply
}

/** Which methods each path has. */
class RouteTable {
  readonly #methods = new Map<string, Set<string>>()

  add(method: string, path: string): void {
    const methods = this.#methods.get(path) ?? new Set()
    methods.add(method)
    if (method === 'GET') methods.add('HEAD')
    this.#methods.set(path, methods)
  }

  /** Null when the path does not exist. */
  methodsOf(path: string): ReadonlySet<string> | null {
    const actual = path.replace(/(.)\/$/u, '$1')
    for (const [pattern, methods] of this.#methods) {
      if (new RegExp(`^${pattern.replaceAll(/:[a-z]+/gu, '[^/]+')}$`, 'u').test(actual)) return methods
    }
    return null
  }
}

function unrouted(table: RouteTable, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const methods = table.methodsOf(withoutMatrixParameters(pathOf(request.originalUrl)))
  if (methods === null) return sendBare(reply, 404)
  if (request.method !== 'OPTIONS') return sendBare(reply, 405)
  const allow = [...methods, 'OPTIONS'].join(',')
  return reply.code(200).header('allow', allow).header('content-type', jsonContentType).send(Buffer.alloc(0))
}

interface Failure {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly table: RouteTable
  readonly options: AppOptions
}

function failed(error: unknown, { request, reply, table, options }: Failure): FastifyReply {
  const status = frameworkStatus(error)
  // A body of another type matters only where there is a route.
  if (request.is404) return unrouted(table, request, reply)
  if (status === 415) {
    if (request.headers['content-type'] !== undefined) return sendBare(reply, 415)
    return send(reply, plainError(415, httpMessages[415]))
  }
  if (status !== null) return send(reply, plainError(status, toError(error).message))
  const answer = errorAnswer(error)
  if (answer.status >= 500) {
    options.logger.error(
      { error: toError(error), method: request.method, path: pathOf(request.originalUrl) },
      'request failed',
    )
  }
  return send(reply, plainError(answer.status, answer.message))
}

/** Status of Fastify's own errors (body too large, unsupported type); null for ours. */
function frameworkStatus(error: unknown): number | null {
  const known =
    error instanceof Error && 'code' in error && String(error.code).startsWith('FST_') && 'statusCode' in error
  return known && typeof error.statusCode === 'number' ? error.statusCode : null
}
