/**
 * Producer id and transactions. kafkajs's own state machine dies with the first moved coordinator, so this one repeats
 * each step until the coordinator has answered: an EndTxn is the same request however often it is sent.
 *
 * @see KIP-98 (transactions), KIP-360 (a fenced producer cannot un-fence itself)
 */
import { ConnectError } from '../api/errors.ts'
import type { TopicPartition } from '../api/topic-partition.ts'
import type { BrokerNode } from './broker-node.ts'
import type { Cluster } from './cluster.ts'
import { BrokerCode, brokerCodeOf, brokerError, kafkaError, remedied } from './errors.ts'
import type { ProducerConfig } from './producer-config.ts'
import {
  addPartitionsRequest,
  endTxnRequest,
  INIT_PRODUCER_ID,
  initProducerIdRequest,
  type ProducerIdentity,
} from './protocol/transactions.ts'
import { withAbort } from './waiting.ts'

/**
 * uninitialised → ready → open → committing | aborting → ready; abortable: only an abort leads on; fatal: nothing does.
 */
export type TransactionState = 'uninitialised' | 'ready' | 'open' | 'committing' | 'aborting' | 'abortable' | 'fatal'

export class TransactionManager {
  readonly #cluster: Cluster
  readonly #config: ProducerConfig
  #identity: ProducerIdentity | null = null
  #state: TransactionState = 'uninitialised'
  #error: ConnectError | null = null
  /** The coordinator knows partitions of the open transaction, so it has to be ended there. */
  #begun = false
  /** A batch of the transaction failed: broker and client no longer agree on sequences. */
  #sequencesBroken = false

  constructor(cluster: Cluster, config: ProducerConfig) {
    this.#cluster = cluster
    this.#config = config
  }

  get identity(): ProducerIdentity | null {
    return this.#identity
  }

  get state(): TransactionState {
    return this.#state
  }

  get isDead(): boolean {
    return this.#state === 'fatal'
  }

  /** Why the transaction, or the producer, cannot go on. */
  get error(): ConnectError | null {
    return this.#error
  }

  /** The identity is void: the next `acquire` gets a new one. Not for transactional producers. */
  forgetIdentity(): void {
    this.#identity = null
  }

  /** A producer id without transactions. One try. */
  async acquire(signal?: AbortSignal): Promise<ProducerIdentity> {
    try {
      this.#identity = await this.#init(await this.#cluster.anyNode(signal), signal)
      return this.#identity
    } catch (error) {
      if (brokerCodeOf(error) !== BrokerCode.clusterAuthorization) throw error
      const text = 'This principal may not use an idempotent producer (CLUSTER_AUTHORIZATION_FAILED)'
      throw kafkaError('CONNECT_KAFKA_IDEMPOTENCE_REFUSED', text, {}, error)
    }
  }

  /** Fences older producers of the transactional id and aborts what they left open. */
  async initialise(signal?: AbortSignal): Promise<void> {
    if (this.#state !== 'uninitialised') throw this.#wrongState('initTransactions')
    await this.#coordinated('initialise transactions', this.#config.maxBlockMs, signal, async (node) => {
      this.#identity = await this.#init(node, signal)
    })
    this.#state = 'ready'
  }

  begin(): void {
    if (this.#state !== 'ready') throw this.#wrongState('beginTransaction')
    this.#state = 'open'
  }

  /**
   * Tells the coordinator which partitions the transaction writes to, before the first batch goes there.
   * @throws ConnectError; the transaction is abortable or the producer dead then
   */
  async addPartitions(partitions: readonly TopicPartition[]): Promise<void> {
    const { transactionalId } = this.#config
    const identity = this.#identity
    if (transactionalId === null || identity === null) throw this.#wrongState('add partitions')
    const what = `add partitions to the transaction of ${transactionalId}`
    // From the first try on: an answer may be lost.
    this.#begun = true
    try {
      await this.#coordinated(what, this.#config.deliveryTimeoutMs, undefined, async (node) => {
        const results = await node.send(addPartitionsRequest(transactionalId, identity, partitions))
        const OPERATION_NOT_ATTEMPTED = 55
        const failed = results.find((r) => r.error !== 0 && r.error !== OPERATION_NOT_ATTEMPTED)
        if (failed === undefined) return
        throw brokerError(failed.error, what, { transactionalId, topic: failed.topic, partition: failed.partition })
      })
    } catch (error) {
      if (error instanceof ConnectError) this.fail(error, false)
      throw error
    }
  }

  /** State in which `end` was interrupted, so that the same call may be repeated. */
  startEnd(commit: boolean): void {
    if (commit) {
      if (this.#state === 'abortable') throw this.#mustAbort()
      if (this.#state !== 'open' && this.#state !== 'committing') throw this.#wrongState('commitTransaction')
      this.#state = 'committing'
      return
    }
    if (this.#state !== 'open' && this.#state !== 'abortable' && this.#state !== 'aborting') {
      throw this.#wrongState('abortTransaction')
    }
    this.#state = 'aborting'
  }

  /**
   * Ends the transaction at the coordinator. When it rejects with a retriable error the state stays `committing` or
   * `aborting`: repeating the call asks for the same outcome again, so the outcome is never left unknown.
   */
  async end(commit: boolean, signal?: AbortSignal): Promise<void> {
    const { transactionalId } = this.#config
    const identity = this.#identity
    if (transactionalId === null || identity === null) throw this.#wrongState('end the transaction')
    const what = `${commit ? 'commit' : 'abort'} the transaction of ${transactionalId}`
    try {
      if (this.#begun) {
        await this.#coordinated(what, this.#config.maxBlockMs, signal, async (node) => {
          const error = await withAbort(node.send(endTxnRequest(transactionalId, identity, commit)), signal, what)
          if (error !== 0) throw brokerError(error, what, { transactionalId })
        })
        this.#begun = false
      }
      if (this.#sequencesBroken) {
        await this.#coordinated('renew the producer epoch', this.#config.maxBlockMs, signal, async (node) => {
          this.#identity = await this.#init(node, signal, identity)
        })
        this.#sequencesBroken = false
      }
    } catch (error) {
      if (error instanceof ConnectError && error.kind !== 'retriable') this.#die(error)
      throw error
    }
    this.#error = null
    this.#state = 'ready'
  }

  /** A batch or a request of the open transaction failed for good. */
  fail(error: ConnectError, sequencesBroken: boolean): void {
    this.#sequencesBroken ||= sequencesBroken
    if (error.kind === 'fenced' || brokerCodeOf(error) === BrokerCode.transactionalIdAuthorization) {
      this.#die(error)
      return
    }
    if (this.#state !== 'open' && this.#state !== 'committing') return
    this.#error ??= error
    this.#state = 'abortable'
  }

  #die(error: ConnectError): void {
    if (this.#state === 'fatal') return
    this.#error = error
    this.#state = 'fatal'
  }

  async #init(
    node: BrokerNode,
    signal?: AbortSignal,
    current: ProducerIdentity | null = null,
  ): Promise<ProducerIdentity> {
    const { transactionalId, transactionTimeoutMs } = this.#config
    const what = transactionalId === null ? 'get a producer id' : `get the producer id of ${transactionalId}`
    await withAbort(node.connect(), signal, what)
    const { key, name, least, most } = INIT_PRODUCER_ID
    const version = node.version(key, name, least, most)
    const request = initProducerIdRequest({ version, transactionalId, transactionTimeoutMs, current })
    const { error, producerId, epoch } = await withAbort(node.send(request), signal, what)
    if (error !== 0) throw brokerError(error, what, { transactionalId })
    return { producerId, epoch }
  }

  #coordinated(
    what: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    attempt: (node: BrokerNode) => Promise<void>,
  ): Promise<void> {
    const key = this.#config.transactionalId ?? ''
    return this.#cluster.retry(
      what,
      timeoutMs,
      signal,
      async () => attempt(await this.#cluster.coordinator('transaction', key, signal)),
      (error) => {
        if (brokerCodeOf(error) !== BrokerCode.concurrentTransactions)
          this.#cluster.forgetCoordinator('transaction', key)
      },
    )
  }

  #mustAbort(): ConnectError {
    const cause = this.#error
    const text = `The transaction of ${this.#config.transactionalId} has failed: ${cause?.message ?? 'unknown cause'}`
    return new ConnectError('fatal', 'CONNECT_KAFKA_TRANSACTION', remedied(text, 'CONNECT_KAFKA_TRANSACTION'), {
      cause,
    })
  }

  #wrongState(call: string): ConnectError {
    if (this.#state === 'fatal' && this.#error !== null) return this.#error
    return kafkaError('CONNECT_KAFKA_TRANSACTION_STATE', `${call} is not possible while the producer is ${this.#state}`)
  }
}
