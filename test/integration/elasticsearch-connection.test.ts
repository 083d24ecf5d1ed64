/** What becomes of one request of the Elasticsearch sink when the network or the server fails it; no services needed. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createSocketServer, type Server, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker as Thread } from 'node:worker_threads'
import { gzipSync } from 'node:zlib'
import { openConnection } from '../../connectors/elasticsearch/client.ts'
import { classify, statusOf } from '../../connectors/elasticsearch/errors.ts'
import { readJavaKeyStore } from '../../worker/api/tls/java-key-store.ts'
import {
  bareConnection,
  elasticsearchConfig,
  eventually,
  type RawOptions,
} from '../unit/connectors/elasticsearch/support.ts'

/** A server on a free port that knows its sockets. */
class Double implements AsyncDisposable {
  readonly #server: Server
  readonly sockets: Socket[] = []

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket: Socket) => {
      this.sockets.push(socket)
      // Clients reset what they give up.
      socket.on('error', () => {})
    })
  }

  static async listen(server: Server, host = '127.0.0.1'): Promise<Double> {
    const double = new Double(server)
    server.listen(0, host)
    await once(server, 'listening')
    return double
  }

  static async http(
    handle: (request: IncomingMessage, response: ServerResponse) => void | Promise<void>,
  ): Promise<Double> {
    return await Double.listen(
      createServer((request, response) => {
        response.setHeader('content-type', 'application/json')
        void handle(request, response)
      }),
    )
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get openSockets(): number {
    return this.sockets.filter((socket) => !socket.destroyed).length
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

const info = '{"version":{"number":"9.4.3"}}'
const bulk = (bytes = 1000) => Buffer.alloc(bytes, 'x')

async function open(url: string, options: RawOptions = {}) {
  // Long enough for any machine; who tests a timeout sets it.
  const timeouts = { 'read.timeout.ms': '60000', 'connection.timeout.ms': '60000' }
  const config = elasticsearchConfig({ 'connection.url': url, ...timeouts, ...options })
  const connection = await openConnection(config)
  return {
    request: connection.request.bind(connection),
    bulk: (bytes?: number, signal?: AbortSignal) =>
      connection.request({ method: 'POST', path: '/_bulk', ndjson: bulk(bytes) }, signal),
    [Symbol.asyncDispose]: () => connection.close(),
  }
}

/** The error of a request, which must have one. */
async function failure(request: Promise<unknown>): Promise<Error> {
  return await request.then(
    (answer) => assert.fail(`an answer: ${JSON.stringify(answer)}`),
    (error: Error) => error,
  )
}

describe('a request to Elasticsearch', () => {
  it('sends its bytes as they are and reads the answer', async () => {
    const seen: unknown[] = []
    await using server = await Double.http(async (request, response) => {
      const chunks = await request.toArray()
      seen.push(request.method, request.url, request.headers['content-length'], Buffer.concat(chunks).length)
      response.end('{"took":1,"n":9007199254740993}')
    })
    await using client = await open(`http://${server.host}/prefix/`)
    const answer = await client.request({ method: 'POST', path: '/_bulk', query: 'a=b%20c', ndjson: bulk(300_000) })
    assert.deepEqual(answer, { took: 1, n: 9_007_199_254_740_993n })
    assert.deepEqual(seen, ['POST', '/prefix/_bulk?a=b%20c', '300000', 300_000])
  })

  it('says that it takes gzip, and sends it, with connection.compression', async () => {
    const seen: unknown[] = []
    await using server = await Double.http(async (request, response) => {
      const chunks = await request.toArray()
      seen.push(request.headers['content-encoding'], request.headers['accept-encoding'])
      assert.deepEqual(Buffer.concat(chunks), gzipSync(bulk()))
      response.setHeader('content-encoding', 'gzip').end(gzipSync(info))
    })
    await using client = await open(`http://${server.host}`, { 'connection.compression': 'true' })
    assert.deepEqual(await client.bulk(), JSON.parse(info))
    assert.deepEqual(seen, ['gzip', 'gzip,deflate'])
  })

  it('has the credentials of the URL when there are no others, and names them nowhere (E68)', async () => {
    const seen: unknown[] = []
    await using server = await Double.http((request, response) => {
      seen.push(request.headers.authorization)
      response.end(info)
    })
    const url = `http://us%65r:hush@${server.host}`
    await using own = await open(url, { 'connection.username': 'u', 'connection.password': 'p' })
    await own.request({ method: 'GET', path: '/' })
    await using ofUrl = await open(url)
    await ofUrl.request({ method: 'GET', path: '/' })
    assert.deepEqual(
      seen.map((header) => Buffer.from(String(header).replace('Basic ', ''), 'base64').toString()),
      ['u:p', 'user:hush'],
    )
  })

  for (const status of [413, 429, 503]) {
    it(`fails with the answer ${status} that comes before its bytes were read`, async () => {
      await using server = await Double.http((_, response) => {
        response.statusCode = status
        response.end('{"error":{"type":"planned","reason":"planned"}}')
      })
      await using client = await open(`http://${server.host}`)
      // More than sockets hold, and nobody reads it.
      const error = await failure(client.bulk(32 << 20))
      assert.deepEqual(
        [error.name, statusOf(error), classify(error)],
        ['ResponseError', status, status === 413 ? 'split' : 'retry'],
      )
      // The rest is not sent: its memory belongs to the next batch now.
      await eventually(() => server.openSockets === 0)
      assert.equal(statusOf(await failure(client.bulk(10))), status)
    })
  }

  it('is repeatable when the answer is cut, whatever its framing', async () => {
    for (const headers of [{ 'content-length': '1000' }, { 'transfer-encoding': 'chunked' }]) {
      await using server = await Double.http((request, response) => {
        request.resume().on('end', () => {
          response.writeHead(200, headers)
          response.write('{"errors":false,"items":[')
          setTimeout(() => request.socket.resetAndDestroy(), 5)
        })
      })
      await using client = await open(`http://${server.host}`)
      const error = await failure(client.bulk())
      assert.deepEqual([error.name, classify(error)], ['ConnectionError', 'retry'])
    }
  })

  it('is repeatable when the server ends the connection without an answer', async () => {
    await using server = await Double.http((request) => void request.socket.end())
    await using client = await open(`http://${server.host}`)
    const error = await failure(client.bulk())
    assert.deepEqual([error.name, classify(error)], ['ConnectionError', 'retry'])
  })

  it('is repeatable when nobody listens', async () => {
    const server = await Double.http(() => {})
    const { host } = server
    await server[Symbol.asyncDispose]()
    await using client = await open(`http://${host}`)
    const error = await failure(client.bulk())
    assert.deepEqual([error.name, classify(error)], ['ConnectionError', 'retry'])
    assert.match(error.message, /ECONNREFUSED/)
  })

  for (const part of ['headers', 'rest of the body'] as const) {
    it(`ends after read.timeout.ms without the ${part}, and closes the socket`, async () => {
      await using server = await Double.http((request, response) => {
        request.resume()
        if (part !== 'headers') response.write('{"errors":')
      })
      await using client = await open(`http://${server.host}`, { 'read.timeout.ms': '100' })
      const error = await failure(client.bulk())
      assert.deepEqual([error.name, classify(error)], ['TimeoutError', 'retry'])
      assert.match(error.message, /read\.timeout\.ms=100/)
      await eventually(() => server.openSockets === 0)
    })

    it(`ends with its signal without the ${part}, and closes the socket; others go on`, async () => {
      let answer: ((text: string) => void) | null = null
      let waiting = 0
      await using server = await Double.http((request, response) => {
        request.resume()
        if (request.url === '/') answer = (text) => response.end(text)
        else if (part !== 'headers') response.write('{"errors":')
        waiting++
      })
      await using client = await open(`http://${server.host}`)
      const cut = new AbortController()
      const ended = failure(client.bulk(10, cut.signal))
      const other = client.request({ method: 'GET', path: '/' }, new AbortController().signal)
      await eventually(() => waiting === 2)
      cut.abort()
      assert.equal((await ended).name, 'RequestAbortedError')
      await eventually(() => server.openSockets === 1)
      ;(answer as ((text: string) => void) | null)?.(info)
      assert.deepEqual(await other, JSON.parse(info))
    })
  }

  it('is not sent when its signal has gone before', async () => {
    await using server = await Double.http(() => assert.fail('a request'))
    await using client = await open(`http://${server.host}`)
    assert.equal((await failure(client.bulk(10, AbortSignal.abort()))).name, 'RequestAbortedError')
  })

  it('takes a new socket when the server has closed the idle one', async () => {
    await using server = await Double.http((request, response) => {
      request.resume().on('end', () => response.end(info))
    })
    await using client = await open(`http://${server.host}`)
    await client.bulk()
    await client.bulk()
    assert.equal(server.sockets.length, 1)
    server.sockets[0]?.end()
    await eventually(() => server.openSockets === 0)
    await client.bulk()
    assert.equal(server.sockets.length, 2)
  })

  it('is repeatable when the server closes the idle socket at that very moment', async () => {
    let requests = 0
    await using server = await Double.http((request, response) => {
      if (++requests === 2) return void request.socket.destroy()
      request.resume().on('end', () => response.end(info))
    })
    await using client = await open(`http://${server.host}`)
    await client.bulk()
    assert.equal(classify(await failure(client.bulk())), 'retry')
    await client.bulk()
    assert.equal(server.sockets.length, 2)
  })

  it('leaves a socket that is idle for max.connection.idle.time.ms, but none that waits for an answer', async () => {
    await using server = await Double.http((request, response) => {
      request.resume()
      setTimeout(() => response.end(info), 200)
    })
    await using client = await open(`http://${server.host}`, { 'max.connection.idle.time.ms': '50' })
    assert.deepEqual(await client.bulk(), JSON.parse(info))
    await eventually(() => server.openSockets === 0)
  })

  it('ends after connection.timeout.ms when TLS is never agreed on', async () => {
    await using server = await Double.listen(createSocketServer((socket) => void socket.resume()))
    await using client = await open(`https://${server.host}`, { 'connection.timeout.ms': '100' })
    const error = await failure(client.bulk())
    assert.deepEqual([error.name, classify(error)], ['ConnectionError', 'retry'])
    assert.match(error.message, /connection\.timeout\.ms=100/)
    await eventually(() => server.openSockets === 0)
  })

  it('sends nothing to a server whose certificate is not trusted', async () => {
    const store = fileURLToPath(new URL('../unit/worker/api/tls/stores/key.jks', import.meta.url))
    const passwords = { password: 'store-pass', keyPassword: 'key-pass', option: 'test' }
    const { key } = readJavaKeyStore(readFileSync(store), passwords)
    const tls = { key: key?.privateKey, cert: key?.chain }
    await using server = await Double.listen(createTlsServer(tls, () => assert.fail('a request')))
    await using client = await open(`https://${server.host}`)
    const error = await failure(client.bulk())
    assert.deepEqual([error.name, classify(error)], ['ConnectionError', 'retry'])
    assert.match(error.message, /certificate/)
  })

  it('refuses an answer that is too large, declared or not', async () => {
    for (const declared of [true, false]) {
      await using server = await Double.http((request, response) => {
        request.resume()
        if (declared) response.setHeader('content-length', 3 << 20)
        for (let i = 0; i < 3; i++) response.write(Buffer.alloc(1 << 20, '1'))
      })
      const connection = bareConnection(`http://${server.host}`)
      const refused = connection.request({ method: 'GET', path: '/' }, { maxResponseSize: 2 << 20 })
      assert.equal((await failure(refused)).name, 'RequestAbortedError')
      await eventually(() => server.openSockets === 0)
    }
  })

  it('goes to the other nodes while one does not answer', async () => {
    const asked: string[] = []
    const node = (name: string) =>
      Double.http((request, response) => {
        asked.push(name)
        if (name === 'lost') request.socket.destroy()
        else response.end(info)
      })
    await using lost = await node('lost')
    await using one = await node('one')
    await using two = await node('two')
    await using client = await open([lost, one, two].map(({ host }) => `http://${host}`).join())
    const get = () => client.request({ method: 'GET', path: '/' })
    assert.equal(classify(await failure(get())), 'retry')
    for (let i = 0; i < 4; i++) await get()
    assert.deepEqual(asked, ['lost', 'one', 'two', 'one', 'two'])
  })

  const proxies = {
    'never opens a tunnel': { serve: () => {}, timeout: '100', message: /connection\.timeout\.ms=100/ },
    'refuses a tunnel': {
      serve: (socket: Socket) => void socket.end('HTTP/1.1 407 No\r\n\r\n'),
      timeout: '60000',
      message: /407/,
    },
  }
  for (const [what, { serve, timeout, message }] of Object.entries(proxies)) {
    it(`is repeatable when the proxy ${what}`, async () => {
      await using proxy = await Double.listen(createSocketServer((socket) => socket.once('data', () => serve(socket))))
      const [host = '', port = ''] = proxy.host.split(':')
      const options = { 'proxy.host': host, 'proxy.port': port, 'connection.timeout.ms': timeout }
      await using client = await open('https://127.0.0.1:1', options)
      const error = await failure(client.bulk())
      assert.deepEqual([error.name, classify(error)], ['ConnectionError', 'retry'])
      assert.match(error.message, message)
      await eventually(() => proxy.openSockets === 0)
    })
  }
})

it('a task of Elasticsearch loads no undici, its own or Node’s, no module for each API, and no TLS', async () => {
  const source = `
    const { parentPort } = require('node:worker_threads')
    const { execArgv } = process
    import(${JSON.stringify(new URL('../../connectors/elasticsearch/task.ts', import.meta.url).href)}).then(() => {
      const files = Object.keys(require.cache)
      const builtin = process.moduleLoadList.filter((name) => /deps\\/undici|Module tls$/.test(name))
      parentPort.postMessage({ files, builtin })
    })`
  const thread = new Thread(source, { eval: true, execArgv: [] })
  const [{ files, builtin }] = (await once(thread, 'message')) as [{ files: string[]; builtin: string[] }]
  await thread.terminate()
  assert.ok(files.some((file) => file.includes('/@elastic/transport/')))
  assert.deepEqual(
    files.filter((file) => /\/undici\/|\/hpagent\/|\/elasticsearch\/(lib|esm)\//.test(file)),
    [],
  )
  assert.deepEqual(builtin, [])
})
