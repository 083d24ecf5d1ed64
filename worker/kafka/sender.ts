/**
 * Sends batches to the leaders of their partitions: up to `max.in.flight.requests.per.connection` requests per broker,
 * order kept per partition whatever fails (I4).
 *
 * Order: with idempotence several batches of a partition may be under way, and sequence numbers let the broker refuse
 * what overtakes; after a failure the batches go back in sequence order and travel one at a time until the repeats are
 * through. Without idempotence only one batch of a partition is under way.
 *
 * @see KIP-98, KIP-360; org.apache.kafka.clients.producer.internals.Sender
 */
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, FencedError, RetriableError, toError } from '../api/errors.ts'
import type { WorkLease } from '../util/work-lease.ts'
import type { Accumulator, PartitionQueue } from './accumulator.ts'
import type { BrokerNode } from './broker-node.ts'
import type { Cluster } from './cluster.ts'
import { BrokerCode, brokerError, isStale, kafkaError, remedied } from './errors.ts'
import { nextSequence, type ProducerBatch } from './producer-batch.ts'
import type { ProducerConfig } from './producer-config.ts'
import { PRODUCE, type ProduceAnswer, type ProducePartition, produceRequest } from './protocol/produce.ts'
import { NO_PRODUCER, type ProducerState } from './record-batch-builder.ts'
import type { TransactionManager } from './transaction-manager.ts'

/** Between two looks at a lease that is over, in ms. */
const LEASE_CHECK_MS = 20

/** Batches of `batch.size` that may wait while hardly anything is under way, and the bytes that may in any case. */
const IDLE_BATCHES = 2
const IDLE_BYTES = 2 * 1024 * 1024

function leaseInDoubt(): RetriableError {
  return new RetriableError('CONNECT_KAFKA_GENERATION', 'The session of this worker may be over')
}

function leaseOver(): FencedError {
  return new FencedError(
    'CONNECT_KAFKA_GENERATION',
    'The session of this worker is over, so its tasks may run elsewhere: nothing more is written for them from here',
  )
}

export interface SenderParts {
  readonly cluster: Cluster
  readonly config: ProducerConfig
  readonly accumulator: Accumulator
  readonly transactions: TransactionManager
  readonly clock: Clock
  readonly log: Logger | null
  /** While it is over nothing is sent; null: nothing ends. */
  readonly lease: WorkLease | null
  /** Bytes were freed, or the producer died. */
  readonly onProgress: () => void
}

export class Sender {
  readonly #parts: SenderParts
  readonly #idleBytes: number
  readonly #inFlightRequests = new Map<BrokerNode, number>()
  #inFlightBatches = 0
  /** Before compression, as all bounds count. */
  #inFlightBytes = 0
  /** Above 0: batches go without waiting for their linger. */
  #urgent = 0
  #woken = false
  #timer: NodeJS.Timeout | null = null
  #timerAt = Number.POSITIVE_INFINITY
  #acquiring = false
  /** Sequences are void: a new producer id is taken when nothing is under way. */
  #renewIdentity = false
  #adding = false
  #refreshing = false
  #restUntil = 0
  #death: ConnectError | null = null
  #closed = false
  #idle: (() => void)[] = []

  constructor(parts: SenderParts) {
    this.#parts = parts
    const { batchBytes, bufferBytes } = parts.config
    this.#idleBytes = Math.min(bufferBytes, Math.max(IDLE_BYTES, IDLE_BATCHES * batchBytes))
  }

  /** Why the producer cannot send any more; null while it can. */
  get death(): ConnectError | null {
    return this.#death
  }

  /**
   * More waits than the connections need to stay busy. What a broker can have under way is bounded by
   * `max.in.flight.requests.per.connection`, so beyond half as much again as is under way, waiting bytes only take
   * memory; where acknowledgements take long, more is under way, and more may wait.
   */
  get isPressed(): boolean {
    const { accumulator, config } = this.#parts
    const { pendingBytes } = accumulator
    if (pendingBytes < this.#idleBytes) return false
    return pendingBytes >= config.bufferBytes || pendingBytes >= Math.max(this.#idleBytes, 1.5 * this.#inFlightBytes)
  }

  /** Looks for work soon; many calls make one look. */
  wake(): void {
    if (this.#woken || this.#closed) return
    this.#woken = true
    setImmediate(() => {
      this.#woken = false
      this.#pump()
    })
  }

  wakeIn(ms: number): void {
    if (ms <= 0) this.wake()
    else this.#wakeAt(this.#parts.clock.monotonicMs() + ms)
  }

  /** Sends what is there without linger until `release` is called. */
  hurry(): { release(): void } {
    this.#urgent++
    this.wake()
    let held = true
    return {
      release: () => {
        if (held) this.#urgent--
        held = false
      },
    }
  }

  /** Gives up what was not sent; what is under way still gets its answer. */
  failWaiting(error: Error): void {
    for (const queue of this.#parts.accumulator.queues) {
      const { waiting } = queue
      queue.waiting = []
      for (const batch of waiting) this.#finish(batch, error)
    }
  }

  /** Resolves when no request is under way. */
  async quiet(): Promise<void> {
    if (this.#inFlightBatches === 0 && !this.#adding) return
    await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** A transaction begins or has ended: partitions have to be added anew. */
  resetTransaction(sequencesToo: boolean): void {
    for (const queue of this.#parts.accumulator.queues) {
      queue.inTransaction = false
      if (sequencesToo) restartSequences(queue)
    }
  }

  close(error: Error): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.failWaiting(error)
    for (const queue of this.#parts.accumulator.queues) {
      const { inFlight } = queue
      queue.inFlight = []
      for (const batch of inFlight) this.#finish(batch, error)
    }
  }

  // ---- sending -------------------------------------------------------------------------------------------------------

  #pump(): void {
    if (this.#closed) return
    const { accumulator } = this.#parts
    this.#expire()
    if (this.#death !== null) {
      this.failWaiting(this.#death)
      return
    }
    if (accumulator.incomplete.size === 0) return
    if (this.#isForbidden()) return
    if (!this.#identityReady()) return
    // One batch per partition and request; go round until nothing more may go.
    while (this.#sendRound()) continue
    this.#maintainMetadata()
  }

  /**
   * Another worker may write for these tasks by now (I7): wait until the main thread has found out. Who flushes is
   * about to stop, and need not wait: what was not sent is given up, and its offsets are not committed.
   */
  #isForbidden(): boolean {
    const { lease, clock } = this.#parts
    if (lease === null || !lease.isOver) return false
    if (this.#urgent > 0) this.failWaiting(leaseOver())
    this.#wakeAt(clock.monotonicMs() + LEASE_CHECK_MS)
    return true
  }

  #identityReady(): boolean {
    const { config, transactions } = this.#parts
    if (!config.idempotent) return true
    if (this.#renewIdentity) {
      if (this.#inFlightBatches > 0) return false
      this.#renewIdentity = false
      transactions.forgetIdentity()
      for (const queue of this.#parts.accumulator.queues) restartSequences(queue)
    }
    if (transactions.identity !== null) return true
    if (config.transactionalId === null && !this.#acquiring) void this.#acquire()
    return false
  }

  /** Never rejects. */
  async #acquire(): Promise<void> {
    this.#acquiring = true
    const { transactions, cluster } = this.#parts
    try {
      await transactions.acquire()
      this.wake()
    } catch (error) {
      const failure = toError(error)
      if (!(failure instanceof ConnectError) || failure.kind !== 'retriable') this.#die(failure)
      this.wakeIn(cluster.config.retryBackoffMs)
    } finally {
      this.#acquiring = false
    }
  }

  #sendRound(): boolean {
    const { accumulator, cluster, config, clock } = this.#parts
    const now = clock.monotonicMs()
    const requests = new Map<BrokerNode, { batches: ProducerBatch[]; bytes: number }>()
    const toAdd: PartitionQueue[] = []
    for (const queue of accumulator.queues) {
      const batch = this.#due(queue, now)
      if (batch === null) continue
      if (config.transactionalId !== null && !queue.inTransaction) {
        toAdd.push(queue)
        continue
      }
      const leader = cluster.leader(queue.topic, queue.partition)
      if (leader === null) {
        void this.#refresh()
        continue
      }
      if ((this.#inFlightRequests.get(leader) ?? 0) >= config.maxInFlight) continue
      const rest = leader.restMs()
      if (rest > 0) {
        this.#wakeAt(now + rest)
        continue
      }
      const request = requests.get(leader)
      if (request === undefined) requests.set(leader, { batches: [batch], bytes: batch.byteLength })
      else if (request.bytes + batch.byteLength <= config.maxRequestBytes) {
        request.batches.push(batch)
        request.bytes += batch.byteLength
      } else continue
      queue.waiting.shift()
      queue.inFlight.push(batch)
    }
    if (toAdd.length > 0) void this.#addPartitions(toAdd)
    for (const [leader, { batches }] of requests) void this.#send(leader, batches)
    return requests.size > 0
  }

  /** The next batch of a partition, when it may go now; sets the timer when it may go later. */
  #due(queue: PartitionQueue, now: number): ProducerBatch | null {
    const batch = queue.waiting[0]
    if (batch === undefined) return null
    const { config } = this.#parts
    if (queue.inFlight.length > 0) {
      if (!config.idempotent) return null
      // A repeat goes alone; so do those after it, until the repeats are through.
      if (batch.baseSequence >= 0 || queue.inFlight.some((sent) => sent.attempts > 1)) return null
    }
    if (batch.retryAt > now) {
      this.#wakeAt(batch.retryAt)
      return null
    }
    const full = batch.closed || queue.waiting.length > 1 || batch.byteLength >= config.batchBytes
    const pressed = this.#urgent > 0 || this.isPressed
    const lingersUntil = batch.createdAt + config.lingerMs
    // Nagle's rule: with nothing under way waiting gains nothing, and what comes meanwhile makes the next batch.
    const idle = config.eager && queue.inFlight.length === 0
    if (full || pressed || idle || lingersUntil <= now) return batch
    this.#wakeAt(lingersUntil)
    return null
  }

  /** Never rejects. */
  async #send(leader: BrokerNode, batches: readonly ProducerBatch[]): Promise<void> {
    const { config, cluster } = this.#parts
    this.#inFlightRequests.set(leader, (this.#inFlightRequests.get(leader) ?? 0) + 1)
    this.#inFlightBatches += batches.length
    let bytes = 0
    for (const batch of batches) bytes += batch.byteLength
    this.#inFlightBytes += bytes
    try {
      const partitions: ProducePartition[] = []
      for (const batch of batches) partitions.push(this.#seal(batch))
      if (!leader.isReady()) await leader.connect()
      // Once more, directly before the bytes go: connecting and compressing take time, in which the process may freeze.
      if (this.#parts.lease?.isOver === true) throw leaseInDoubt()
      const answers = await leader.send(
        produceRequest({
          version: leader.version(PRODUCE.key, PRODUCE.name, PRODUCE.least, PRODUCE.most),
          transactionalId: config.transactionalId,
          acks: config.acks,
          timeoutMs: cluster.config.requestTimeoutMs,
          partitions,
        }),
      )
      for (const batch of batches) {
        const answer = answers.find((a) => a.topic === batch.topic && a.partition === batch.partition)
        if (answer === undefined) this.#failedToSend(batch, noAnswer(batch, leader))
        else this.#answered(batch, answer)
      }
    } catch (error) {
      for (const batch of batches) this.#failedToSend(batch, toError(error))
    } finally {
      this.#inFlightRequests.set(leader, Math.max(0, (this.#inFlightRequests.get(leader) ?? 0) - 1))
      if (this.#inFlightRequests.get(leader) === 0) this.#inFlightRequests.delete(leader)
      this.#inFlightBatches -= batches.length
      this.#inFlightBytes -= bytes
      this.#tellIdle()
      this.wake()
    }
  }

  #seal(batch: ProducerBatch): ProducePartition {
    const { config, transactions, accumulator } = this.#parts
    let state: ProducerState = NO_PRODUCER
    const { identity } = transactions
    if (config.idempotent && identity !== null) {
      const queue = accumulator.queue(batch.topic, batch.partition)
      if (batch.baseSequence < 0 && queue !== undefined) {
        batch.baseSequence = queue.nextSequence
        queue.nextSequence = nextSequence(batch)
      }
      state = { ...identity, baseSequence: batch.baseSequence, transactional: config.transactionalId !== null }
    }
    batch.attempts++
    const { topic, partition } = batch
    return { topic, partition, batch: accumulator.seal(batch, state) }
  }

  // ---- answers -------------------------------------------------------------------------------------------------------

  #answered(batch: ProducerBatch, answer: ProduceAnswer): void {
    const { error } = answer
    if (error === BrokerCode.none || error === BrokerCode.duplicateSequence) {
      const queue = this.#takeBack(batch)
      if (queue !== null && batch.baseSequence >= 0) queue.ackedSequence = nextSequence(batch)
      // Of a repeat that the broker had written long ago it does not tell the offset.
      this.#finish(batch, null, error === BrokerCode.none ? answer.baseOffset : -1n)
      return
    }
    const what = `write to ${batch.topic}-${batch.partition}`
    const detail = answer.refused[0]?.message ?? answer.message
    const failure = brokerError(error, what, { topic: batch.topic, partition: batch.partition }, detail)
    if (isStale(error)) void this.#refresh()
    if ((error === BrokerCode.messageTooLarge || error === BrokerCode.recordListTooLarge) && batch.count > 1) {
      this.#split(batch)
    } else if (this.#sequenceError(batch, error)) this.#retryOrFail(batch, failure)
    else if (failure.kind === 'retriable') this.#retryOrFail(batch, failure)
    else this.#failForGood(batch, failure)
  }

  /**
   * Sequence errors that another try may overcome.
   * OUT_OF_ORDER_SEQUENCE_NUMBER of a batch that is not the next in line only says that an earlier one has failed.
   */
  #sequenceError(batch: ProducerBatch, error: number): boolean {
    const { config, accumulator } = this.#parts
    if (!config.idempotent) return false
    if (error === BrokerCode.outOfOrderSequence) {
      const queue = accumulator.queue(batch.topic, batch.partition)
      return queue !== undefined && batch.baseSequence !== queue.ackedSequence
    }
    // The broker has forgotten the producer (retention), or a bump of its epoch went by: begin anew with a new id.
    if (
      config.transactionalId === null &&
      (error === BrokerCode.unknownProducerId || error === BrokerCode.invalidEpoch)
    ) {
      this.#renewIdentity = true
      return true
    }
    return false
  }

  #failedToSend(batch: ProducerBatch, error: Error): void {
    if (error instanceof ConnectError && error.kind === 'retriable') {
      void this.#refresh()
      this.#retryOrFail(batch, error)
    } else this.#failForGood(batch, error)
  }

  #retryOrFail(batch: ProducerBatch, error: ConnectError): void {
    const { config, clock, cluster, log } = this.#parts
    const now = clock.monotonicMs()
    const timedOut = now - batch.createdAt >= config.deliveryTimeoutMs
    const failed = this.#parts.transactions.state === 'abortable' || this.#parts.transactions.state === 'aborting'
    if (this.#closed || this.#death !== null || timedOut || failed || batch.attempts > config.retries) {
      this.#failForGood(batch, timedOut ? deliveryTimeout(batch, config.deliveryTimeoutMs, error) : error)
      return
    }
    const queue = this.#takeBack(batch)
    if (queue === null) return
    const { retryBackoffMs, retryBackoffMaxMs } = cluster.config
    batch.retryAt = now + Math.min(retryBackoffMaxMs, retryBackoffMs * 2 ** Math.min(10, batch.attempts - 1))
    insertInOrder(queue, batch)
    log?.debug(
      { topic: batch.topic, partition: batch.partition, attempts: batch.attempts, error: error.message },
      'a batch goes again',
    )
  }

  #failForGood(batch: ProducerBatch, error: Error): void {
    const { config, transactions } = this.#parts
    this.#takeBack(batch)
    const sequenced = batch.baseSequence >= 0
    if (config.transactionalId !== null) {
      const failure =
        error instanceof ConnectError ? error : kafkaError('CONNECT_KAFKA_BROKER', error.message, {}, error)
      transactions.fail(failure, sequenced)
      if (transactions.isDead) this.#die(failure)
      this.#finish(batch, error)
      // Nothing more of this transaction can be committed.
      this.failWaiting(error)
      return
    }
    // The broker waits for this batch's sequence in vain: later ones would be refused for ever.
    if (config.idempotent && sequenced) this.#renewIdentity = true
    this.#finish(batch, error)
  }

  #split(batch: ProducerBatch): void {
    const queue = this.#takeBack(batch)
    if (queue === null) return
    const parts = batch.split(Math.max(1, Math.floor(batch.byteLength / 2)))
    this.#parts.accumulator.replace(batch, parts)
    handOver(batch, parts)
    for (const part of parts) {
      if (part.baseSequence >= 0) insertInOrder(queue, part)
    }
    // Without sequences there is no other batch of the partition under way, so the front is the right place.
    if (!this.#parts.config.idempotent) queue.waiting.unshift(...parts)
  }

  #finish(batch: ProducerBatch, error: Error | null, baseOffset = -1n): void {
    this.#parts.accumulator.release(batch)
    if (error === null) batch.delivered(baseOffset)
    else batch.failed(error)
    this.#parts.onProgress()
  }

  /** Null when the batch was given up meanwhile (close). */
  #takeBack(batch: ProducerBatch): PartitionQueue | null {
    const queue = this.#parts.accumulator.queue(batch.topic, batch.partition)
    const index = queue?.inFlight.indexOf(batch) ?? -1
    if (queue === undefined || index < 0) return null
    queue.inFlight.splice(index, 1)
    return queue
  }

  #expire(): void {
    const { accumulator, clock, config } = this.#parts
    const now = clock.monotonicMs()
    for (const queue of accumulator.queues) {
      for (let batch = queue.waiting[0]; batch !== undefined; batch = queue.waiting[0]) {
        const expiresAt = batch.createdAt + config.deliveryTimeoutMs
        if (expiresAt > now) {
          if (batch.attempts > 0) this.#wakeAt(expiresAt)
          break
        }
        queue.waiting.shift()
        this.#failForGood(batch, deliveryTimeout(batch, config.deliveryTimeoutMs))
      }
    }
  }

  #die(error: Error): void {
    this.#death ??= error instanceof ConnectError ? error : kafkaError('CONNECT_KAFKA_BROKER', error.message, {}, error)
    this.failWaiting(this.#death)
    this.#parts.onProgress()
  }

  // ---- surroundings --------------------------------------------------------------------------------------------------

  /** Never rejects. */
  async #addPartitions(queues: readonly PartitionQueue[]): Promise<void> {
    const { transactions } = this.#parts
    // While an end is under way nothing may be added any more; `committing` still flushes.
    if (this.#adding || (transactions.state !== 'open' && transactions.state !== 'committing')) return
    this.#adding = true
    try {
      await transactions.addPartitions(queues.map(({ topic, partition }) => ({ topic, partition })))
      for (const queue of queues) queue.inTransaction = true
    } catch (error) {
      const failure = toError(error)
      if (transactions.isDead) this.#die(failure)
      else this.failWaiting(failure)
    } finally {
      this.#adding = false
      this.#tellIdle()
      this.wake()
    }
  }

  #maintainMetadata(): void {
    const { cluster, clock } = this.#parts
    if (clock.monotonicMs() - cluster.refreshedAt >= cluster.config.metadataMaxAgeMs) void this.#refresh()
  }

  /** One at a time, with a pause between; never rejects. */
  async #refresh(): Promise<void> {
    const { cluster, accumulator, clock, log } = this.#parts
    if (this.#refreshing || this.#closed) return
    if (clock.monotonicMs() < this.#restUntil) {
      this.#wakeAt(this.#restUntil)
      return
    }
    this.#refreshing = true
    try {
      await cluster.refresh(accumulator.topics())
      for (const topic of accumulator.topics()) {
        const metadata = cluster.topic(topic)
        if (metadata !== undefined && metadata.error === 0)
          accumulator.setPartitionCount(topic, metadata.partitions.length)
      }
    } catch (error) {
      log?.debug({ error: toError(error).message }, 'could not refresh the metadata; trying again')
    } finally {
      this.#refreshing = false
      this.#restUntil = clock.monotonicMs() + cluster.config.retryBackoffMs
      this.wake()
    }
  }

  #tellIdle(): void {
    if (this.#inFlightBatches > 0 || this.#adding) return
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }

  #wakeAt(at: number): void {
    if (this.#closed || (this.#timer !== null && this.#timerAt <= at)) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timerAt = at
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#pump()
      },
      Math.min(0x7fffffff, Math.max(1, Math.ceil(at - this.#parts.clock.monotonicMs()))),
    )
  }
}

/** Repeats go before what was never sent, and among themselves by sequence (which may wrap). */
function insertInOrder(queue: PartitionQueue, batch: ProducerBatch): void {
  const distance = (other: ProducerBatch): number => (other.baseSequence - batch.baseSequence) | 0
  let index = 0
  while (index < queue.waiting.length) {
    const other = queue.waiting[index]
    if (other === undefined || other.baseSequence < 0 || batch.baseSequence < 0) break
    const ahead = wrappedDistance(distance(other))
    if (ahead > 0) break
    index++
  }
  queue.waiting.splice(index, 0, batch)
}

/** Distance on the circle of 2^31 sequences: at most a few thousand records lie between two batches under way. */
function wrappedDistance(difference: number): number {
  if (difference > 0x3fffffff) return difference - 0x7fffffff - 1
  if (difference < -0x40000000) return difference + 0x7fffffff + 1
  return difference
}

function restartSequences(queue: PartitionQueue): void {
  queue.nextSequence = 0
  queue.ackedSequence = 0
  for (const batch of queue.waiting) batch.baseSequence = -1
}

/** Whoever waits for the batch waits for its parts. */
function handOver(batch: ProducerBatch, parts: readonly ProducerBatch[]): void {
  const { onDone } = batch
  if (onDone === null) return
  let left = parts.length
  for (const part of parts) {
    part.onDone = () => {
      left--
      if (left === 0) onDone()
    }
  }
}

function noAnswer(batch: ProducerBatch, leader: BrokerNode): RetriableError {
  return new RetriableError(
    'CONNECT_KAFKA_UNAVAILABLE',
    `${leader.address} left out ${batch.topic}-${batch.partition} in its answer`,
  )
}

function deliveryTimeout(batch: ProducerBatch, timeoutMs: number, cause?: Error): RetriableError {
  const text = `${batch.count} records for ${batch.topic}-${batch.partition} were not acknowledged within delivery.timeout.ms (${timeoutMs})`
  return new RetriableError(
    'CONNECT_KAFKA_TIMEOUT',
    remedied(text, 'CONNECT_KAFKA_TIMEOUT'),
    cause === undefined ? {} : { cause },
  )
}
