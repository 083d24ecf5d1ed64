/** An HTTP proxy in front of a server that answers with prepared faults and notes the actions of bulk requests. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import type { FaultPlan } from './corpus.ts'
import { isJsonObject, type Json, type JsonObject, readJson, writeJson } from './exact-json.ts'

/** `statusAfter`: the server does its work, and its answer is replaced by an error. */
export type ProxyFault = Omit<FaultPlan, 'do'> & { readonly do: FaultPlan['do'] | 'statusAfter' }

interface PlannedFault {
  readonly plan: ProxyFault
  /** Requests that match and still pass. */
  skips: number
  left: number
  hits: number
}

/** A request that is to be held, with nothing done yet or with everything done but the answer. */
interface Hold {
  readonly line: RegExp
  readonly body: RegExp
  readonly when: 'before' | 'after'
  readonly reached: (release: () => void) => void
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Incoming {
  readonly request: IncomingMessage
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** One action of a bulk request: its line, and the line of its document. */
type BulkPair = readonly [action: JsonObject, document: string | null]

const hopByHop = new Set(['connection', 'expect', 'keep-alive', 'transfer-encoding', 'content-length'])

export class FaultProxy implements AsyncDisposable {
  /** Action lines of all bulk requests that came, in order. */
  readonly actions: JsonObject[] = []
  readonly #target: URL
  readonly #faults: PlannedFault[] = []
  readonly #holds = new Set<Hold>()
  readonly #server = createServer((incoming, outgoing) => {
    this.#handle(incoming, outgoing).catch(() => outgoing.destroy())
  })

  private constructor(target: string, plans: readonly ProxyFault[]) {
    this.#target = new URL(target)
    for (const plan of plans) this.arm(plan)
  }

  static async open(target: string, plans: readonly ProxyFault[]): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, plans)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Requests that met each planned fault, in the order of the plans. */
  get hits(): readonly number[] {
    return this.#faults.map((fault) => fault.hits)
  }

  /** Adds a fault behind those that are there. */
  arm(plan: ProxyFault): void {
    this.#faults.push({ plan, skips: plan.after ?? 0, left: plan.times ?? 1, hits: 0 })
  }

  /**
   * Holds the next request that matches: before it is passed on, or when the server has answered and the client does
   * not know. Resolves, once it is held, with what lets it go; `disarm` gives the wait up.
   */
  hold(match: {
    readonly line: string
    readonly body?: string
    readonly when: 'before' | 'after'
  }): Promise<() => void> {
    const line = new RegExp(match.line)
    const body = new RegExp(match.body ?? '')
    return new Promise((reached) => this.#holds.add({ line, body, when: match.when, reached }))
  }

  /** Takes every fault away that has not been met, and every hold. */
  disarm(): void {
    for (const { reached } of this.#holds) reached(() => {})
    this.#holds.clear()
    for (const fault of this.#faults) fault.left = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #next(line: string, body: string): ProxyFault | null {
    for (const fault of this.#faults) {
      const { plan } = fault
      if (fault.left === 0 || !new RegExp(plan.match).test(line) || !new RegExp(plan.body ?? '').test(body)) continue
      if (fault.skips-- > 0) continue
      fault.left -= 1
      fault.hits += 1
      return plan
    }
    return null
  }

  /** Waits as long as somebody holds this request at this point. */
  async #holdAt(when: Hold['when'], line: string, body: string): Promise<void> {
    for (const hold of this.#holds) {
      if (hold.when !== when || !hold.line.test(line) || !hold.body.test(body)) continue
      this.#holds.delete(hold)
      await new Promise<void>((release) => hold.reached(release))
      return
    }
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await buffer(incoming)
    const zipped = incoming.headers['content-encoding'] === 'gzip'
    const plain = (zipped ? gunzipSync(body) : body).toString('utf8')
    const pairs = incoming.url?.includes('/_bulk') === true ? splitBulk(plain) : []
    for (const [action] of pairs) this.actions.push(action)
    const line = `${incoming.method} ${incoming.url}`
    await this.#holdAt('before', line, plain)
    // A client that died meanwhile has sent nothing.
    if (incoming.socket.destroyed) return
    const plan = this.#next(line, plain)
    if (plan?.do === 'status') {
      reply(outgoing, { status: plan.status ?? 500, headers: plan.headers ?? {}, body: Buffer.from(plan.text ?? '') })
      return
    }
    if (plan?.do === 'drop') {
      incoming.socket.resetAndDestroy()
      return
    }
    const received = { request: incoming, headers: incoming.headers, body }
    const answer = plan?.do === 'item' ? await this.#withItem(received, pairs, plan) : await this.#pass(received)
    await this.#holdAt('after', line, plain)
    if (plan?.do === 'dropAfter') incoming.socket.resetAndDestroy()
    else if (plan?.do === 'statusAfter') {
      reply(outgoing, { status: plan.status ?? 500, headers: {}, body: Buffer.from(plan.text ?? '') })
    } else reply(outgoing, answer)
  }

  /** One action of the bulk is answered with an error, the others are passed on. */
  async #withItem(incoming: Incoming, pairs: readonly BulkPair[], plan: ProxyFault): Promise<Answer> {
    const held = new Map<number, JsonObject>()
    const passed: BulkPair[] = []
    for (const [i, pair] of pairs.entries()) {
      const [operation, meta] = Object.entries(pair[0])[0] as [string, JsonObject]
      if (meta['_id'] !== plan.id) passed.push(pair)
      else {
        const { status = 500, error = null } = plan
        held.set(i, { [operation]: { _index: meta['_index'] ?? null, _id: meta['_id'] ?? null, status, error } })
      }
    }
    const { 'content-encoding': _encoding, 'accept-encoding': _accepted, ...headers } = incoming.headers
    const lines = passed.flatMap(([action, document]) => [writeJson(action), ...(document === null ? [] : [document])])
    const body = Buffer.from(lines.map((line) => `${line}\n`).join(''))
    const answer = passed.length > 0 ? await this.#pass({ ...incoming, headers, body }) : emptyBulkAnswer(headers)
    const parsed = readJson(answer.body.toString('utf8'))
    const members = isJsonObject(parsed) ? parsed : {}
    const items: Json[] = [...((members['items'] ?? []) as readonly Json[])]
    for (const [i, item] of held) items.splice(i, 0, item)
    return {
      ...answer,
      body: Buffer.from(writeJson({ ...members, errors: held.size > 0 || members['errors'] === true, items })),
    }
  }

  async #pass({ request: incoming, headers, body }: Incoming): Promise<Answer> {
    const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name)))
    const { method = 'GET', url: path = '/' } = incoming
    const hasBody = body.length > 0 || method === 'PUT' || method === 'POST'
    const outgoing = request({
      host: this.#target.hostname,
      port: this.#target.port,
      method,
      path,
      agent: false,
      headers: { ...kept, ...(hasBody && { 'content-length': String(body.length) }) },
    })
    outgoing.end(body)
    const [answer] = (await once(outgoing, 'response')) as [IncomingMessage]
    return { status: answer.statusCode ?? 502, headers: answer.headers, body: await buffer(answer) }
  }
}

function emptyBulkAnswer(headers: IncomingHttpHeaders): Answer {
  const type = headers.accept?.split(',')[0] ?? 'application/json'
  return {
    status: 200,
    headers: { 'content-type': type, 'x-elastic-product': 'Elasticsearch' },
    body: Buffer.from('{"took":1,"errors":true,"items":[]}'),
  }
}

function splitBulk(text: string): readonly BulkPair[] {
  const lines = text.split('\n').filter((line) => line !== '')
  const pairs: BulkPair[] = []
  for (let i = 0; i < lines.length; i++) {
    const action = readJson(lines[i] as string) as JsonObject
    pairs.push('delete' in action ? [action, null] : [action, lines[++i] ?? null])
  }
  return pairs
}

function reply(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  const isHead = outgoing.req.method === 'HEAD'
  const length = isHead ? headers['content-length'] : String(body.length)
  for (const [name, value] of Object.entries(headers)) {
    if (!hopByHop.has(name.toLowerCase()) && value !== undefined) outgoing.setHeader(name, value)
  }
  if (length !== undefined) outgoing.setHeader('content-length', length)
  outgoing.writeHead(status)
  outgoing.end(isHead ? undefined : body)
}
