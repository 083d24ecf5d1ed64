import type { ConnectionOptions } from 'node:tls'
import { parseJson } from '../../worker/api/json.ts'
import { clientTls, sslText } from '../../worker/api/tls/ssl-options.ts'
import { awsKeysOf, sdkCredentials } from '../common/aws-credentials.ts'
import { BulkSuccess } from './bulk-answer.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import type { Proxy } from './http-agents.ts'
import { HttpConnection } from './http-connection.ts'
import { NodePool } from './node-pool.ts'
import { nodeUrl } from './node-urls.ts'
import { type SignedRequest, type SigningKeys, signedHeaders } from './sigv4.ts'
import { ClientTransport, type ConnectionAuth, Serializer } from './transport-parts.ts'

/** One request; the body, if any, is sent as it is. */
export interface ServerRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST'
  readonly path: string
  readonly query?: string
  readonly json?: string
  readonly ndjson?: Uint8Array
}

/** The part of the client that the connector uses: one request, no retries of its own. */
export interface ServerConnection {
  /**
   * @returns a `BulkSuccess`, or what the body parses to
   * @throws the client's errors; `classify` knows them
   */
  request(request: ServerRequest, signal?: AbortSignal): Promise<unknown>
  close(): Promise<void>
}

// Plain JSON is understood by every server from 7 on, while the client's own media types tie it to one major version.
const jsonHeaders = { accept: 'application/json', 'content-type': 'application/json' }
const ndjsonHeaders = { accept: 'application/json', 'content-type': 'application/x-ndjson' }

/** Longest wait that a timer of Node takes. */
const longestTimerMs = 0x7fffffff

/** Answers may hold documents: integers beyond 2^53 stay exact (I6), and `__proto__` is a field like any other. */
class ExactSerializer extends Serializer {
  override deserialize<T = unknown>(json: string): T {
    return (BulkSuccess.of(json) ?? parseJson(json)) as T
  }
}

/** Opens no connection yet. @throws ConfigError for stores that cannot be read */
export async function openConnection(config: ElasticsearchSinkConfig): Promise<ServerConnection> {
  const pool = new NodePool(nodeConnections(config))
  // Without the client's check of the product: OpenSearch and Elasticsearch before 7.14 do not name themselves.
  const transport = new ClientTransport({
    connectionPool: pool,
    serializer: new ExactSerializer(),
    // This connector counts its retries itself: one layer repeats, not two.
    maxRetries: 0,
    requestTimeout: config['read.timeout.ms'] || longestTimerMs,
    compression: config['connection.compression'],
    enableMetaHeader: false,
    redaction: { type: 'remove' },
  })
  const sign = config['auth.type'].toLowerCase() === 'sigv4' ? await requestSigner(config) : null
  return {
    async request({ method, path, query, json, ndjson }, signal) {
      const body = ndjson ?? json
      return await transport.request(
        {
          method,
          path,
          ...(query !== undefined && { querystring: query }),
          ...(ndjson !== undefined ? { bulkBody: asBuffer(ndjson) } : body !== undefined && { body }),
        },
        {
          headers: {
            ...(ndjson === undefined ? jsonHeaders : ndjsonHeaders),
            ...(sign !== null && (await sign({ method, path, query: query ?? '', body: bytesOf(body) }))),
          },
          ...(signal !== undefined && { signal }),
        },
      )
    },
    close: async () => pool.close(),
  }
}

function bytesOf(body: Uint8Array | string | undefined): Uint8Array {
  return typeof body === 'string' ? Buffer.from(body) : (body ?? new Uint8Array())
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

type Signer = (request: Omit<SignedRequest, 'headers'>) => Promise<Readonly<Record<string, string>>>

/** Signs by the keys of the configuration, or those of AWS's default chain, which renews them in time. */
async function requestSigner(config: ElasticsearchSinkConfig): Promise<Signer> {
  const { host, pathname } = new URL(nodeUrls(config)[0] ?? '')
  const prefix = pathname.replace(/\/+$/, '')
  const region = config['aws.region']
  const own = awsKeysOf(config)
  const credentials = own === null ? await defaultChain(region) : async () => sdkCredentials(own)
  return async (request) => {
    const keys = await credentials()
    const scope = { region, service: config['aws.service'], keys, at: new Date() }
    return signedHeaders({ ...request, path: `${prefix}${request.path}` }, host, scope)
  }
}

async function defaultChain(region: string): Promise<() => Promise<SigningKeys>> {
  const { S3Client } = await import('@aws-sdk/client-s3')
  return new S3Client({ region }).config.credentials
}

/** One for each node. */
function nodeConnections(config: ElasticsearchSinkConfig): HttpConnection[] {
  const auth = authOf(config)
  const tls = config['elastic.security.protocol'].toUpperCase() === 'SSL' ? tlsOptions(config) : {}
  const proxy = proxyOf(config)
  return nodeUrls(config).map(
    (url) =>
      new HttpConnection({
        url: new URL(url),
        auth,
        tls,
        proxy,
        maxSockets: Math.max(10, 2 * config['max.in.flight.requests']),
        idleMs: config['max.connection.idle.time.ms'],
        connectMs: config['connection.timeout.ms'],
      }),
  )
}

function nodeUrls(config: ElasticsearchSinkConfig): string[] {
  return config['connection.url'].flatMap((element) => nodeUrl(element) ?? [])
}

/** Null where credentials can only be those of a node's URL. */
function authOf(config: ElasticsearchSinkConfig): ConnectionAuth | null {
  const type = config['auth.type'].toLowerCase()
  const auto = type === 'auto'
  const apiKey = config['auth.api.key']
  const bearer = config['auth.bearer.token']
  const username = config['connection.username']
  const password = config['connection.password']
  if (apiKey !== null && (auto || type === 'api_key')) return { apiKey: apiKey.reveal() }
  if (bearer !== null && (auto || type === 'bearer')) return { bearer: bearer.reveal() }
  if (username !== null && password !== null && (auto || type === 'basic')) {
    return { username, password: password.reveal() }
  }
  return null
}

function proxyOf(config: ElasticsearchSinkConfig): Proxy | null {
  const username = config['proxy.username']
  if (config['proxy.host'] === '') return null
  const credentials = Buffer.from(`${username}:${config['proxy.password']?.reveal() ?? ''}`).toString('base64')
  return {
    hostname: config['proxy.host'],
    port: String(config['proxy.port']),
    headers: username === '' ? {} : { 'proxy-authorization': `Basic ${credentials}` },
  }
}

function tlsOptions(config: ElasticsearchSinkConfig): ConnectionOptions {
  const tls = clientTls({
    prefix: 'elastic.https.ssl.',
    get: (option) => sslText(config[`elastic.https.ssl.${option}`]),
  })
  // In Java the protocol stands above `enabled.protocols`.
  return config['elastic.https.ssl.protocol'] === 'TLSv1.2' ? { ...tls, maxVersion: 'TLSv1.2' } : tls
}
