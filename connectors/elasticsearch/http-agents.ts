/** Sockets to Elasticsearch: plain, with TLS, and with TLS through the tunnel of a proxy. */
import type { Agent } from 'node:http'
import type { AgentOptions, RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'

/** An HTTP proxy, and the header of its credentials, if there are any. */
export interface Proxy {
  readonly hostname: string
  readonly port: string
  readonly headers: Readonly<Record<string, string>>
}

// By `import` these modules would load the copy of undici that Node has in itself, for the sake of one export that is
// never used: 3 MB in every thread.
const http = process.getBuiltinModule('node:http')
const https = process.getBuiltinModule('node:https')

/** Sends a request to a URL of the protocol. */
export function senderOf(protocol: string): typeof http.request {
  return protocol === 'http:' ? http.request : https.request
}

/** @param connectMs for the proxy to open the tunnel; 0 for no limit */
export function agentOf(protocol: string, options: AgentOptions, proxy: Proxy | null, connectMs: number): Agent {
  if (protocol === 'http:') return new http.Agent(options)
  if (proxy === null) return new https.Agent(options)
  return new TunnelAgent(options, proxy, connectMs)
}

/** Asks the proxy for a connection to the node (RFC 9110, 9.3.6) and speaks TLS with the node through it. */
class TunnelAgent extends https.Agent {
  readonly #proxy: Proxy
  readonly #connectMs: number

  constructor(options: AgentOptions, proxy: Proxy, connectMs: number) {
    super(options)
    this.#proxy = proxy
    this.#connectMs = connectMs
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    // An error comes without a socket; the types ask for one.
    const done = callback as (error: Error | null, socket?: Duplex | null) => void
    const { hostname, port, headers } = this.#proxy
    const target = `${options.host}:${options.port}`
    const connecting = http.request({
      method: 'CONNECT',
      hostname,
      port,
      path: target,
      headers: { host: target, ...headers },
      setHost: false,
      agent: false,
      timeout: this.#connectMs,
    })
    connecting.once('connect', ({ statusCode }, socket) => {
      // The socket belongs to the tunnel from here on.
      socket.setTimeout(0)
      if (statusCode === 200) return done(null, super.createConnection({ ...options, socket } as RequestOptions))
      socket.destroy()
      done(new Error(`The proxy answered ${statusCode} when it was asked for a tunnel`))
    })
    connecting.once('timeout', () => {
      connecting.destroy(new Error(`no tunnel within connection.timeout.ms=${this.#connectMs}`))
    })
    connecting.once('error', done)
    connecting.end()
  }
}
