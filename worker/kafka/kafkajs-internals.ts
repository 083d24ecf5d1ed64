/**
 * The parts of kafkajs 2.2.4 below its public interface that this layer stands on: connections (TCP, TLS, framing,
 * correlation, request timeouts), authentication (SASL handshake and re-authentication), version negotiation, and the
 * group and admin requests of `Broker`. The package is pinned exactly and no longer changes; the shapes below are held
 * to it by `test/unit/worker/kafka/kafkajs-internals.test.ts`.
 */
import { createRequire } from 'node:module'
import { isIP, connect as netConnect, type OnReadOpts, type Socket } from 'node:net'
import type { Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import { nodeTls } from '../api/node-modules.ts'
import type { ClientTls } from '../api/tls/ssl-options.ts'
import { AnswerReader } from './answer-reader.ts'
import type { ConnectionConfig } from './client-config.ts'

export interface ApiVersionRange {
  readonly minVersion: number
  readonly maxVersion: number
}

export type ApiVersions = Readonly<Record<number, ApiVersionRange>>

/** Entry of a request that waits for its answer. */
export interface PushedRequest {
  readonly entry: {
    readonly apiKey: number
    readonly apiName: string
    readonly apiVersion: number
    readonly correlationId: number
    resolve(answer: { readonly payload: Buffer | null; readonly size: number }): void
    reject(error: Error): void
  }
  readonly expectResponse: boolean
  /** Takes effect when above the connection's own timeout. */
  readonly requestTimeout: number | null
  sendRequest(): void
}

export interface RequestQueue {
  readonly pending: readonly unknown[]
  readonly inflight: ReadonlyMap<number, unknown>
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  push(request: PushedRequest): void
  checkPendingRequests(): void
  scheduleCheckPendingRequests(): void
  maybeThrottle(ms: number): void
  fulfillRequest(answer: { readonly correlationId: number; readonly payload: Buffer; readonly size: number }): void
  rejectAll(error: Error): void
  destroy(): void
}

export interface Connection {
  readonly requestQueue: RequestQueue
  readonly socket?: Socket
  /** Opens the socket of each attempt to connect. */
  socketFactory: (request: SocketRequest) => Socket
  /** Set while an exchange of the login is under way, whose bytes only kafkajs can read. */
  readonly authHandlers: object | null
  processData(bytes: Buffer): void
  connectionStatus: 'connected' | 'disconnecting' | 'disconnected'
  /** Bytes of an answer that is not complete yet. */
  chunks: Buffer[]
  bytesBuffered: number
  bytesNeeded: number
  readonly host: string
  readonly port: number
  isConnected(): boolean
  isAuthenticated(): boolean
  connect(): Promise<unknown>
  authenticate(): Promise<void>
  disconnect(): Promise<unknown>
  nextCorrelationId(): number
}

export interface ConnectionPool {
  readonly host: string
  readonly port: number
  readonly sasl: object | null
  /** Two: 0 for everything, 1 for Fetch. */
  readonly pool: readonly Connection[]
  getConnection(index?: number): Promise<Connection>
}

export interface JoinGroupAnswer {
  readonly generationId: number
  readonly groupProtocol: string | null
  readonly leaderId: string
  readonly memberId: string
  readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[]
}

/** One node of the cluster and the requests that this layer takes from kafkajs. */
export interface Broker {
  readonly connectionPool: ConnectionPool
  readonly versions: ApiVersions | null
  isConnected(): boolean
  connect(): Promise<void>
  findGroupCoordinator(request: { groupId: string; coordinatorType: 0 | 1 }): Promise<{
    readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number }
  }>
  joinGroup(request: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    protocolType: string
    groupProtocols: readonly { name: string; metadata: Buffer }[]
  }): Promise<JoinGroupAnswer>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ readonly memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  describeGroups(request: { groupIds: readonly string[] }): Promise<{
    readonly groups: readonly {
      readonly groupId: string
      readonly state: string
      readonly members: readonly { readonly memberId: string; readonly clientId: string }[]
    }[]
  }>
  deleteTopics(request: { topics: readonly string[]; timeout?: number }): Promise<unknown>
  describeConfigs(request: {
    resources: readonly { type: number; name: string; configNames: readonly string[] }[]
  }): Promise<{
    readonly resources: readonly {
      readonly configEntries: readonly { readonly configName: string; readonly configValue: string | null }[]
    }[]
  }>
}

interface SocketRequest {
  readonly host: string
  readonly port: number
  readonly ssl: ClientTls | null
  readonly onConnect: () => void
}

interface ConnectionPoolOptions {
  readonly host: string
  readonly port: number
  readonly logger: unknown
  readonly clientId: string
  readonly ssl: ClientTls | null
  readonly sasl: object | null
  readonly socketFactory: (request: SocketRequest) => Socket
  readonly connectionTimeout: number
  readonly requestTimeout: number
  readonly enforceRequestTimeout: boolean
}

interface Internals {
  readonly Broker: new (options: {
    connectionPool: ConnectionPool
    logger: unknown
    nodeId: number | null
    authenticationTimeout: number
    allowAutoTopicCreation: boolean
  }) => Broker
  readonly ConnectionPool: new (options: ConnectionPoolOptions) => ConnectionPool
  readonly createLogger: (options: { level: number; logCreator: () => (entry: LogEntry) => void }) => unknown
}

interface LogEntry {
  readonly namespace: string
  readonly label: string
  readonly log: { readonly message: string; readonly broker?: string }
}

const require = createRequire(import.meta.url)

function internals(): Internals {
  return {
    Broker: require('kafkajs/src/broker/index.js') as Internals['Broker'],
    ConnectionPool: require('kafkajs/src/network/connectionPool.js') as Internals['ConnectionPool'],
    createLogger: (require('kafkajs/src/loggers/index.js') as Pick<Internals, 'createLogger'>).createLogger,
  }
}

const ERRORS_ONLY = 1

/** Looks at what goes over connections, and changes nothing of it. */
export interface ConnectionMeter {
  watch(socket: Socket): Socket
  metered(request: PushedRequest): PushedRequest
}

/** Makes brokers of one client; nothing connects yet. */
export function brokerMaker(
  config: ConnectionConfig,
  log: Logger | null,
  traffic: ConnectionMeter | null = null,
): (host: string, port: number, nodeId: number | null) => Broker {
  const parts = internals()
  // kafkajs logs at "error" what this layer retries, so its lines are debug lines here. Messages only: some of its
  // extra fields hold whole requests.
  const logger = parts.createLogger({
    level: ERRORS_ONLY,
    logCreator: () => (entry) =>
      log?.debug({ broker: entry.log.broker, namespace: entry.namespace }, `kafkajs: ${entry.log.message}`),
  })
  return (host, port, nodeId) => {
    const connectionPool = new parts.ConnectionPool({
      host,
      port,
      logger,
      clientId: config.clientId,
      ssl: config.tls,
      // A copy each: the authenticator stores itself in the object.
      sasl: config.sasl === null ? null : { ...config.sasl },
      socketFactory: (request) => openSocket(request),
      connectionTimeout: config.connectionTimeoutMs,
      requestTimeout: config.requestTimeoutMs,
      enforceRequestTimeout: true,
    })
    for (const connection of connectionPool.pool) restTimer(connection.requestQueue)
    const fetching = connectionPool.pool[1]
    if (fetching !== undefined) readAnswers(fetching)
    if (traffic !== null) for (const connection of connectionPool.pool) watchTraffic(connection, traffic)
    return new parts.Broker({
      connectionPool,
      logger,
      nodeId,
      authenticationTimeout: config.connectionTimeoutMs,
      allowAutoTopicCreation: false,
    })
  }
}

function watchTraffic(connection: Connection, traffic: ConnectionMeter): void {
  const { requestQueue, socketFactory } = connection
  connection.socketFactory = (request) => traffic.watch(socketFactory(request))
  const push = requestQueue.push.bind(requestQueue)
  requestQueue.push = (request) => push(traffic.metered(request))
}

/**
 * kafkajs 2.2.4 re-arms a timer with a negative delay after each answer: about 900 wake-ups a second per idle
 * connection (tulios/kafkajs#1556). A timer is needed only while something waits for a throttle to end.
 */
function restTimer(queue: RequestQueue): void {
  const original = queue.scheduleCheckPendingRequests.bind(queue)
  queue.scheduleCheckPendingRequests = () => {
    if (queue.pending.length > 0) original()
  }
}

const answerReaders = new WeakMap<Connection, AnswerReader>()

/** What reads the answers of this connection; undefined for those that kafkajs reads. */
export function answersOf(connection: Connection): AnswerReader | undefined {
  return answerReaders.get(connection)
}

/** From now on the answers on this connection do not pass through kafkajs's buffers. */
function readAnswers(connection: Connection): void {
  const reader = new AnswerReader((answer) =>
    connection.requestQueue.fulfillRequest({
      correlationId: answer.readInt32BE(0),
      payload: answer.subarray(4),
      size: answer.length,
    }),
  )
  answerReaders.set(connection, reader)
  connection.socketFactory = (request) => {
    reader.reset()
    const socket = openSocket(request, {
      buffer: () => reader.target(),
      callback: (count, target) => {
        try {
          // The authenticator asks and waits in turn, so none of these bytes belong to another answer.
          if (connection.authHandlers === null) reader.advance(count)
          else connection.processData(Buffer.from(target.subarray(0, count)))
        } catch (error) {
          socket.destroy(toError(error))
        }
        return true
      },
    })
    return socket
  }
}

const KEEP_ALIVE_MS = 60_000

/** @param onread takes the place of `data` events */
function openSocket({ host, port, ssl, onConnect }: SocketRequest, onread?: OnReadOpts): Socket {
  const reads = onread === undefined ? {} : { onread }
  const socket =
    ssl === null
      ? netConnect({ host, port, ...reads }, onConnect)
      : nodeTls().connect(
          { host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl, ...reads },
          onConnect,
        )
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  // Requests are written whole; Nagle's algorithm would only hold back the tail of each.
  socket.setNoDelay(true)
  return socket
}
