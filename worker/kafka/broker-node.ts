/**
 * One broker as this layer uses it: connects and authenticates on demand, sends our own messages in call order
 * without copying their payload, and gives up its connections as a whole when one of them misbehaves.
 */
import { ConnectError, RetriableError } from '../api/errors.ts'
import { brokerError, kafkaError } from './errors.ts'
import { type ApiVersions, answersOf, type Broker, type Connection } from './kafkajs-internals.ts'
import { WireReader, WireWriter } from './wire.ts'

/** One of our own messages. */
export interface ApiRequest<T> {
  readonly apiKey: number
  readonly apiName: string
  readonly apiVersion: number
  /** Message versions with tagged fields (KIP-482). */
  readonly flexible?: boolean
  /** Waits this long beyond `request.timeout.ms` when larger (long polls). */
  readonly timeoutMs?: number
  /** False only for Produce with acks=0. */
  readonly expectResponse?: boolean
  /** Parts of the body, written in order, not copied. */
  readonly body: readonly Uint8Array[]
  /** Sets `reader.throttleMs` where the message carries it. */
  decode(reader: WireReader): T
}

/** A message of which brokers of different age speak different versions: the highest that both sides know is sent. */
export interface VersionedRequest<T> {
  readonly api: { readonly key: number; readonly name: string; readonly least: number; readonly most: number }
  readonly at: (version: number) => ApiRequest<T>
}

/** Fetch long-polls, so it has a connection of its own: nothing else waits behind it. */
export type Lane = 'main' | 'fetch'

export class BrokerNode {
  readonly id: number | null
  readonly host: string
  readonly port: number
  readonly #broker: Broker
  readonly #clientId: string
  #mainReady: Promise<void> | null = null
  #fetchReady: Promise<void> | null = null
  #closed = false
  /** Monotonic ms before which no new connection is tried, and the pause after the next failure (back-off). */
  #restUntil = 0
  #restMs = 50

  constructor(broker: Broker, clientId: string, id: number | null) {
    this.#broker = broker
    this.#clientId = clientId
    this.id = id
    this.host = broker.connectionPool.host
    this.port = broker.connectionPool.port
  }

  get address(): string {
    return `${this.host}:${this.port}`
  }

  /** True when a request can be sent at once. */
  isReady(lane: Lane = 'main'): boolean {
    const connection = this.#connection(lane)
    // Without SASL kafkajs never calls a connection authenticated; with it, not when KIP-368 asks for a new login.
    // Not `isConnected()`: kafkajs counts a connection that is being closed as connected.
    // Connected is not yet ready: which versions the broker speaks is asked over the new connection first.
    const open = connection.connectionStatus === 'connected' && this.#broker.versions !== null
    return open && (this.#broker.connectionPool.sasl === null || connection.isAuthenticated())
  }

  /** Milliseconds until a connection may be tried again after a failure; 0 when connected or free to try. */
  restMs(): number {
    return this.isReady() ? 0 : Math.max(0, this.#restUntil - performance.now())
  }

  /**
   * Connects and authenticates.
   * @throws RetriableError `CONNECT_KAFKA_UNREACHABLE`; ConnectError `CONNECT_KAFKA_AUTHENTICATION`
   */
  async connect(lane: Lane = 'main'): Promise<void> {
    if (this.#closed) throw new RetriableError('CONNECT_KAFKA_CLOSED', `The connection to ${this.address} was closed`)
    if (this.isReady(lane)) return
    if (lane === 'main') {
      this.#mainReady ??= this.#open(this.#connectMain()).finally(() => {
        this.#mainReady = null
      })
      return this.#mainReady
    }
    this.#fetchReady ??= this.#open(this.#connectFetch()).finally(() => {
      this.#fetchReady = null
    })
    return this.#fetchReady
  }

  async #connectMain(): Promise<void> {
    await this.#settled('main')
    await this.#broker.connect()
    // kafkajs is content when either connection is logged in: this one may be due for a new login (KIP-368).
    const { pool, sasl } = this.#broker.connectionPool
    if (sasl !== null) await pool[0]?.authenticate()
  }

  /** kafkajs ends a connection over several microtasks; a new one must not begin among them. */
  async #settled(lane: Lane): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    forgetPartialAnswer(this.#connection(lane))
  }

  async #connectFetch(): Promise<void> {
    await this.#settled('fetch')
    // Versions come from the main connection; both are told.
    if (this.#broker.versions === null || !this.isReady('main')) await this.connect('main')
    const connection = await this.#broker.connectionPool.getConnection(1)
    await connection.authenticate()
  }

  async #open(opening: Promise<void>): Promise<void> {
    try {
      await opening
      this.#restMs = 50
      // Closed meanwhile: the new socket must not stay open.
      if (this.#closed) this.#drop('closed')
    } catch (error) {
      this.#restUntil = performance.now() + this.#restMs
      this.#restMs = Math.min(1000, this.#restMs * 2)
      this.#drop('connecting failed')
      throw connectionError(error, this.address)
    }
  }

  get versions(): ApiVersions {
    return this.#broker.versions ?? {}
  }

  /**
   * Highest version of an API that both sides speak.
   * @throws ConnectError `CONNECT_KAFKA_VERSION`; RetriableError before the first connection
   */
  version(apiKey: number, apiName: string, least: number, most: number): number {
    // Not known is not the same as not offered: a connection is still being opened.
    if (this.#broker.versions === null) {
      throw new RetriableError(
        'CONNECT_KAFKA_UNREACHABLE',
        `The versions that ${this.address} speaks are not known yet`,
      )
    }
    const range = this.versions[apiKey]
    const version = Math.min(most, range?.maxVersion ?? -1)
    if (range === undefined || version < least || version < range.minVersion) {
      const offered = range === undefined ? 'none' : `${range.minVersion} to ${range.maxVersion}`
      throw kafkaError(
        'CONNECT_KAFKA_VERSION',
        `${this.address} offers ${apiName} ${offered}; ${least} to ${most} are known`,
      )
    }
    return version
  }

  /**
   * Sends one message. When the lane is ready it is on its way before this returns, in the order of calls.
   * @throws RetriableError `CONNECT_KAFKA_UNREACHABLE`, `CONNECT_KAFKA_TIMEOUT`: whether the broker acted is unknown
   * @throws ConnectError `CONNECT_KAFKA_VERSION`: the broker is too old
   */
  async send<T>(request: ApiRequest<T> | VersionedRequest<T>, lane: Lane = 'main'): Promise<T> {
    if (!this.isReady(lane)) await this.connect(lane)
    return await this.#push('at' in request ? this.#negotiated(request) : request, lane)
  }

  #negotiated<T>({ api, at }: VersionedRequest<T>): ApiRequest<T> {
    return at(this.version(api.key, api.name, api.least, api.most))
  }

  /** One of kafkajs's own requests. Errors carry the broker's code like those of our own messages. */
  async call<T>(attempt: string, request: (broker: Broker) => Promise<T>): Promise<T> {
    await this.connect()
    try {
      return await request(this.#broker)
    } catch (error) {
      throw this.#requestError(error, attempt)
    }
  }

  #push<T>(request: ApiRequest<T>, lane: Lane): Promise<T> {
    const connection = this.#connection(lane)
    const { apiKey, apiName, apiVersion, expectResponse = true } = request
    const correlationId = connection.nextCorrelationId()
    const head = frameHead(request, correlationId, this.#clientId)
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const queue = connection.requestQueue
    // After a throttle has ended kafkajs would let a new request pass those that waited: drain them first.
    if (queue.pending.length > 0) queue.checkPendingRequests()
    queue.push({
      entry: {
        apiKey,
        apiName,
        apiVersion,
        correlationId,
        resolve: ({ payload }) => {
          try {
            const reader = new WireReader(payload ?? Buffer.alloc(0), `${apiName} answer of ${this.address}`)
            const answer = request.decode(reader)
            if (reader.throttleMs > 0) queue.maybeThrottle(reader.throttleMs)
            resolve(answer)
          } catch (error) {
            reject(error)
          }
        },
        reject: (error) => reject(this.#requestError(error, `send ${apiName} to ${this.address}`)),
      },
      expectResponse,
      requestTimeout: request.timeoutMs ?? null,
      sendRequest: () => {
        const socket = connection.socket
        if (socket === undefined) return
        socket.cork()
        socket.write(head)
        for (const part of request.body) socket.write(part)
        socket.uncork()
      },
    })
    return promise
  }

  #requestError(error: unknown, attempt: string): ConnectError {
    const mapped = fromKafkaJs(error, attempt, this.address)
    // After a timeout the connection may hang for good, and answers come in order: start over, as the Java client does.
    if (mapped.code === 'CONNECT_KAFKA_TIMEOUT' && isNamed(error, 'KafkaJSRequestTimeoutError'))
      this.#drop('request timeout')
    return mapped
  }

  #connection(lane: Lane): Connection {
    const connection = this.#broker.connectionPool.pool[lane === 'main' ? 0 : 1]
    if (connection === undefined) throw new Error('kafkajs has no second connection per broker any more')
    return connection
  }

  /** Nobody looks at the fetch answer any more that these bytes are a view of: its storage may be written over. */
  reuse(bytes: Buffer): void {
    answersOf(this.#connection('fetch'))?.reuse(bytes)
  }

  /** Nothing is fetched at the moment: gives up what waits for answers to come. */
  shrink(): void {
    answersOf(this.#connection('fetch'))?.shrink()
  }

  /** Breaks a connection: what waits on it is rejected as unreachable, the next request connects anew. */
  drop(lane: Lane, reason: string): void {
    dropConnection(this.#connection(lane), reason)
  }

  #drop(reason: string): void {
    this.drop('main', reason)
    this.drop('fetch', reason)
  }

  close(): void {
    this.#closed = true
    this.#drop('closed')
  }
}

/**
 * At once and for good: `disconnect()` of kafkajs works on whatever socket it finds some microtasks later, which may
 * already be that of the next connection.
 */
function dropConnection(connection: Connection, reason: string): void {
  const { socket, requestQueue } = connection
  const error = Object.assign(new Error(`Connection dropped: ${reason}`), { name: 'KafkaJSConnectionError' })
  if (!connection.isConnected()) {
    // Still connecting, or down already: the error ends kafkajs's attempt and its timer.
    socket?.destroy(error)
    return
  }
  connection.connectionStatus = 'disconnected'
  requestQueue.rejectAll(error)
  requestQueue.destroy()
  socket?.removeAllListeners()
  socket?.on('error', () => undefined)
  socket?.destroy()
}

/** kafkajs keeps the bytes of a broken answer and would read the next connection's answers from their middle. */
function forgetPartialAnswer(connection: Connection): void {
  if (connection.isConnected()) return
  connection.chunks = []
  connection.bytesBuffered = 0
  connection.bytesNeeded = 4
}

/** Size, request header (v1, or v2 for flexible messages) and client id; the body follows. */
function frameHead<T>(request: ApiRequest<T>, correlationId: number, clientId: string): Buffer {
  const header = new WireWriter(64)
    .int32(0)
    .int16(request.apiKey)
    .int16(request.apiVersion)
    .int32(correlationId)
    .string(clientId)
  if (request.flexible === true) header.noTags()
  const head = header.done()
  let size = head.length - 4
  for (const part of request.body) size += part.length
  head.writeInt32BE(size, 0)
  return head
}

function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && names.includes(error.name)
}

function connectionError(error: unknown, address: string): ConnectError {
  if (error instanceof ConnectError) return error
  if (isNamed(error, 'KafkaJSSASLAuthenticationError') || saslRefused(error)) {
    return kafkaError('CONNECT_KAFKA_AUTHENTICATION', `${address} refused the login`, { address }, error)
  }
  return fromKafkaJs(error, `connect to ${address}`, address)
}

function saslRefused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 58 || error.code === 33)
}

/** TLS alerts and certificate failures come as Node errors with these codes; more tries do not help. */
const TLS_CODES = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_OSSL)/

function fromKafkaJs(error: unknown, attempt: string, address: string): ConnectError {
  if (error instanceof ConnectError) return error
  const code: unknown = error instanceof Error && 'code' in error ? error.code : null
  if (typeof code === 'number' && code !== -99) return brokerError(code, attempt, { address })
  if (typeof code === 'string' && TLS_CODES.test(code)) {
    return kafkaError(
      'CONNECT_KAFKA_AUTHENTICATION',
      `The TLS handshake with ${address} failed (${code})`,
      { address },
      error,
    )
  }
  const options = { cause: error, context: { address } }
  if (isNamed(error, 'KafkaJSRequestTimeoutError', 'KafkaJSLockTimeout')) {
    return new RetriableError('CONNECT_KAFKA_TIMEOUT', `Could not ${attempt} in time`, options)
  }
  if (isNamed(error, 'KafkaJSConnectionError', 'KafkaJSConnectionClosedError')) {
    return new RetriableError('CONNECT_KAFKA_UNREACHABLE', `Could not ${attempt}: no connection`, options)
  }
  return kafkaError('CONNECT_KAFKA_BROKER', `Could not ${attempt}`, { address }, error)
}
