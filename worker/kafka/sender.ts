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
import { ConnectError, FencedError, RetriableError, toError } from '../api/errors.ts'
import type { PartitionQueue } from './accumulator.ts'
import { BatchOutcomes, deliveryTimeout, type OutcomeListener } from './batch-outcomes.ts'
import type { BrokerNode } from './broker-node.ts'
import { kafkaError } from './errors.ts'
import { nextSequence, type ProducerBatch } from './producer-batch.ts'
import { PRODUCE, type ProducePartition, produceRequest } from './protocol/produce.ts'
import { NO_PRODUCER, type ProducerState } from './record-batch-builder.ts'
import type { SenderParts } from './sender-parts.ts'

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

export class Sender {
  readonly #parts: SenderParts
  readonly #idleBytes: number
  readonly #outcomes: BatchOutcomes
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
    this.#outcomes = new BatchOutcomes(parts, this.#listener())
  }

  #listener(): OutcomeListener {
    const isOver = () => this.#closed || this.#death !== null
    return {
      get isOver() {
        return isOver()
      },
      renewIdentity: () => {
        this.#renewIdentity = true
      },
      refresh: () => void this.#refresh(),
      die: (error) => this.#die(error),
      failWaiting: (error) => this.failWaiting(error),
    }
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
      for (const batch of waiting) this.#outcomes.finish(batch, error)
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
      for (const batch of inFlight) this.#outcomes.finish(batch, error)
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
        if (answer === undefined) this.#outcomes.failedToSend(batch, noAnswer(batch, leader))
        else this.#outcomes.answered(batch, answer)
      }
    } catch (error) {
      for (const batch of batches) this.#outcomes.failedToSend(batch, toError(error))
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
        this.#outcomes.failForGood(batch, deliveryTimeout(batch, config.deliveryTimeoutMs))
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

function restartSequences(queue: PartitionQueue): void {
  queue.nextSequence = 0
  queue.ackedSequence = 0
  for (const batch of queue.waiting) batch.baseSequence = -1
}

function noAnswer(batch: ProducerBatch, leader: BrokerNode): RetriableError {
  return new RetriableError(
    'CONNECT_KAFKA_UNAVAILABLE',
    `${leader.address} left out ${batch.topic}-${batch.partition} in its answer`,
  )
}
