/** The producer's public face over accumulator, sender and transaction manager. */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, RetriableError } from '../api/errors.ts'
import type { WorkLease } from '../util/work-lease.ts'
import { Accumulator } from './accumulator.ts'
import { Cluster } from './cluster.ts'
import { kafkaError } from './errors.ts'
import type { ProducerBatch } from './producer-batch.ts'
import { type ProducerConfig, readProducerConfig } from './producer-config.ts'
import { PropertyReader } from './property-reader.ts'
import { Sender } from './sender.ts'
import { TransactionManager } from './transaction-manager.ts'
import type { ClientProperties, Delivery, Producer, ProducerRecord } from './types.ts'
import { withAbort } from './waiting.ts'

/** A topic that is being created becomes visible within this time; after it the caller decides. */
const TOPIC_PATIENCE_MS = 2000

export class KafkaProducer implements Producer {
  readonly #config: ProducerConfig
  readonly #cluster: Cluster
  readonly #accumulator: Accumulator
  readonly #transactions: TransactionManager
  readonly #sender: Sender
  readonly #clock: Clock
  #waiters: (() => void)[] = []
  #closing: Promise<void> | null = null

  constructor(properties: ClientProperties, clock: Clock, log: Logger | null, lease: WorkLease | null = null) {
    const reader = new PropertyReader(properties)
    this.#config = readProducerConfig(reader)
    reader.logIgnored(log)
    this.#clock = clock
    this.#cluster = new Cluster(this.#config.connection, clock, log)
    this.#accumulator = new Accumulator(this.#config, clock)
    this.#transactions = new TransactionManager(this.#cluster, this.#config)
    this.#sender = new Sender({
      cluster: this.#cluster,
      config: this.#config,
      accumulator: this.#accumulator,
      transactions: this.#transactions,
      clock,
      log,
      lease,
      onProgress: () => this.#tellWaiters(),
    })
  }

  get pendingBytes(): number {
    return this.#accumulator.pendingBytes
  }

  get isFull(): boolean {
    return this.#sender.isPressed
  }

  async partitionsOf(topic: string, signal?: AbortSignal): Promise<number> {
    this.#mustBeUsable()
    const known = this.#cluster.topic(topic)
    if (known !== undefined && known.error === 0) return this.#learn(topic, known.partitions.length)
    return this.#cluster.retry(`load the metadata of ${topic}`, TOPIC_PATIENCE_MS, signal, async () => {
      await this.#cluster.refresh([topic], signal)
      const error = this.#cluster.topicError(topic)
      if (error !== null) throw error
      return this.#learn(topic, this.#cluster.topic(topic)?.partitions.length ?? 0)
    })
  }

  append(record: ProducerRecord, delivery: Delivery): void {
    if (this.#closing !== null || this.#sender.death !== null) this.#mustBeUsable()
    if (this.#config.transactionalId !== null && this.#transactions.state !== 'open') throw this.#notInTransaction()
    const outcome = this.#accumulator.append(record, delivery)
    if (outcome === 'full') this.#sender.wake()
    else if (outcome === 'new') this.#sender.wakeIn(this.#config.eager ? 0 : this.#config.lingerMs)
  }

  async ready(signal?: AbortSignal): Promise<void> {
    while (this.isFull && this.#closing === null) {
      if (signal?.aborted) return
      this.#sender.wake()
      await withAbort(
        new Promise<void>((resolve) => this.#waiters.push(resolve)),
        signal,
        'wait for buffer.memory',
      ).catch((error: unknown) => {
        if (!signal?.aborted) throw error
      })
    }
  }

  async flush(signal?: AbortSignal): Promise<void> {
    const hurry = this.#sender.hurry()
    try {
      await withAbort(this.#outcomes([...this.#accumulator.incomplete]), signal, 'flush the producer')
    } finally {
      hurry.release()
    }
  }

  async initTransactions(signal?: AbortSignal): Promise<void> {
    this.#mustBeTransactional('initTransactions')
    await this.#transactions.initialise(signal)
  }

  beginTransaction(): void {
    this.#mustBeTransactional('beginTransaction')
    this.#transactions.begin()
    this.#sender.resetTransaction(false)
  }

  async commitTransaction(signal?: AbortSignal): Promise<void> {
    this.#mustBeTransactional('commitTransaction')
    this.#transactions.startEnd(true)
    await this.flush(signal)
    // A batch may have failed during the flush: then the state is no longer `committing`.
    this.#transactions.startEnd(true)
    await this.#transactions.end(true, signal)
  }

  async abortTransaction(signal?: AbortSignal): Promise<void> {
    this.#mustBeTransactional('abortTransaction')
    const epoch = this.#transactions.identity?.epoch
    this.#transactions.startEnd(false)
    this.#sender.failWaiting(new RetriableError('CONNECT_KAFKA_TRANSACTION', 'The transaction was aborted'))
    await withAbort(this.#sender.quiet(), signal, 'abort the transaction')
    this.#sender.failWaiting(new RetriableError('CONNECT_KAFKA_TRANSACTION', 'The transaction was aborted'))
    await this.#transactions.end(false, signal)
    this.#sender.resetTransaction(this.#transactions.identity?.epoch !== epoch)
  }

  async close(timeoutMs = 30_000): Promise<void> {
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    const stop = new AbortController()
    try {
      // An open transaction is left to the next producer of the id, which aborts it.
      if (timeoutMs > 0 && this.#config.transactionalId === null) {
        await Promise.race([this.flush(stop.signal).catch(() => undefined), this.#clock.sleep(timeoutMs, stop.signal)])
      }
    } finally {
      stop.abort()
      this.#sender.close(
        new RetriableError('CONNECT_KAFKA_CLOSED', 'The producer was closed before the broker acknowledged'),
      )
      this.#cluster.close()
      this.#tellWaiters()
    }
  }

  #outcomes(batches: readonly ProducerBatch[]): Promise<void> {
    if (batches.length === 0) return Promise.resolve()
    return new Promise<void>((resolve) => {
      let left = batches.length
      const done = (): void => {
        left--
        if (left === 0) resolve()
      }
      for (const batch of batches) {
        // Closed, so that a steady stream of appends cannot keep a flush waiting.
        batch.closed = true
        const earlier = batch.onDone
        batch.onDone =
          earlier === null
            ? done
            : () => {
                earlier()
                done()
              }
      }
    })
  }

  #learn(topic: string, partitions: number): number {
    this.#accumulator.setPartitionCount(topic, partitions)
    return partitions
  }

  #tellWaiters(): void {
    if (this.#waiters.length === 0) return
    if (this.isFull && this.#closing === null) return
    const waiters = this.#waiters
    this.#waiters = []
    for (const resolve of waiters) resolve()
  }

  #mustBeUsable(): void {
    if (this.#sender.death !== null) throw this.#sender.death
    if (this.#closing !== null) throw kafkaError('CONNECT_KAFKA_CLOSED', 'The producer is closed')
  }

  #mustBeTransactional(call: string): void {
    this.#mustBeUsable()
    if (this.#config.transactionalId !== null) return
    throw kafkaError('CONNECT_KAFKA_CONFIG', `${call} needs the client property transactional.id`)
  }

  #notInTransaction(): ConnectError {
    return (
      this.#transactions.error ??
      kafkaError(
        'CONNECT_KAFKA_TRANSACTION_STATE',
        `append needs an open transaction; the producer is ${this.#transactions.state}`,
      )
    )
  }
}
