/** The Elasticsearch sink behind an HTTP proxy that wants credentials. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request as forward, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openConnection } from '../../connectors/elasticsearch/client.ts'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { readJavaKeyStore } from '../../worker/api/tls/java-key-store.ts'
import { elasticsearchConfig, type RawOptions } from '../unit/connectors/elasticsearch/support.ts'

const store = (name: string) => fileURLToPath(new URL(`../unit/worker/api/tls/stores/${name}`, import.meta.url))
const { key, certificates } = readJavaKeyStore(readFileSync(store('key.jks')), {
  password: 'store-pass',
  keyPassword: 'key-pass',
  option: 'test',
})
const expected = `Basic ${Buffer.from('häns:p@ss:word').toString('base64')}`

describe('Elasticsearch behind a proxy', () => {
  let atProxy: string[] = []
  let atServer: IncomingMessage['headers'][] = []
  const answer = (incoming: IncomingMessage, outgoing: import('node:http').ServerResponse) => {
    atServer.push(incoming.headers)
    incoming.resume()
    outgoing.setHeader('content-type', 'application/json').end('{"version":{"number":"9.4.3"}}')
  }
  const plain = createServer(answer)
  const encrypted = createTlsServer({ key: key?.privateKey, cert: key?.chain }, answer)
  const proxy = createServer((incoming, outgoing) => {
    atProxy.push(`${incoming.method} ${incoming.url}`)
    if (incoming.headers['proxy-authorization'] !== expected) return void outgoing.writeHead(407).end()
    const { 'proxy-authorization': _, ...headers } = incoming.headers
    const onwards = forward(incoming.url ?? '', { method: incoming.method ?? 'GET', headers }, (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(outgoing)
    })
    incoming.pipe(onwards)
  })
  proxy.on('connect', (incoming: IncomingMessage, socket: Socket) => {
    atProxy.push(`CONNECT ${incoming.url}`)
    if (incoming.headers['proxy-authorization'] !== expected) {
      return void socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
    }
    const tunnel = connect(portOf(encrypted), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      tunnel.pipe(socket).pipe(tunnel)
    })
    socket.on('error', () => tunnel.destroy())
  })
  const portOf = (server: Server) => (server.address() as AddressInfo).port
  const servers = [plain, encrypted, proxy]
  before(async () => {
    for (const server of servers) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
    }
  })
  after(() => {
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
  })

  const config = (url: string, options: RawOptions = {}) => {
    atProxy = []
    atServer = []
    return elasticsearchConfig({
      'connection.url': url,
      'proxy.host': '127.0.0.1',
      'proxy.port': String(portOf(proxy)),
      'proxy.username': 'häns',
      'proxy.password': 'p@ss:word',
      ...options,
    })
  }

  it('asks it for plain URLs by their whole text, with its credentials', async () => {
    const url = `http://127.0.0.1:${portOf(plain)}`
    const withUser = { 'connection.username': 'u', 'connection.password': 'p' }
    assert.deepEqual(await validateConnection(config(url, withUser)), [])
    assert.deepEqual(atProxy, [`GET ${url}/`])
    assert.equal(atServer[0]?.authorization, `Basic ${Buffer.from('u:p').toString('base64')}`)
    assert.equal(atServer[0]?.host, new URL(url).host)
  })

  it('sends bodies and queries through it, below the path of the URL', async () => {
    const url = `http://127.0.0.1:${portOf(plain)}/prefix`
    const connection = await openConnection(config(url))
    const ndjson = Buffer.from('{"index":{"_index":"a"}}\n{}\n')
    try {
      await connection.request({ method: 'POST', path: '/_bulk', query: 'filter_path=errors', ndjson })
    } finally {
      await connection.close()
    }
    assert.deepEqual(atProxy, [`POST ${url}/_bulk?filter_path=errors`])
    assert.equal(atServer[0]?.['content-length'], String(ndjson.length))
  })

  it('tunnels what is encrypted', async () => {
    const ssl = {
      'elastic.security.protocol': 'SSL',
      'elastic.https.ssl.truststore.certificates': certificates.join(''),
      'elastic.https.ssl.truststore.type': 'PEM',
    }
    assert.deepEqual(await validateConnection(config(`https://127.0.0.1:${portOf(encrypted)}`, ssl)), [])
    assert.deepEqual(atProxy, [`CONNECT 127.0.0.1:${portOf(encrypted)}`])
    assert.equal(atServer[0]?.['proxy-authorization'], undefined)
  })

  it('answers refused credentials at validation', async () => {
    const url = `http://127.0.0.1:${portOf(plain)}`
    const problems = await validateConnection(config(url, { 'proxy.password': 'other' }))
    assert.match(problems[0]?.message ?? '', /HTTP 407/)
    assert.deepEqual(atServer, [])
  })
})
