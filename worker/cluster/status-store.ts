import type { Clock, Logger } from '../api/context.ts'
import { kindOf, toError } from '../api/errors.ts'
import type { TopicLog, TopicLogFactory, TopicLogOptions } from '../kafka/types.ts'
import { withAbort } from '../kafka/waiting.ts'
import type { TaskId } from '../runtime/worker-types.ts'
import {
  type ActiveTopic,
  encodeStatus,
  encodeTopic,
  type Status,
  StatusTable,
  statusKeys,
  type TopicRemoved,
} from './status-format.ts'

/** States and active topics of all connectors of the cluster. Reads answer from memory. */
export interface StatusStore extends AsyncDisposable {
  start(signal?: AbortSignal): Promise<void>
  connector(connector: string): Status | null
  task(id: TaskId): Status | null
  /** By task number. */
  tasks(connector: string): ReadonlyMap<number, Status>
  /** Connectors with a status of their own or of a task. */
  connectors(): readonly string[]
  topics(connector: string): readonly ActiveTopic[]
  /**
   * DESTROYED removes the entry. `safe` writes (shutdown, failure) give way to what a later generation or another
   * worker reported since (I7). Returns at once; see `flush`.
   */
  putConnector(connector: string, status: Status, safe: boolean): void
  putTask(id: TaskId, status: Status, safe: boolean): void
  putTopic(topic: ActiveTopic): void
  deleteTopic(topic: ActiveTopic): void
  /** Has whoever runs tasks told of each topic that is removed, by this worker or another, once reads know it. */
  onTopicRemoved(listener: TopicRemoved): void
  /** Waits for what was put before the call. */
  flush(signal?: AbortSignal): Promise<void>
  /** Waits until reads know what anybody had written before the call. @throws RetriableError when `signal` aborts first */
  readToEnd(signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface KafkaStatusStoreOptions {
  readonly createLog: TopicLogFactory
  readonly clients: Pick<TopicLogOptions, 'topic' | 'consumer' | 'producer' | 'admin'>
  readonly clock: Clock
  readonly logger: Logger
  /** Pause before a failed write is repeated, in ms. */
  readonly retryBackoffMs: number
}

interface Outgoing {
  readonly key: string
  readonly value: Uint8Array | null
  /** Asked again before each attempt: a write that has become stale is dropped. */
  isStillTrue(): boolean
}

/** The status topic (Connect 2.6). Writes go out in order, several at a time; retriable failures are repeated. */
export class KafkaStatusStore implements StatusStore {
  readonly #options: KafkaStatusStoreOptions
  readonly #log: TopicLog
  readonly #table = new StatusTable((connector, topic) => this.#topicRemoved(connector, topic))
  #topicRemoved: TopicRemoved = () => {}
  /** Counts the writes of each key, so that a retry does not overtake a newer one. */
  readonly #sequences = new Map<string, number>()
  #queue: Outgoing[] = []
  #pump: Promise<void> | null = null
  readonly #closing = new AbortController()

  constructor(options: KafkaStatusStoreOptions) {
    this.#options = options
    this.#log = options.createLog({
      ...options.clients,
      onRecord: ({ key, value, offset }) => {
        const problem = this.#table.apply(key === null ? '' : Buffer.from(key).toString('utf8'), value)
        if (problem !== null) options.logger.error({ offset }, `ignoring a record of the status topic: ${problem}`)
      },
      onError: (error) => options.logger.warn({ error }, 'reading the status topic failed; it is tried again'),
    })
  }

  async start(signal?: AbortSignal): Promise<void> {
    await this.#log.start(signal)
  }

  connector(connector: string): Status | null {
    return this.#table.status(statusKeys.connector(connector))
  }

  task(id: TaskId): Status | null {
    return this.#table.status(statusKeys.task(id))
  }

  tasks(connector: string): ReadonlyMap<number, Status> {
    return this.#table.tasks(connector)
  }

  connectors(): readonly string[] {
    return this.#table.connectors()
  }

  topics(connector: string): readonly ActiveTopic[] {
    return this.#table.topics(connector)
  }

  putConnector(connector: string, status: Status, safe: boolean): void {
    this.#put(statusKeys.connector(connector), status, safe)
  }

  putTask(id: TaskId, status: Status, safe: boolean): void {
    this.#put(statusKeys.task(id), status, safe)
  }

  putTopic(topic: ActiveTopic): void {
    this.#enqueue({ key: statusKeys.topic(topic), value: encodeTopic(topic), isStillTrue: () => true })
  }

  deleteTopic(topic: ActiveTopic): void {
    this.#enqueue({ key: statusKeys.topic(topic), value: null, isStillTrue: () => true })
  }

  onTopicRemoved(listener: TopicRemoved): void {
    this.#topicRemoved = listener
  }

  async flush(signal?: AbortSignal): Promise<void> {
    while (this.#pump !== null) await withAbort(this.#pump, signal, 'write statuses')
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#pump
    await this.#log.close()
  }

  readToEnd(signal?: AbortSignal): Promise<void> {
    return this.#log.readToEnd(signal)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #put(key: string, status: Status, safe: boolean): void {
    const sequence = (this.#sequences.get(key) ?? 0) + 1
    const isAllowed = (): boolean => !safe || isSafe(this.#table.status(key), status)
    if (!isAllowed()) {
      this.#options.logger.debug({ key, state: status.state }, 'another worker reported since; status not written')
      return
    }
    this.#sequences.set(key, sequence)
    const value = status.state === 'DESTROYED' ? null : encodeStatus(status)
    this.#enqueue({ key, value, isStillTrue: () => this.#sequences.get(key) === sequence && isAllowed() })
  }

  #enqueue(outgoing: Outgoing): void {
    this.#queue.push(outgoing)
    this.#pump ??= this.#drain()
  }

  async #drain(): Promise<void> {
    // Whatever is put during this turn of the event loop leaves with the first batch.
    await Promise.resolve()
    // The pump ends in the turn that sees the queue empty: what is put a turn later starts one of its own.
    using _ended = { [Symbol.dispose]: () => void (this.#pump = null) }
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      try {
        await this.#log.send(
          batch.map(({ key, value }) => ({ key: Buffer.from(key), value })),
          this.#closing.signal,
        )
      } catch (error) {
        if (this.#closing.signal.aborted) return
        if (kindOf(error) !== 'retriable') {
          this.#options.logger.error({ error: toError(error), count: batch.length }, 'failed to write statuses')
          continue
        }
        await this.#options.clock.sleep(this.#options.retryBackoffMs, this.#closing.signal)
        this.#queue = [...batch.filter((outgoing) => outgoing.isStillTrue()), ...this.#queue]
      }
    }
  }
}

/** Whether nobody with a better claim has reported since (Connect's `canWriteSafely`). */
function isSafe(current: Status | null, next: Status): boolean {
  return current === null || current.workerId === next.workerId || current.generation <= next.generation
}

/** Statuses of a standalone worker: nobody else writes, nothing outlives the process. */
export class MemoryStatusStore implements StatusStore {
  readonly #connectors = new Map<string, Status>()
  readonly #tasks = new Map<string, Map<number, Status>>()
  readonly #topics = new Map<string, Map<string, ActiveTopic>>()
  #topicRemoved: TopicRemoved = () => {}

  async start(): Promise<void> {
    // Nothing to read.
  }

  connector(connector: string): Status | null {
    return this.#connectors.get(connector) ?? null
  }

  task(id: TaskId): Status | null {
    return this.#tasks.get(id.connector)?.get(id.task) ?? null
  }

  tasks(connector: string): ReadonlyMap<number, Status> {
    return new Map([...(this.#tasks.get(connector) ?? [])].sort(([a], [b]) => a - b))
  }

  connectors(): readonly string[] {
    return [...new Set([...this.#connectors.keys(), ...this.#tasks.keys()])]
  }

  topics(connector: string): readonly ActiveTopic[] {
    return [...(this.#topics.get(connector)?.values() ?? [])]
  }

  putConnector(connector: string, status: Status): void {
    if (status.state === 'DESTROYED') this.#connectors.delete(connector)
    else this.#connectors.set(connector, status)
  }

  putTask(id: TaskId, status: Status): void {
    let tasks = this.#tasks.get(id.connector)
    if (tasks === undefined) {
      tasks = new Map()
      this.#tasks.set(id.connector, tasks)
    }
    if (status.state === 'DESTROYED') tasks.delete(id.task)
    else tasks.set(id.task, status)
    if (tasks.size === 0) this.#tasks.delete(id.connector)
  }

  putTopic(topic: ActiveTopic): void {
    const topics = this.#topics.get(topic.connector) ?? new Map<string, ActiveTopic>()
    this.#topics.set(topic.connector, topics.set(topic.topic, topic))
  }

  deleteTopic({ connector, topic }: ActiveTopic): void {
    if (this.#topics.get(connector)?.delete(topic)) this.#topicRemoved(connector, topic)
  }

  onTopicRemoved(listener: TopicRemoved): void {
    this.#topicRemoved = listener
  }

  async flush(): Promise<void> {
    // Every write is done when it returns.
  }

  async readToEnd(): Promise<void> {
    // Nobody else writes.
  }

  async close(): Promise<void> {
    // Nothing is held.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
