/** Channel `kafka`: signals from partition 0 of a topic whose records have the topic prefix as key. */
import type { Clock, Logger, TopicReader } from '../../worker/api/context.ts'
import { ConnectError, kindOf, toError } from '../../worker/api/errors.ts'
import { type Signal, type SignalChannel, signalOf } from './signals.ts'

/** A signal with the position behind it. */
interface Received {
  readonly signal: Signal | null
  readonly next: bigint
}

export interface KafkaSignalsOptions {
  readonly reader: TopicReader
  readonly topic: string
  /** Key that records must have: other connectors may share the topic. */
  readonly key: string
  /** Where a stored source offset says to go on; null begins where the consumer group has committed. */
  readonly start: bigint | null
  readonly pollMs: number
  readonly clock: Clock
  readonly logger: Logger
}

/** Reading is held back while this many records wait to be answered. */
const mostWaiting = 100

/**
 * Reads in a loop of its own, since a broker that does not answer must not hold the stream back. A position is stored
 * with the group only once a durable source offset covers what its signal led to, so no signal is lost by a crash;
 * what came after it is answered again.
 */
export class KafkaSignals implements SignalChannel {
  readonly #options: KafkaSignalsOptions
  readonly #end = new AbortController()
  readonly #loop: Promise<void>
  #received: Received[] = []
  #failure: ConnectError | null = null
  #answered: bigint | null
  #durable: bigint | null = null
  #stored: bigint | null = null

  constructor(options: KafkaSignalsOptions) {
    this.#options = options
    this.#answered = options.start
    if (options.start !== null) options.reader.seek(options.start)
    this.#loop = this.#run()
  }

  /** What source offsets carry from here on: the next record to read; null before the first. */
  get position(): bigint | null {
    return this.#answered
  }

  get dueInMs(): number {
    return this.#received.length > 0 || this.#failure !== null ? 0 : this.#options.pollMs
  }

  /** @throws ConnectError when the topic cannot be read as configured */
  async *poll(): AsyncGenerator<Signal, void, void> {
    for (let next = this.#received.shift(); next !== undefined; next = this.#received.shift()) {
      if (next.signal !== null) yield next.signal
      // Behind the signal's answer: an offset before it reads the signal again.
      this.#answered = next.next
    }
    if (this.#failure !== null) throw this.#failure
  }

  /** A source offset with this position is durable. */
  confirm(position: bigint): void {
    this.#durable = position
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#loop
    await this.#options.reader[Symbol.asyncDispose]()
  }

  async #run(): Promise<void> {
    const { reader, pollMs, clock, logger, topic } = this.#options
    const { signal } = this.#end
    while (!signal.aborted) {
      try {
        if (this.#received.length >= mostWaiting) await clock.sleep(pollMs, signal)
        else
          for (const { offset, key, value } of await reader.poll(pollMs, signal)) {
            this.#received.push({ signal: this.#parse(key, value), next: offset + 1n })
          }
        await this.#store(signal)
      } catch (error) {
        if (signal.aborted) return
        if (kindOf(error) !== 'retriable') {
          const message = `Signals cannot be read from the topic ${topic}: ${toError(error).message}. Check signal.kafka.bootstrap.servers and signal.consumer.*.`
          this.#failure = new ConnectError('fatal', 'CONNECT_POSTGRES_SIGNALS', message, { cause: toError(error) })
          return
        }
        logger.warn({ error, topic }, 'Signals could not be read; trying again')
        await clock.sleep(pollMs, signal)
      }
    }
  }

  async #store(signal: AbortSignal): Promise<void> {
    const position = this.#durable
    if (position === null || position === this.#stored) return
    await this.#options.reader.commit(position, signal)
    this.#stored = position
  }

  #parse(key: Uint8Array | null, value: Uint8Array | null): Signal | null {
    const text = (bytes: Uint8Array | null) => (bytes === null ? '' : Buffer.from(bytes).toString('utf8'))
    const { logger, topic } = this.#options
    if (text(key) !== this.#options.key) return null
    const signal = signalOf(text(value))
    if (signal === null) logger.warn({ topic }, 'A record of the signal topic is no signal: ignored')
    return signal
  }
}
