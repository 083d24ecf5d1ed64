import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createS3Client, type S3Settings } from './copy-source.ts'
import { Databases } from './databases.ts'
import { type ExecutionSettings, Executor } from './executor.ts'
import { type Fault, Faults } from './faults.ts'
import { type OperationParts, operations, requestScope } from './operations.ts'
import { ApiError, type JsonObject, requiredString } from './protocol.ts'
import { Sessions } from './sessions.ts'
import { activeStatementsExceeded, type StatementLimits, StatementStore, serviceLimits } from './statements.ts'

/** What an emulator needs. */
export interface EmulatorOptions {
  /** Port on the loopback interface; 0 picks a free one. */
  readonly port: number
  readonly host?: string
  /** PostgreSQL server, as a superuser: databases are created in it. */
  readonly postgresUrl: string
  readonly s3: S3Settings
  readonly execution?: Partial<ExecutionSettings>
  readonly limits?: Partial<StatementLimits>
}

/** A running emulator. */
export interface Emulator extends AsyncDisposable {
  readonly endpoint: string
  readonly faults: Faults
  close(): Promise<void>
}

const maxBodyBytes = 8 * 1024 * 1024

async function readBody(request: IncomingMessage): Promise<JsonObject> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBodyBytes)
      throw new ApiError('RequestEntityTooLargeException', 'The request is too large.', { status: 413 })
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  try {
    const value: unknown = JSON.parse(text === '' ? '{}' : text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  } catch {
    // Falls through to the answer below: malformed JSON is the client's error.
  }
  throw new ApiError('SerializationException', 'The request body is not a JSON object.')
}

function send(
  response: ServerResponse,
  status: number,
  body: JsonObject,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    'content-type': 'application/x-amz-json-1.1',
    'x-amzn-requestid': randomUUID(),
    ...headers,
  })
  response.end(JSON.stringify(body))
}

function sendError(response: ServerResponse, error: unknown): void {
  const known =
    error instanceof ApiError ? error : new ApiError('InternalServerException', String(error), { status: 500 })
  send(
    response,
    known.status,
    { __type: known.type, message: known.message, Message: known.message, ...known.extra },
    { 'x-amzn-errortype': known.type },
  )
}

/** The signature itself is not verified, its presence and scope are. */
function checkSignature(request: IncomingMessage): void {
  const header = request.headers.authorization ?? ''
  if (!header.startsWith('AWS4-HMAC-SHA256 ')) {
    throw new ApiError('MissingAuthenticationTokenException', 'Missing Authentication Token', { status: 403 })
  }
  if (!/Credential=[^/]+\/\d{8}\/[^/]+\/redshift-data\/aws4_request/.test(header)) {
    throw new ApiError('InvalidSignatureException', 'Credential should be scoped to the service redshift-data.', {
      status: 403,
    })
  }
}

function failCall(fault: Fault): void {
  switch (fault.kind) {
    case 'throttle':
      throw new ApiError('ThrottlingException', 'Rate exceeded')
    case 'active-statements':
      throw activeStatementsExceeded()
    case 'internal-error':
      throw new ApiError('InternalServerException', 'Internal failure', { status: 500 })
    case 'expired-token':
      throw new ApiError('ExpiredTokenException', 'The security token included in the request is expired', {
        status: 403,
      })
    default:
  }
}

/** Routes of one emulator. */
class RequestHandler {
  readonly #parts: OperationParts
  readonly #faults: Faults

  constructor(parts: OperationParts, faults: Faults) {
    this.#parts = parts
    this.#faults = faults
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = request.url ?? '/'
      if (url.startsWith('/_admin/')) await this.#admin(request, response, new URL(url, 'http://localhost'))
      else await this.#call(request, response)
    } catch (error) {
      if (!response.headersSent) sendError(response, error)
    }
  }

  async #call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = /^RedshiftData\.(\w+)$/.exec(String(request.headers['x-amz-target'] ?? ''))?.[1] ?? ''
    const operation = Object.hasOwn(operations, name) ? operations[name] : undefined
    if (request.method !== 'POST' || operation === undefined)
      throw new ApiError('UnknownOperationException', `Unknown operation ${name}`)
    checkSignature(request)
    const input = await readBody(request)
    const scope = { operation: name, ...requestScope(this.#parts.store, input) }
    const delay = this.#faults.take(['delay'], scope)
    if (delay !== null) await sleep(delay.delayMs)
    const refusal = this.#faults.take(['throttle', 'active-statements', 'internal-error', 'expired-token'], scope)
    if (refusal !== null) failCall(refusal)
    const answer = await operation(this.#parts, input)
    const loss = this.#faults.take(['drop-response', 'late-response'], scope)
    if (loss?.kind === 'drop-response') {
      request.socket.destroy()
      return
    }
    if (loss !== null) await sleep(loss.delayMs)
    send(response, 200, answer)
  }

  async #admin(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const owner = url.searchParams.get('owner')
    switch (`${request.method} ${url.pathname}`) {
      case 'GET /_admin/health':
        return send(response, 200, { status: 'ok' })
      case 'GET /_admin/faults':
        return send(response, 200, { faults: this.#faults.list() })
      case 'POST /_admin/faults':
        return send(response, 201, { ...this.#faults.arm(await readBody(request)) })
      case 'DELETE /_admin/faults':
        this.#faults.clear(owner)
        return send(response, 200, {})
      case 'POST /_admin/databases':
        await this.#parts.databases.create(requiredString(await readBody(request), 'name'))
        return send(response, 201, {})
      case 'GET /_admin/statements': {
        const statements = this.#parts.store
          .list()
          .filter((statement) => owner === null || statement.target.owner === owner)
        const body = statements.map(({ id, status, error, runs }) => ({
          id,
          status,
          error,
          sqls: runs.map((run) => run.sql),
        }))
        return send(response, 200, { statements: body })
      }
      default:
        throw new ApiError('UnknownOperationException', `no such admin route: ${request.method} ${url.pathname}`, {
          status: 404,
        })
    }
  }
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((done, failed) => {
    server.once('error', failed)
    server.listen(port, host, () => done((server.address() as AddressInfo).port))
  })
}

/** Starts an emulator of the Redshift Data API over PostgreSQL and an S3 server. */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const databases = new Databases(options.postgresUrl)
  await databases.open()
  const store = new StatementStore({ ...serviceLimits, ...options.limits })
  const faults = new Faults()
  const sessions = new Sessions(databases)
  const s3 = createS3Client(options.s3)
  const settings: ExecutionSettings = { submittedMs: 2, pickedMs: 2, concurrency: 16, ...options.execution }
  const executor = new Executor({ store, databases, sessions, s3, faults, settings })
  const handler = new RequestHandler({ store, executor, sessions, databases }, faults)
  const server = createServer((request, response) => void handler.handle(request, response))
  const host = options.host ?? '127.0.0.1'
  const port = await listen(server, options.port, host)
  const close = async (): Promise<void> => {
    server.closeAllConnections()
    await new Promise<void>((done) => {
      server.close(() => done())
    })
    await executor.close()
    await sessions.close()
    s3.destroy()
  }
  return { endpoint: `http://127.0.0.1:${port}`, faults, close, [Symbol.asyncDispose]: close }
}
