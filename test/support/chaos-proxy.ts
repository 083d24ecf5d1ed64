/** An HTTP proxy in front of Elasticsearch that goes wrong as a whole while it is told to. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Random } from './random.ts'

/**
 * - `busy`: requests are refused with 429 or 503, or some actions of a bulk with 429;
 * - `reset`: the server does its work, and the connection is reset before, or in the middle of, its answer;
 * - `slow`: the server does its work at once, and the answer comes later than anybody waits.
 */
export type ProxyMode = 'pass' | 'busy' | 'reset' | 'slow'

interface Answer {
  readonly status: number
  readonly body: Buffer
}

export class ChaosProxy implements AsyncDisposable {
  mode: ProxyMode = 'pass'
  /** Requests that met a fault. */
  faults = 0
  readonly #target: URL
  readonly #random: Random
  readonly #slowMs: number
  readonly #server = createServer((incoming, outgoing) => {
    // The server may be down: the client sees what it would see without the proxy.
    this.#handle(incoming, outgoing).catch(() => incoming.socket.resetAndDestroy())
  })

  private constructor(target: string, random: Random, slowMs: number) {
    this.#target = new URL(target)
    this.#random = random
    this.#slowMs = slowMs
  }

  /** @param slowMs how long an answer is held back in the mode `slow` */
  static async open(target: string, random: Random, slowMs: number): Promise<ChaosProxy> {
    const proxy = new ChaosProxy(target, random, slowMs)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const { mode } = this
    if (mode === 'pass') return reply(outgoing, await this.#forward(incoming, body))
    this.faults++
    if (mode === 'busy') return reply(outgoing, await this.#refuse(incoming, body))
    const answer = await this.#forward(incoming, body)
    if (mode === 'slow') {
      await new Promise((resolve) => setTimeout(resolve, this.#slowMs))
      return reply(outgoing, answer)
    }
    const sent = this.#random.integer(0, answer.body.length)
    outgoing.writeHead(answer.status, { 'content-type': 'application/json', 'content-length': answer.body.length })
    outgoing.write(answer.body.subarray(0, sent), () => incoming.socket.resetAndDestroy())
  }

  async #refuse(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    const isBulk = incoming.url?.startsWith('/_bulk') === true
    if (!isBulk || this.#random.integer(0, 2) === 0) {
      const status = this.#random.pick([429, 503])
      return { status, body: Buffer.from('{"error":{"type":"es_rejected_execution_exception","reason":"storm"}}') }
    }
    return await this.#refuseSome(incoming, body)
  }

  /** Some actions of a bulk are refused and never reach the server, the others are done. */
  async #refuseSome(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    const lines = body.toString('utf8').trimEnd().split('\n')
    const passed: string[] = []
    const kinds: (string | null)[] = []
    for (let i = 0; i < lines.length; i++) {
      const action = lines[i] ?? ''
      const kind = Object.keys(JSON.parse(action) as object)[0] ?? ''
      const own = kind === 'delete' ? [action] : [action, lines[++i] ?? '']
      const isRefused = this.#random.integer(0, 3) === 0
      kinds.push(isRefused ? kind : null)
      if (!isRefused) passed.push(...own)
    }
    const answer = passed.length === 0 ? null : await this.#forward(incoming, Buffer.from(`${passed.join('\n')}\n`))
    if (answer !== null && answer.status !== 200) return answer
    const done = answer === null ? [] : (JSON.parse(answer.body.toString('utf8')) as { items: unknown[] }).items
    const error = { type: 'es_rejected_execution_exception', reason: 'storm' }
    const items = kinds.map((kind) => (kind === null ? done.shift() : { [kind]: { status: 429, error } }))
    return { status: 200, body: Buffer.from(JSON.stringify({ errors: true, items })) }
  }

  async #forward(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    const { method = 'GET', url: path = '/', headers } = incoming
    const outgoing = request({
      host: this.#target.hostname,
      port: this.#target.port,
      method,
      path,
      agent: false,
      headers: {
        ...(headers['content-type'] !== undefined && { 'content-type': headers['content-type'] }),
        ...(body.length > 0 && { 'content-length': body.length }),
      },
    })
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    return { status: answer.statusCode ?? 502, body: await buffer(answer) }
  }
}

function reply(outgoing: ServerResponse, { status, body }: Answer): void {
  outgoing.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  outgoing.end(outgoing.req.method === 'HEAD' ? undefined : body)
}
