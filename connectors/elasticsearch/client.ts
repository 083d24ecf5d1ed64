import type { ConnectionOptions } from 'node:tls'
import { Client, Serializer, Transport } from '@elastic/elasticsearch'
import { parseJson } from '../../worker/api/json.ts'
import { clientTls, sslText } from '../../worker/api/tls/ssl-options.ts'
import { awsKeysOf, sdkCredentials } from '../common/aws-credentials.ts'
import { BulkSuccess } from './bulk-answer.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { nodeUrl } from './node-urls.ts'
import { proxiedConnection } from './proxy-connection.ts'
import { type SignedRequest, type SigningKeys, signedHeaders } from './sigv4.ts'

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

type ClientOptions = ConstructorParameters<typeof Client>[0]

// Plain JSON is understood by every server from 7 on, while the client's own media types tie it to one major version.
const jsonHeaders = { accept: 'application/json', 'content-type': 'application/json' }
const ndjsonHeaders = { accept: 'application/json', 'content-type': 'application/x-ndjson' }

/** Longest wait that a timer of Node takes. */
const longestTimerMs = 0x7fffffff

/** No answer within `read.timeout.ms`; the server may have done the work all the same. */
class ReadTimeout extends Error {
  // The name by which the client's own timeouts go, see `classify`.
  override readonly name = 'TimeoutError'

  constructor(timeoutMs: number) {
    super(`no answer within read.timeout.ms=${timeoutMs}`)
  }
}

/** Answers may hold documents: integers beyond 2^53 stay exact (I6), and `__proto__` is a field like any other. */
class ExactSerializer extends Serializer {
  override deserialize<T = unknown>(json: string): T {
    return (BulkSuccess.of(json) ?? parseJson(json)) as T
  }
}

/** OpenSearch and Elasticsearch before 7.14 do not name themselves in a header, without which the client refuses them. */
class AnyProductTransport extends Transport {
  constructor({ productCheck: _productCheck, ...options }: ConstructorParameters<typeof Transport>[0]) {
    super(options)
  }
}

/** Opens no connection yet. @throws ConfigError for stores that cannot be read */
export async function openConnection(config: ElasticsearchSinkConfig): Promise<ServerConnection> {
  const timeoutMs = config['read.timeout.ms'] || longestTimerMs
  const client = new Client(await clientOptions(config))
  const sign = config['auth.type'].toLowerCase() === 'sigv4' ? await requestSigner(config) : null
  return {
    async request({ method, path, query, json, ndjson }, signal) {
      const body = ndjson ?? json
      // A signal per request: on a timeout of its own the client sends an abort event to the signal it was given,
      // and a shared one would take all other requests with it. So the timeout is ours too.
      const timer = AbortSignal.timeout(timeoutMs)
      const ends = signal === undefined ? timer : AbortSignal.any([signal, timer])
      try {
        return await client.transport.request(
          {
            method,
            path,
            ...(query !== undefined && { querystring: query }),
            ...(ndjson !== undefined ? { bulkBody: asBuffer(ndjson) } : body !== undefined && { body }),
          },
          {
            // This connector counts its retries itself: one layer repeats, not two.
            maxRetries: 0,
            retryOnTimeout: false,
            headers: {
              ...(ndjson === undefined ? jsonHeaders : ndjsonHeaders),
              ...(sign !== null && (await sign({ method, path, query: query ?? '', body: bytesOf(body) }))),
            },
            signal: ends,
          },
        )
      } catch (error) {
        if (timer.aborted && signal?.aborted !== true) throw new ReadTimeout(timeoutMs)
        throw error
      }
    },
    close: async () => client.close(),
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

async function clientOptions(config: ElasticsearchSinkConfig): Promise<ClientOptions> {
  const idleMs = config['max.connection.idle.time.ms']
  const connectMs = config['connection.timeout.ms']
  const connections = Math.max(10, 2 * config['max.in.flight.requests'])
  const keepAliveMs = idleMs < 0 ? longestTimerMs : Math.max(1, idleMs)
  const tls = config['elastic.security.protocol'].toUpperCase() === 'SSL' ? tlsOptions(config) : null
  const proxy = proxyUrl(config)
  const common: ClientOptions = {
    nodes: nodeUrls(config),
    Serializer: ExactSerializer,
    Transport: AnyProductTransport,
    maxRetries: 0,
    requestTimeout: 0,
    compression: config['connection.compression'],
    enableMetaHeader: false,
    redaction: { type: 'remove' },
    ...authOptions(config),
    // The client hands these options to the connector of its sockets, encrypted or not.
    tls: { ...tls, timeout: connectMs },
  }
  if (proxy !== null) {
    return { ...common, Connection: proxiedConnection(proxy), proxy, agent: { maxSockets: connections } }
  }
  return {
    ...common,
    agent: {
      connections,
      keepAliveTimeout: keepAliveMs,
      keepAliveMaxTimeout: keepAliveMs,
    },
  }
}

function nodeUrls(config: ElasticsearchSinkConfig): string[] {
  return config['connection.url'].flatMap((element) => nodeUrl(element) ?? [])
}

function authOptions(config: ElasticsearchSinkConfig): Partial<Pick<ClientOptions, 'auth'>> {
  const type = config['auth.type'].toLowerCase()
  const auto = type === 'auto'
  const apiKey = config['auth.api.key']
  const bearer = config['auth.bearer.token']
  const username = config['connection.username']
  const password = config['connection.password']
  if (apiKey !== null && (auto || type === 'api_key')) return { auth: { apiKey: apiKey.reveal() } }
  if (bearer !== null && (auto || type === 'bearer')) return { auth: { bearer: bearer.reveal() } }
  if (username !== null && password !== null && (auto || type === 'basic')) {
    return { auth: { username, password: password.reveal() } }
  }
  return {}
}

function proxyUrl(config: ElasticsearchSinkConfig): URL | null {
  if (config['proxy.host'] === '') return null
  const url = new URL(`http://${config['proxy.host']}:${config['proxy.port']}`)
  url.username = config['proxy.username']
  url.password = config['proxy.password']?.reveal() ?? ''
  return url
}

function tlsOptions(config: ElasticsearchSinkConfig): ConnectionOptions {
  return clientTls({ prefix: 'elastic.https.ssl.', get: (option) => sslText(config[`elastic.https.ssl.${option}`]) })
}
