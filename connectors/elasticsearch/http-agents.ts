/** Sockets to Elasticsearch: plain, with TLS, and with TLS through the tunnel of a proxy. */
import type { Agent } from 'node:http'
import type { AgentOptions, RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { nodeHttp, nodeHttps } from '../../worker/api/node-modules.ts'

/** An HTTP proxy, and the header of its credentials, if there are any. */
export interface Proxy {
  readonly hostname: string
  readonly port: string
  readonly headers: Readonly<Record<string, string>>
}

/** Sends a request to a URL of the protocol. */
export function senderOf(protocol: string): typeof import('node:http').request {
  return protocol === 'http:' ? nodeHttp().request : nodeHttps().request
}

/** @param connectMs for the proxy to open the tunnel; 0 for no limit */
export function agentOf(protocol: string, options: AgentOptions, proxy: Proxy | null, connectMs: number): Agent {
  if (protocol === 'http:') return new (nodeHttp().Agent)(options)
  const agent = new (nodeHttps().Agent)(options)
  if (proxy === null) return agent
  const speakTls = agent.createConnection.bind(agent)
  agent.createConnection = (to, callback) => {
    // An error comes without a socket; the types ask for one.
    const done = callback as (error: Error | null, socket?: Duplex | null) => void
    openTunnel(to, proxy, connectMs)
      .then((socket) => speakTls({ ...to, socket } as RequestOptions))
      .then((socket) => done(null, socket), done)
    return undefined
  }
  return agent
}

/** Asks the proxy for a connection to the node (RFC 9110, 9.3.6). */
async function openTunnel({ host, port }: RequestOptions, proxy: Proxy, connectMs: number): Promise<Duplex> {
  const target = `${host}:${port}`
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>()
  const connecting = nodeHttp().request({
    method: 'CONNECT',
    hostname: proxy.hostname,
    port: proxy.port,
    path: target,
    headers: { host: target, ...proxy.headers },
    setHost: false,
    agent: false,
    timeout: connectMs,
  })
  connecting.once('connect', ({ statusCode }, socket) => {
    // The socket belongs to the tunnel from here on.
    socket.setTimeout(0)
    if (statusCode === 200) return resolve(socket)
    socket.destroy()
    reject(new Error(`The proxy answered ${statusCode} when it was asked for a tunnel`))
  })
  connecting.once('timeout', () => {
    connecting.destroy(new Error(`no tunnel within connection.timeout.ms=${connectMs}`))
  })
  connecting.once('error', reject)
  connecting.end()
  return await promise
}
