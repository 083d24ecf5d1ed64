import type { Clock } from '../../../worker/api/context.ts'
import { ConnectError, DataError, RetriableError, toError } from '../../../worker/api/errors.ts'
import { BrokerCode, brokerError, kafkaError } from '../../../worker/kafka/errors.ts'
import { partitionOfKey } from '../../../worker/kafka/murmur2.ts'
import { type ProducerConfig, readProducerConfig } from '../../../worker/kafka/producer-config.ts'
import { PropertyReader } from '../../../worker/kafka/property-reader.ts'
import { RecordBatchBuilder } from '../../../worker/kafka/record-batch-builder.ts'
import type { ClientProperties, Delivery, Producer, ProducerRecord } from '../../../worker/kafka/types.ts'
import { withAbort } from '../../../worker/kafka/waiting.ts'
import type { FakeBroker, FakeTransactionalId } from './fake-broker.ts'
import type { FakeRecord, FakeTransaction } from './fake-topics.ts'

interface Queued {
  readonly topic: string
  readonly partition: number
  readonly record: FakeRecord
  readonly delivery: Delivery
  readonly bytes: number
}

type State = 'uninitialised' | 'ready' | 'open' | 'abortable' | 'fatal'

/** Writes in order of appending, one record after the other; the configuration is read as by the real producer. */
export class FakeProducer implements Producer {
  readonly #kafka: FakeBroker
  readonly #config: ProducerConfig
  readonly #clock: Clock
  readonly #known = new Map<string, number>()
  #queue: Queued[] = []
  #pendingBytes = 0
  #writing: Promise<void> | null = null
  #waiters: (() => void)[] = []
  #state: State = 'uninitialised'
  #error: ConnectError | null = null
  #epoch = -1
  #closed = false

  constructor(kafka: FakeBroker, properties: ClientProperties, clock: Clock) {
    this.#kafka = kafka
    this.#config = readProducerConfig(new PropertyReader({ 'bootstrap.servers': 'fake:9092', ...properties }))
    this.#clock = clock
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  async partitionsOf(topic: string): Promise<number> {
    this.#mustBeUsable()
    await this.#kafka.pass('metadata')
    if (this.#kafka.autoCreateTopics) this.#kafka.topics.create(topic, 1, {})
    const found = this.#kafka.topics.get(topic)
    if (found === undefined) throw brokerError(BrokerCode.unknownTopic, `use topic ${topic}`, { topic })
    this.#known.set(topic, found.partitions.length)
    return found.partitions.length
  }

  append(record: ProducerRecord, delivery: Delivery): void {
    this.#mustBeUsable()
    if (this.#config.transactionalId !== null && this.#state !== 'open') throw this.#error ?? this.#wrongState('append')
    const { topic, key, value, headers } = record
    const bytes = RecordBatchBuilder.sizeUpperBound(key, value, headers)
    if (bytes + 61 > this.#config.maxRequestBytes) {
      throw new DataError('CONNECT_KAFKA_RECORD_TOO_LARGE', `A record for topic ${topic} takes ${bytes} bytes`)
    }
    const count = this.#known.get(topic)
    if (count === undefined)
      throw new RetriableError('CONNECT_KAFKA_UNKNOWN_TOPIC', `The metadata of topic ${topic} is not loaded`)
    const partition = record.partition ?? (key === null ? 0 : partitionOfKey(key, count))
    if (partition < 0 || partition >= count) {
      throw new DataError('CONNECT_KAFKA_RECORD_REFUSED', `Topic ${topic} has no partition ${partition}`)
    }
    // Copies, as the contract says: a test that reuses its buffers must find what it wrote.
    const copy: FakeRecord = {
      key: key === null ? null : Uint8Array.from(key),
      value: value === null ? null : Uint8Array.from(value),
      headers: headers.map((h) => ({ key: h.key, value: h.value === null ? null : Uint8Array.from(h.value) })),
      timestamp: record.timestamp ?? this.#clock.now(),
    }
    this.#queue.push({ topic, partition, record: copy, delivery, bytes })
    this.#pendingBytes += bytes
    this.#writing ??= this.#write()
  }

  get isFull(): boolean {
    return this.#pendingBytes >= this.#config.bufferBytes
  }

  async ready(signal?: AbortSignal): Promise<void> {
    while (this.isFull && !this.#closed && !signal?.aborted) {
      await withAbort(new Promise<void>((resolve) => this.#waiters.push(resolve)), signal, 'wait').catch(
        () => undefined,
      )
    }
  }

  async flush(signal?: AbortSignal): Promise<void> {
    if (this.#writing !== null) await withAbort(this.#writing, signal, 'flush the producer')
  }

  async initTransactions(): Promise<void> {
    const id = this.#transactionalId()
    if (this.#state !== 'uninitialised') throw this.#wrongState('initTransactions')
    this.#epoch = this.#kafka.fence(id)
    this.#state = 'ready'
  }

  beginTransaction(): void {
    this.#transactionalId()
    if (this.#state !== 'ready') throw this.#error ?? this.#wrongState('beginTransaction')
    this.#state = 'open'
  }

  async commitTransaction(signal?: AbortSignal): Promise<void> {
    this.#transactionalId()
    if (this.#state === 'open') await this.flush(signal)
    if (this.#state === 'abortable') {
      throw new ConnectError('fatal', 'CONNECT_KAFKA_TRANSACTION', 'The transaction has failed', { cause: this.#error })
    }
    if (this.#state !== 'open') throw this.#error ?? this.#wrongState('commitTransaction')
    await this.#end('committed')
  }

  async abortTransaction(): Promise<void> {
    this.#transactionalId()
    if (this.#state !== 'open' && this.#state !== 'abortable') throw this.#error ?? this.#wrongState('abortTransaction')
    this.#failQueue(new RetriableError('CONNECT_KAFKA_TRANSACTION', 'The transaction was aborted'))
    await this.#writing
    await this.#end('aborted')
  }

  async close(timeoutMs = 30_000): Promise<void> {
    if (this.#closed) return
    if (timeoutMs > 0 && this.#config.transactionalId === null && this.#writing !== null) {
      const stop = new AbortController()
      await Promise.race([this.#writing, this.#clock.sleep(timeoutMs, stop.signal)])
      stop.abort()
    }
    this.#closed = true
    this.#failQueue(
      new RetriableError('CONNECT_KAFKA_CLOSED', 'The producer was closed before the broker acknowledged'),
    )
    this.#tellWaiters()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Never rejects. Runs after the caller's turn, so appends of one turn arrive together. */
  async #write(): Promise<void> {
    await Promise.resolve()
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      await this.#writeOne(next)
      this.#pendingBytes -= next.bytes
      this.#tellWaiters()
    }
    this.#writing = null
  }

  async #writeOne({ topic, partition, record, delivery, bytes }: Queued): Promise<void> {
    const deadline = this.#clock.monotonicMs() + this.#config.deliveryTimeoutMs
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#kafka.pass('produce')
        if (this.#closed)
          throw new RetriableError('CONNECT_KAFKA_CLOSED', 'The producer was closed before the broker acknowledged')
        const log = this.#kafka.topics.partition(topic, partition)
        this.#kafka.topics.checkSize(topic, bytes)
        const offset = log.append(record, this.#join(topic, partition))
        this.#kafka.topics.changed()
        delivery.delivered(1, topic, partition, offset)
        return
      } catch (error) {
        const failure = toError(error)
        const retry = failure instanceof ConnectError && failure.kind === 'retriable' && !this.#closed
        if (retry && attempt < this.#config.retries && this.#clock.monotonicMs() < deadline) {
          await this.#clock.sleep(1)
          continue
        }
        this.#failed(failure)
        delivery.failed(1, failure)
        return
      }
    }
  }

  /** The open transaction of this producer's epoch. */
  #join(topic: string, partition: number): FakeTransaction | null {
    const { transactionalId } = this.#config
    if (transactionalId === null) return null
    const owner = this.#owner(transactionalId)
    owner.open ??= { state: 'open' }
    owner.touched.set(`${topic}-${partition}`, { topic, partition })
    return owner.open
  }

  #owner(id: string): FakeTransactionalId {
    const owner = this.#kafka.transactionalId(id)
    if (owner.epoch !== this.#epoch)
      throw brokerError(BrokerCode.producerFenced, `write with ${id}`, { transactionalId: id })
    return owner
  }

  async #end(outcome: 'committed' | 'aborted'): Promise<void> {
    await this.#kafka.pass('end-transaction')
    try {
      this.#kafka.endTransaction(this.#owner(this.#transactionalId()), outcome)
    } catch (error) {
      this.#failed(toError(error))
      throw error
    }
    this.#error = null
    this.#state = 'ready'
  }

  #failed(error: Error): void {
    if (this.#config.transactionalId === null || !(error instanceof ConnectError)) return
    if (error.kind === 'fenced') this.#state = 'fatal'
    else if (this.#state === 'open') this.#state = 'abortable'
    else return
    this.#error ??= error
    this.#failQueue(error)
  }

  #failQueue(error: Error): void {
    const queue = this.#queue
    this.#queue = []
    for (const { delivery, bytes } of queue) {
      this.#pendingBytes -= bytes
      delivery.failed(1, error)
    }
  }

  #tellWaiters(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  #transactionalId(): string {
    this.#mustBeUsable()
    if (this.#config.transactionalId !== null) return this.#config.transactionalId
    throw kafkaError('CONNECT_KAFKA_CONFIG', 'transactions need the client property transactional.id')
  }

  #mustBeUsable(): void {
    if (this.#state === 'fatal' && this.#error !== null) throw this.#error
    if (this.#closed) throw kafkaError('CONNECT_KAFKA_CLOSED', 'The producer is closed')
  }

  #wrongState(call: string): ConnectError {
    return kafkaError('CONNECT_KAFKA_TRANSACTION_STATE', `${call} is not possible while the producer is ${this.#state}`)
  }
}
