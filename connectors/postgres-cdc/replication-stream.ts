/** The walsender's stream: framing, back-pressure, status replies. What messages mean is the decoder's business. */
import type { Socket } from 'node:net'
import type pg from 'pg'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { formatLsn, type Lsn, maxLsn, noLsn, readLsn } from './lsn.ts'
import { frameHeadBytes, MessageCutter, RawReads } from './raw-reads.ts'
import { quoteIdentifier } from './sql.ts'

/** A run of whole protocol messages in one buffer, which stays as it is until `release`. */
export interface Segment {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** Protocol messages in it. */
  readonly count: number
}

export interface StreamOptions {
  readonly slot: string
  readonly publication: string
  readonly startLsn: Lsn
  /** `name 'value'` pairs beyond the usual ones (`slot.stream.params`). */
  readonly parameters: Readonly<Record<string, string>>
  /** The server is 14 or newer and knows the parameter `messages`. */
  readonly logicalMessages: boolean
  /** Reading stops while this many bytes wait to be decoded. */
  readonly maxBytes: number
  /** Reading stops while this many messages wait. */
  readonly maxMessages: number
  readonly statusIntervalMs: number
  /** `wal_sender_timeout` of the server in ms; 0 when it is off. */
  readonly serverTimeoutMs: number
  readonly clock: Clock
  readonly logger: Logger
}

export interface LivenessInput {
  readonly nowMs: number
  readonly lastReceivedMs: number
  readonly lastSentMs: number
  /** Reading is held back by us: silence then says nothing about the server. */
  readonly paused: boolean
  readonly statusIntervalMs: number
  readonly serverTimeoutMs: number
}

/**
 * What the timer has to do. The server ends a connection that was silent for `wal_sender_timeout`, so a status goes out
 * at least every half of it, read or not; and a server that keeps silent for two of them is gone: it sends a keepalive
 * after half of one.
 */
export function liveness(input: LivenessInput): 'wait' | 'send' | 'dead' {
  const { nowMs, serverTimeoutMs } = input
  if (serverTimeoutMs > 0 && !input.paused && nowMs - input.lastReceivedMs > 2 * serverTimeoutMs) return 'dead'
  return nowMs - input.lastSentMs >= statusPeriodMs(input.statusIntervalMs, serverTimeoutMs) ? 'send' : 'wait'
}

function statusPeriodMs(intervalMs: number, serverTimeoutMs: number): number {
  return serverTimeoutMs > 0 ? Math.min(intervalMs, serverTimeoutMs / 2) : intervalMs
}

const microsFrom1970To2000 = 946_684_800_000_000n
const frame = { copyData: 0x64, error: 0x45, copyDone: 0x63, commandComplete: 0x43, ready: 0x5a } as const
const payload = { xlogData: 0x77, keepalive: 0x6b } as const

/** Below this, a read found the socket nearly empty, and a short rest lets the server fill it. */
const smallReadBytes = 16 * 1024
const restMs = 1

/** Standby status update: received, flushed and applied position; the server may be asked for a keepalive at once. */
export function statusMessage(received: Lsn, flushed: Lsn, nowMs: number, wantsReply = false): Buffer {
  const message = Buffer.alloc(39)
  message.writeUInt8(frame.copyData, 0)
  message.writeUInt32BE(38, 1)
  message.writeUInt8(0x72, 5)
  message.writeBigUInt64BE(received, 6)
  message.writeBigUInt64BE(flushed, 14)
  message.writeBigUInt64BE(flushed, 22)
  message.writeBigInt64BE(BigInt(nowMs) * 1000n - microsFrom1970To2000, 30)
  message.writeUInt8(wantsReply ? 1 : 0, 38)
  return message
}

/** Fields of an ErrorResponse as an error with `code`, as `pg` makes them. */
function serverError(bytes: Buffer, start: number, end: number): Error {
  const fields = new Map<string, string>()
  for (let at = start; at < end && bytes[at] !== 0; ) {
    const close = bytes.indexOf(0, at + 1)
    fields.set(String.fromCharCode(bytes[at] as number), bytes.toString('utf8', at + 1, close))
    at = close + 1
  }
  return Object.assign(new Error(fields.get('M') ?? 'Unknown error of the server'), {
    code: fields.get('C') ?? 'XX000',
  })
}

/**
 * Reads the stream of one slot. The caller takes segments with `take` and says what is durable with `confirm`; nothing
 * else ever moves the confirmed position (I1).
 */
export class ReplicationStream implements AsyncDisposable {
  readonly #client: pg.Client
  readonly #reads: RawReads
  readonly #socket: Socket
  readonly #options: StreamOptions
  readonly #cutter = new MessageCutter()
  #replyWanted = false
  readonly #queue: Segment[] = []
  #queuedBytes = 0
  #queuedMessages = 0
  #held = false
  #rest: NodeJS.Timeout | null = null
  #failure: Error | null = null
  #closed = false
  #wake: (() => void) | null = null
  #timer: NodeJS.Timeout | null = null
  #started: (() => void) | null = null
  #received: Lsn
  #flushed: Lsn
  #walEnd: Lsn = noLsn
  #lastReceivedMs: number
  #lastSentMs: number

  private constructor(client: pg.Client, options: StreamOptions) {
    this.#client = client
    // From here on the bytes are ours.
    this.#reads = new RawReads(client, this.#onData)
    this.#socket = this.#reads.socket
    this.#options = options
    this.#received = options.startLsn
    // Nothing is claimed before it is durable, not even the start: it may come from records that are on their way (I1).
    this.#flushed = noLsn
    this.#lastReceivedMs = options.clock.monotonicMs()
    this.#lastSentMs = this.#lastReceivedMs
  }

  /**
   * Starts the stream over an idle replication connection, which then belongs to the stream.
   * @throws the server's error, with SQLSTATE in `code`
   */
  static async start(client: pg.Client, options: StreamOptions): Promise<ReplicationStream> {
    const stream = new ReplicationStream(client, options)
    await stream.#begin()
    return stream
  }

  async #begin(): Promise<void> {
    const { slot, publication, startLsn, parameters, logicalMessages } = this.#options
    const all = {
      proto_version: '1',
      publication_names: quoteIdentifier(publication),
      ...(logicalMessages ? { messages: 'true' } : {}),
      ...parameters,
    }
    const list = Object.entries(all).map(([name, value]) => `${name} '${value.replaceAll("'", "''")}'`)
    const command = `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(startLsn)} (${list.join(', ')})`
    this.#socket.once('close', this.#onClose)
    this.#socket.on('error', this.#onError)
    const started = new Promise<void>((resolve) => {
      this.#started = resolve
    })
    const text = Buffer.from(`${command}\0`, 'utf8')
    const head = Buffer.alloc(5)
    head.writeUInt8(0x51, 0)
    head.writeUInt32BE(text.length + 4, 1)
    this.#socket.write(Buffer.concat([head, text]))
    await started
    if (this.#failure !== null) {
      const failure = this.#failure
      await this[Symbol.asyncDispose]()
      throw failure
    }
    const period = statusPeriodMs(this.#options.statusIntervalMs, this.#options.serverTimeoutMs)
    this.#timer = setInterval(() => this.#tick(), Math.max(10, Math.min(period / 4, 1000)))
  }

  /** End of the server's log, from its last keepalive; what lies before it and was not sent does not concern the slot. */
  get walEnd(): Lsn {
    return this.#walEnd
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  /** The oldest segment, or null. @throws the failure of the stream, once everything before it was taken */
  take(): Segment | null {
    const segment = this.#queue.shift()
    if (segment === undefined) {
      if (this.#failure !== null) throw this.#failure
      return null
    }
    this.#queuedBytes -= segment.end - segment.start
    this.#queuedMessages -= segment.count
    if (
      this.#held &&
      this.#queuedBytes <= this.#options.maxBytes / 2 &&
      this.#queuedMessages <= this.#options.maxMessages / 2
    ) {
      this.#held = false
      this.#resume()
    }
    return segment
  }

  /** Nobody looks at the segment any more: its storage takes another read. */
  release(segment: Segment): void {
    this.#reads.release(segment.bytes)
  }

  /** Resolves when there is a segment or a failure, after `ms`, or when `signal` aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#queue.length > 0 || this.#failure !== null || signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#wake = null
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done, { once: true })
      this.#wake = done
    })
  }

  /** Everything before `position` is durable downstream: the server may forget it. Never goes back. */
  confirm(position: Lsn): void {
    if (position <= this.#flushed) return
    this.#flushed = position
    this.#sendStatus()
  }

  /** Asks the server how far its log goes; `walEnd` tells it, soon. */
  requestKeepalive(): void {
    this.#sendStatus(true)
  }

  /**
   * Leaves the server at once; what has come is still there to be taken, and then `reason` is thrown. A server that shuts
   * down waits until every walsender's client has confirmed the end of its log, which here takes until the offsets of an
   * idle stream are stored: half a minute and more, and `pg_ctl` gives up after one.
   */
  leave(reason: Error): void {
    this.#fail(reason)
    this.#sayGoodbye()
  }

  /** Ends the stream and gives the slot free. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#timer !== null) clearInterval(this.#timer)
    if (this.#rest !== null) clearTimeout(this.#rest)
    const closed = new Promise<void>((resolve) => {
      if (this.#socket.destroyed) resolve()
      else this.#socket.once('close', () => resolve())
    })
    this.#reads.ignore()
    if (!this.#socket.destroyed) {
      if (this.#failure === null) this.#sendStatus()
      this.#sayGoodbye()
      const giveUp = setTimeout(() => this.#socket.destroy(), 2000)
      await closed
      clearTimeout(giveUp)
    }
    await this.#client.end().catch(() => undefined)
  }

  #sayGoodbye(): void {
    if (this.#socket.writableEnded) return
    this.#socket.resume()
    // CopyDone, Terminate.
    this.#socket.end(Buffer.from([0x63, 0, 0, 0, 4, 0x58, 0, 0, 0, 4]))
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#lastReceivedMs = this.#options.clock.monotonicMs()
    this.#replyWanted = false
    if (!this.#cutter.push(chunk, this.#scan)) this.#reads.release(chunk)
    if (this.#replyWanted) this.#sendStatus()
    this.#throttle(chunk.length)
  }

  /** Queues the whole messages from `start` on. @returns where they end */
  readonly #scan = (bytes: Buffer, start: number): number => {
    let at = start
    let count = 0
    let lastData = -1
    while (at + frameHeadBytes <= bytes.length) {
      const next = at + 1 + bytes.readUInt32BE(at + 1)
      if (next > bytes.length) break
      if (bytes[at] === frame.copyData) {
        if (bytes[at + 5] === payload.xlogData) {
          lastData = at
          count += 1
        } else if (bytes[at + 5] === payload.keepalive) {
          this.#walEnd = readLsn(bytes, at + 6)
          this.#replyWanted ||= bytes[at + 22] === 1
        }
      } else this.#onControl(bytes, at, next)
      at = next
    }
    if (lastData >= 0) this.#received = maxLsn(this.#received, readLsn(bytes, lastData + 6))
    if (count > 0) this.#enqueue({ bytes, start, end: at, count })
    else {
      this.#wake?.()
      this.#reads.release(bytes)
    }
    return at
  }

  #onControl(bytes: Buffer, at: number, end: number): void {
    switch (bytes[at]) {
      case 0x57: // CopyBothResponse
        this.#settleStart()
        break
      case frame.error:
        this.#fail(serverError(bytes, at + 5, end))
        break
      case frame.copyDone:
      case frame.commandComplete:
        this.#fail(Object.assign(new Error('The server ended the replication stream'), { code: '57P01' }))
        break
      default:
        // Notices and parameter changes say nothing about the data.
        break
    }
  }

  #enqueue(segment: Segment): void {
    this.#queue.push(segment)
    this.#queuedBytes += segment.end - segment.start
    this.#queuedMessages += segment.count
    this.#wake?.()
  }

  /** Back-pressure onto the socket; and a rest after a small read, since the server flushes row by row. */
  #throttle(readBytes: number): void {
    if (this.#closed) return
    if (this.#queuedBytes > this.#options.maxBytes || this.#queuedMessages > this.#options.maxMessages) {
      this.#held = true
      this.#socket.pause()
    } else if (readBytes < smallReadBytes && this.#started === null) {
      this.#socket.pause()
      this.#rest ??= setTimeout(() => {
        this.#rest = null
        this.#resume()
      }, restMs)
    }
  }

  #resume(): void {
    if (!this.#held && this.#rest === null && !this.#closed) this.#socket.resume()
  }

  readonly #onClose = (): void => {
    this.#fail(Object.assign(new Error('The connection to the walsender was closed'), { code: 'ECONNRESET' }))
  }

  readonly #onError = (error: Error): void => {
    this.#fail(error)
  }

  #fail(error: Error): void {
    // The first error says why; what follows is its consequence.
    if (!this.#closed) this.#failure ??= error
    this.#settleStart()
    this.#wake?.()
  }

  #settleStart(): void {
    this.#started?.()
    this.#started = null
  }

  #tick(): void {
    const { clock, statusIntervalMs, serverTimeoutMs } = this.#options
    const verdict = liveness({
      nowMs: clock.monotonicMs(),
      lastReceivedMs: this.#lastReceivedMs,
      lastSentMs: this.#lastSentMs,
      paused: this.#held,
      statusIntervalMs,
      serverTimeoutMs,
    })
    if (verdict === 'send') this.#sendStatus()
    else if (verdict === 'dead') {
      this.#fail(Object.assign(new Error('The server has been silent for too long'), { code: 'ETIMEDOUT' }))
      this.#socket.destroy()
    }
  }

  #sendStatus(wantsReply = false): void {
    if (!this.#socket.writable || this.#started !== null) return
    const { clock } = this.#options
    const received = maxLsn(this.#received, this.#flushed)
    this.#socket.write(statusMessage(received, this.#flushed, clock.now(), wantsReply))
    this.#lastSentMs = clock.monotonicMs()
  }
}
