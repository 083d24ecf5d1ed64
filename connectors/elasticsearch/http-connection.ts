/** Requests to one node over Node's own HTTP client. */
import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { toError } from '../../worker/api/errors.ts'
import { agentOf, type Proxy, senderOf } from './http-agents.ts'
import {
  type ConnectionAnswer,
  type ConnectionAuth,
  ConnectionBase,
  ConnectionError,
  type ConnectionRequest,
  RequestAbortedError,
  TimeoutError,
} from './transport-parts.ts'

export interface HttpConnectionOptions {
  readonly url: URL
  /** Counts before credentials in the URL. */
  readonly auth: ConnectionAuth | null
  /** Trust, keys and versions of an https URL. */
  readonly tls: ConnectionOptions
  readonly proxy: Proxy | null
  /** Sockets at most; further requests wait for one of them. */
  readonly maxSockets: number
  /** `max.connection.idle.time.ms`; negative for as long as the server likes. */
  readonly idleMs: number
  /** `connection.timeout.ms`, TLS and the tunnel through a proxy within; 0 for no limit. */
  readonly connectMs: number
}

/** What the transport says about one request. */
export interface ExchangeOptions {
  readonly signal?: AbortSignal
  /** `read.timeout.ms`: from the call to the last byte of the answer; absent for no limit. */
  readonly timeout?: number | null
  /** Bytes of an answer above which it is refused. */
  readonly maxResponseSize?: number
  readonly maxCompressedResponseSize?: number
}

/**
 * One node. The client's own class over Node's HTTP client stops listening to the signal once headers came, and that
 * over undici costs a task 10 MB of memory.
 */
export class HttpConnection extends ConnectionBase {
  readonly #agent: Agent
  readonly #send: (options: RequestOptions) => ClientRequest
  readonly #connectMs: number
  /** Of an http URL behind a proxy; one of an https URL is reached through the agent's tunnel. */
  readonly #forwarder: Proxy | null
  readonly #prefix: string

  constructor({ url, auth, tls, proxy, maxSockets, idleMs, connectMs }: HttpConnectionOptions) {
    super({ url: withoutCredentials(url), ...credentials(url, auth) })
    // The timeout closes sockets that nobody uses, and no others.
    const keepAlive = { keepAlive: true, maxSockets, ...(idleMs >= 0 && { timeout: Math.max(1, idleMs) }) }
    this.#agent = agentOf(url.protocol, { ...keepAlive, ...tls }, proxy, connectMs)
    this.#send = senderOf(url.protocol)
    this.#connectMs = connectMs
    this.#forwarder = url.protocol === 'http:' ? proxy : null
    this.#prefix = url.pathname.replace(/\/+$/, '')
  }

  /**
   * @throws TimeoutError, ConnectionError: whether the server has done the work is not known
   * @throws RequestAbortedError by the signal, and for an answer that is too large
   */
  async request(request: ConnectionRequest, options: ExchangeOptions): Promise<ConnectionAnswer> {
    const outgoing = this.#send(this.#requestOptions(request))
    return await exchange(outgoing, request.body, { ...options, connectMs: this.#connectMs })
  }

  /** Closes every socket, also those in use. */
  close(): void {
    this.#agent.destroy()
  }

  #requestOptions({ method, path, querystring = '', headers }: ConnectionRequest): RequestOptions {
    const { host, hostname, port } = this.url
    const options = {
      method,
      hostname: hostname.replace(/^\[(.*)\]$/, '$1'),
      ...(port !== '' && { port }),
      path: `${this.#prefix}${path}${querystring === '' ? '' : `?${querystring}`}`,
      headers: { ...this.headers, ...headers },
      agent: this.#agent,
    }
    if (this.#forwarder === null) return options
    // RFC 9112, 3.2.2: proxies usually allow CONNECT to the ports of TLS alone, and take the whole URL for the rest.
    return {
      ...options,
      hostname: this.#forwarder.hostname,
      port: this.#forwarder.port,
      path: `http://${host}${options.path}`,
      headers: { ...options.headers, host, ...this.#forwarder.headers },
    }
  }
}

/** Those of the URL, unless there are others. */
function credentials(url: URL, auth: ConnectionAuth | null): { readonly auth?: ConnectionAuth } {
  if (auth !== null) return { auth }
  const { username, password } = url
  if (username === '' || password === '') return {}
  return { auth: { username: decodeURIComponent(username), password: decodeURIComponent(password) } }
}

/** Errors of the transport may name the URL (I8). */
function withoutCredentials(url: URL): URL {
  const bare = new URL(url)
  bare.username = ''
  bare.password = ''
  return bare
}

/** Sends the body and reads the whole answer; whatever ends it early closes the socket. */
async function exchange(
  outgoing: ClientRequest,
  body: ConnectionRequest['body'],
  { connectMs, timeout, signal, ...limits }: ExchangeOptions & { readonly connectMs: number },
): Promise<ConnectionAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<ConnectionAnswer>()
  // The promise takes the first of all that may happen; a socket that is closed reports errors afterwards, too.
  const fail = (error: Error) => {
    reject(error)
    outgoing.destroy()
  }
  const abort = () => fail(new RequestAbortedError('The request was aborted'))
  const timer = timeout
    ? setTimeout(() => fail(new TimeoutError(`no answer within read.timeout.ms=${timeout}`)), timeout)
    : undefined
  outgoing.on('error', (error) => fail(connectionError(error)))
  outgoing.on('close', () => fail(new ConnectionError('The connection was closed before the answer was complete')))
  outgoing.once('socket', (socket) => limitConnecting(outgoing, socket, connectMs))
  outgoing.once('response', (incoming) => {
    readAnswer(incoming, limits, fail, (answer) => {
      resolve(answer)
      // An answer before the whole request, such as 413: its bytes are not to be sent any more, they may change now.
      if (!outgoing.writableFinished) outgoing.destroy()
    })
  })
  signal?.addEventListener('abort', abort, { once: true })
  try {
    if (signal?.aborted === true) abort()
    else outgoing.end(body ?? undefined)
    return await promise
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

/** A socket that is new must be connected, and its TLS agreed on, in time. */
function limitConnecting(outgoing: ClientRequest, socket: Socket, connectMs: number): void {
  const isSecure = 'encrypted' in socket
  // Types of Node leave out the flag of a handshake under way.
  const isReady = isSecure
    ? (socket as TLSSocket & { readonly secureConnecting?: boolean }).secureConnecting === false
    : !socket.connecting
  if (isReady || connectMs === 0) return
  let isLate = true
  const timer = setTimeout(() => {
    // A thread that was held up looks at its sockets first: the connection may be there.
    setImmediate(() => {
      if (isLate) outgoing.destroy(new Error(`no connection within connection.timeout.ms=${connectMs}`))
    })
  }, connectMs)
  socket.once(isSecure ? 'secureConnect' : 'connect', () => {
    isLate = false
    clearTimeout(timer)
  })
  outgoing.once('close', () => clearTimeout(timer))
}

function readAnswer(
  incoming: IncomingMessage,
  { maxResponseSize = Number.POSITIVE_INFINITY, maxCompressedResponseSize = Number.POSITIVE_INFINITY }: ExchangeOptions,
  fail: (error: Error) => void,
  done: (answer: ConnectionAnswer) => void,
): void {
  const { headers, statusCode = 0 } = incoming
  const maxBytes = headers['content-encoding'] === undefined ? maxResponseSize : maxCompressedResponseSize
  const tooLarge = (bytes: number) =>
    fail(new RequestAbortedError(`The answer has ${bytes} bytes or more, where ${maxBytes} are taken at most`))
  const declared = Number(headers['content-length'] ?? 0)
  if (declared > maxBytes) return tooLarge(declared)
  const chunks: Buffer[] = []
  let length = 0
  incoming.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length > maxBytes) tooLarge(length)
    else chunks.push(chunk)
  })
  incoming.once('error', (error) => fail(connectionError(error)))
  incoming.once('end', () => {
    const [single = Buffer.alloc(0)] = chunks
    done({ statusCode, headers, body: chunks.length > 1 ? Buffer.concat(chunks, length) : single })
  })
}

/** An error of the socket; where each address of a name was refused it says so by its code alone. */
function connectionError(cause: unknown): Error {
  const error = toError(cause)
  const code = 'code' in error ? String(error.code) : error.name
  // The transport makes an error of its own of this one, and keeps its cause: by its code a user can be told what to do.
  return new ConnectionError(error.message.trim() || code, undefined, {
    redaction: { type: 'remove' },
    cause: error,
  })
}
