/**
 * What becomes of a batch that was sent: acknowledged, tried again in its place (I4), split, or given up.
 *
 * @see KIP-98, KIP-360; org.apache.kafka.clients.producer.internals.Sender
 */
import { ConnectError, RetriableError } from '../api/errors.ts'
import type { PartitionQueue } from './accumulator.ts'
import { BrokerCode, brokerError, isStale, kafkaError, remedied } from './errors.ts'
import { nextSequence, type ProducerBatch } from './producer-batch.ts'
import type { ProduceAnswer } from './protocol/produce.ts'
import type { SenderParts } from './sender-parts.ts'

/** What outcomes change of the sender itself. */
export interface OutcomeListener {
  /** Closed, or unable to send any more: nothing is tried again. */
  readonly isOver: boolean
  /** Sequences are void: nothing more is sent before a new producer id is taken. */
  renewIdentity(): void
  /** The leader may have moved. */
  refresh(): void
  die(error: Error): void
  /** Gives up what was not sent. */
  failWaiting(error: Error): void
}

export class BatchOutcomes {
  readonly #parts: SenderParts
  readonly #sender: OutcomeListener

  constructor(parts: SenderParts, sender: OutcomeListener) {
    this.#parts = parts
    this.#sender = sender
  }

  /** The broker has answered for a batch that was sent. */
  answered(batch: ProducerBatch, answer: ProduceAnswer): void {
    const { error } = answer
    if (error === BrokerCode.none || error === BrokerCode.duplicateSequence) {
      const queue = this.#takeBack(batch)
      if (queue !== null && batch.baseSequence >= 0) queue.ackedSequence = nextSequence(batch)
      // Of a repeat that the broker had written long ago it does not tell the offset.
      this.finish(batch, null, error === BrokerCode.none ? answer.baseOffset : -1n)
      return
    }
    const what = `write to ${batch.topic}-${batch.partition}`
    const detail = answer.refused[0]?.message ?? answer.message
    const failure = brokerError(error, what, { topic: batch.topic, partition: batch.partition }, detail)
    if (isStale(error)) this.#sender.refresh()
    if ((error === BrokerCode.messageTooLarge || error === BrokerCode.recordListTooLarge) && batch.count > 1) {
      this.#split(batch)
    } else if (this.#sequenceError(batch, error)) this.#retryOrFail(batch, failure)
    else if (failure.kind === 'retriable') this.#retryOrFail(batch, failure)
    else this.failForGood(batch, failure)
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
      this.#sender.renewIdentity()
      return true
    }
    return false
  }

  /** No answer came for a batch: whether it was written is unknown. */
  failedToSend(batch: ProducerBatch, error: Error): void {
    if (error instanceof ConnectError && error.kind === 'retriable') {
      this.#sender.refresh()
      this.#retryOrFail(batch, error)
    } else this.failForGood(batch, error)
  }

  #retryOrFail(batch: ProducerBatch, error: ConnectError): void {
    const { config, clock, cluster, log } = this.#parts
    const now = clock.monotonicMs()
    const timedOut = now - batch.createdAt >= config.deliveryTimeoutMs
    const failed = this.#parts.transactions.state === 'abortable' || this.#parts.transactions.state === 'aborting'
    if (this.#sender.isOver || timedOut || failed || batch.attempts > config.retries) {
      this.failForGood(batch, timedOut ? deliveryTimeout(batch, config.deliveryTimeoutMs, error) : error)
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

  /** Gives a batch up; what this means for those behind it depends on sequences and transactions. */
  failForGood(batch: ProducerBatch, error: Error): void {
    const { config, transactions } = this.#parts
    this.#takeBack(batch)
    const sequenced = batch.baseSequence >= 0
    if (config.transactionalId !== null) {
      const failure =
        error instanceof ConnectError ? error : kafkaError('CONNECT_KAFKA_BROKER', error.message, {}, error)
      transactions.fail(failure, sequenced)
      if (transactions.isDead) this.#sender.die(failure)
      this.finish(batch, error)
      // Nothing more of this transaction can be committed.
      this.#sender.failWaiting(error)
      return
    }
    // The broker waits for this batch's sequence in vain: later ones would be refused for ever.
    if (config.idempotent && sequenced) this.#sender.renewIdentity()
    this.finish(batch, error)
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

  /** Tells who appended the records, and frees their storage. */
  finish(batch: ProducerBatch, error: Error | null, baseOffset = -1n): void {
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

export function deliveryTimeout(batch: ProducerBatch, timeoutMs: number, cause?: Error): RetriableError {
  const text = `${batch.count} records for ${batch.topic}-${batch.partition} were not acknowledged within delivery.timeout.ms (${timeoutMs})`
  return new RetriableError(
    'CONNECT_KAFKA_TIMEOUT',
    remedied(text, 'CONNECT_KAFKA_TIMEOUT'),
    cause === undefined ? {} : { cause },
  )
}
