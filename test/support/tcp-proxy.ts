import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** One accepted connection and, unless a fault keeps it away, its counterpart at the server. */
interface Link {
  readonly client: Socket
  server: Socket | null
}

type Fault = 'none' | 'cut' | 'black-hole'

export interface ProxyTarget {
  readonly host: string
  readonly port: number
}

/** Changes whole messages of the server on their way; `push` gets bytes in order and returns what may go on. */
export interface Rewriter {
  push(chunk: Buffer): Buffer
}

/**
 * The network between a worker and a server, on a port of its own, which can fail as networks do. Faults hold for
 * existing and for new connections until `heal`.
 */
export class TcpProxy implements AsyncDisposable {
  readonly #target: ProxyTarget
  readonly #server: Server
  readonly #links = new Set<Link>()
  readonly #newRewriter: (port: number) => Rewriter
  #fault: Fault = 'none'
  #delayMs = 0

  private constructor(target: ProxyTarget, server: Server, newRewriter: (port: number) => Rewriter) {
    this.#target = target
    this.#server = server
    this.#newRewriter = newRewriter
    server.on('connection', (client) => this.#accept(client))
  }

  /** @param newRewriter one per connection; is told the proxy's own port */
  static async open(
    target: ProxyTarget,
    newRewriter: (port: number) => Rewriter = () => ({ push: (chunk) => chunk }),
  ): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: false, noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TcpProxy(target, server, newRewriter)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Connections at the moment. */
  get linkCount(): number {
    return this.#links.size
  }

  /** Resets every connection; new ones are reset too. */
  cut(): void {
    this.#fault = 'cut'
    this.reset()
  }

  /** Resets every connection once; new ones work, unless a fault holds. */
  reset(): void {
    for (const link of this.#links) this.#end(link)
  }

  /** Nothing passes any more, and nobody is told. What was sent arrives after `heal`, as TCP repeats it. */
  blackHole(): void {
    this.#fault = 'black-hole'
    for (const { client, server } of this.#links) {
      client.pause()
      server?.pause()
    }
  }

  /** Every chunk takes this much longer, in each direction; 0 ends it. */
  delay(ms: number): void {
    this.#delayMs = ms
  }

  /** Ends every fault. */
  heal(): void {
    this.#fault = 'none'
    this.#delayMs = 0
    for (const link of this.#links) {
      if (link.server === null) this.#dial(link)
      link.client.resume()
      link.server?.resume()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset()
    await this.#server[Symbol.asyncDispose]()
  }

  #accept(client: Socket): void {
    const link: Link = { client, server: null }
    this.#links.add(link)
    client.on('error', () => this.#end(link))
    client.on('close', () => this.#end(link))
    if (this.#fault === 'cut') this.#end(link)
    else if (this.#fault === 'black-hole') client.pause()
    else this.#dial(link)
  }

  #dial(link: Link): void {
    const { client } = link
    const server = connect({ ...this.#target, noDelay: true })
    link.server = server
    server.on('error', () => this.#end(link))
    server.on('close', () => this.#end(link))
    const rewriter = this.#newRewriter(this.port)
    this.#forward(client, server, (chunk) => chunk)
    this.#forward(server, client, (chunk) => rewriter.push(chunk))
  }

  #forward(from: Socket, to: Socket, change: (chunk: Buffer) => Buffer): void {
    let last: Promise<unknown> = Promise.resolve()
    from.on('data', (data) => {
      const chunk = change(Buffer.isBuffer(data) ? data : Buffer.from(data))
      const delayMs = this.#delayMs
      if (delayMs === 0) {
        // Behind what is still on its way.
        last = last.then(() => to.write(chunk))
        return
      }
      const due = sleep(delayMs)
      last = last.then(() => due).then(() => to.write(chunk))
    })
  }

  #end(link: Link): void {
    if (!this.#links.delete(link)) return
    link.client.resetAndDestroy()
    // Not reset: a reset socket towards the server may keep its handle, and with it the test's process.
    link.server?.destroy()
  }
}

/**
 * A link to a Kafka broker. Brokers tell clients where they are, so their answers are changed to name the proxy: in
 * every version of the protocol an address is the host's text followed by the port as int32.
 */
export async function openKafkaProxy(broker: string): Promise<TcpProxy> {
  const colon = broker.lastIndexOf(':')
  const target = { host: broker.slice(0, colon), port: Number(broker.slice(colon + 1)) }
  const address = (port: number): Buffer => {
    const bytes = Buffer.from(`${target.host}....`, 'latin1')
    bytes.writeInt32BE(port, target.host.length)
    return bytes
  }
  return TcpProxy.open(target, (port) => new FrameRewriter(address(target.port), address(port)))
}

/** Replaces bytes by others of the same length in messages that begin with their length as int32. */
class FrameRewriter implements Rewriter {
  readonly #from: Buffer
  readonly #to: Buffer
  #rest = Buffer.alloc(0)

  constructor(from: Buffer, to: Buffer) {
    this.#from = from
    this.#to = to
  }

  push(chunk: Buffer): Buffer {
    this.#rest = Buffer.concat([this.#rest, chunk])
    let end = 0
    while (this.#rest.length >= end + 4) {
      const next = end + 4 + this.#rest.readInt32BE(end)
      if (next > this.#rest.length) break
      end = next
    }
    const whole = this.#rest.subarray(0, end)
    this.#rest = this.#rest.subarray(end)
    for (let at = whole.indexOf(this.#from); at >= 0; at = whole.indexOf(this.#from, at + 1)) this.#to.copy(whole, at)
    return whole
  }
}
