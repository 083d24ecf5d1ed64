/**
 * Reads the partitions of one consumer ahead of the caller: one fetch per broker is under way while the caller works
 * on what came before. A partition is fetched again when its data has been handed out, so memory is bounded by
 * `fetch.max.bytes` per broker, and not at all while that much waits already. What is asked for at a time is less as
 * long as the caller does not run dry (`FetchSize`).
 */
import { ConnectError, toError } from '../api/errors.ts'
import { type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import type { BrokerNode } from './broker-node.ts'
import type { Cluster } from './cluster.ts'
import { BrokerCode, brokerError, isStale } from './errors.ts'
import { AnswerBytes, FetchedData } from './fetched-data.ts'
import { type FetchAnswer, type FetchPartition, fetchRequest } from './protocol/fetch.ts'
import type { ConsumerBatch } from './types.ts'
import { Notifier } from './waiting.ts'

export interface FetchConfig {
  readonly maxWaitMs: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly partitionMaxBytes: number
  readonly readCommitted: boolean
  readonly rack: string
}

const LEAST_FETCH_BYTES = 1024 * 1024
/** A single late answer may be the machine's doing, and a larger size costs memory for long. */
const LATE_ANSWERS = 8

/**
 * Bytes to ask for at a time: what keeps the caller busy while the next answer comes, not all that `fetch.max.bytes`
 * allows. Doubled after several full answers in a row that the caller had to wait for (a distant broker), halved
 * towards the least after one that found data still waiting.
 */
class FetchSize {
  readonly #most: number
  #bytes: number
  #late = 0

  constructor(mostBytes: number) {
    this.#most = mostBytes
    this.#bytes = Math.min(LEAST_FETCH_BYTES, mostBytes)
  }

  get bytes(): number {
    return this.#bytes
  }

  answered(askedBytes: number, cameBytes: number, callerRanDry: boolean): void {
    if (!callerRanDry) {
      this.#late = 0
      this.#bytes = Math.max(Math.min(LEAST_FETCH_BYTES, this.#most), Math.floor(this.#bytes / 2))
    } else if (cameBytes >= askedBytes / 2 && ++this.#late >= LATE_ANSWERS) {
      this.#late = 0
      this.#bytes = Math.min(this.#most, askedBytes * 2)
    }
  }
}

interface PartitionState {
  readonly topic: string
  readonly partition: number
  /** Next offset to hand out; null until it has been looked up. */
  position: bigint | null
  paused: boolean
  data: FetchedData | null
  /** A fetch for this partition is under way. */
  fetching: boolean
  /** Monotonic ms before which it is left alone after an error. */
  restUntil: number
  /** The position lies outside the log: it has to be looked up by `auto.offset.reset`. */
  outOfRange: boolean
}

export class Fetcher {
  readonly #cluster: Cluster
  readonly #config: FetchConfig
  readonly #size: FetchSize
  readonly #partitions = new TopicPartitionMap<PartitionState>()
  /** All partitions, those whose records were handed out longest ago first: brokers fill answers in that order. */
  #turns = new Set<PartitionState>()
  readonly #busy = new Set<BrokerNode>()
  /** Partitions with data, in the order in which it came. */
  #ready: PartitionState[] = []
  #staleTopics = false
  #refreshing = false
  #failure: Error | null = null
  /** The caller has found nothing since the last answer. */
  #dry = false
  /** What the records handed out last are views of, of data that has been handed out to its end. */
  #spent: AnswerBytes[] = []
  #closed = false
  /** Notified when something came or failed. */
  readonly news = new Notifier()

  constructor(cluster: Cluster, config: FetchConfig) {
    this.#cluster = cluster
    this.#config = config
    this.#size = new FetchSize(config.maxBytes)
  }

  /** Replaces the set of partitions; those that stay keep position, pause and data. */
  assign(partitions: readonly TopicPartition[]): void {
    const kept = new TopicPartitionMap<PartitionState>()
    for (const { topic, partition } of partitions) {
      kept.set(topic, partition, this.#partitions.get(topic, partition) ?? newState(topic, partition))
    }
    this.#partitions.clear()
    for (const [{ topic, partition }, state] of kept) this.#partitions.set(topic, partition, state)
    // Those that stay keep their turns; new ones come first.
    const before = [...this.#turns].filter((state) => this.#isCurrent(state))
    this.#turns = new Set([...[...kept.values()].filter((state) => !this.#turns.has(state)), ...before])
    this.#ready = this.#ready.filter((state) => this.#isCurrent(state))
  }

  assignment(): TopicPartition[] {
    return [...this.#partitions.keys()]
  }

  has(topic: string, partition: number): boolean {
    return this.#partitions.has(topic, partition)
  }

  pause(topic: string, partition: number): void {
    const state = this.#partitions.get(topic, partition)
    if (state === undefined) return
    state.paused = true
    state.data?.detach()
  }

  resume(topic: string, partition: number): void {
    const state = this.#partitions.get(topic, partition)
    if (state === undefined || !state.paused) return
    state.paused = false
    this.news.notify()
  }

  paused(): TopicPartition[] {
    return [...this.#partitions.entries()].filter(([, state]) => state.paused).map(([tp]) => tp)
  }

  position(topic: string, partition: number): bigint | null {
    return this.#partitions.get(topic, partition)?.position ?? null
  }

  /** Data fetched for the old position is dropped. */
  seek(topic: string, partition: number, offset: bigint): void {
    const state = this.#partitions.get(topic, partition)
    if (state === undefined) return
    state.position = offset
    state.outOfRange = false
    this.#dropData(state)
  }

  /** Sets a looked-up position, unless a seek or another look-up came first. */
  initialise(topic: string, partition: number, offset: bigint): void {
    const state = this.#partitions.get(topic, partition)
    if (state !== undefined && (state.position === null || state.outOfRange)) this.seek(topic, partition, offset)
  }

  /** Partitions whose position must be looked up, by committed offset (`fresh`) or by `auto.offset.reset`. */
  unpositioned(): { readonly fresh: TopicPartition[]; readonly outOfRange: TopicPartition[] } {
    const fresh: TopicPartition[] = []
    const outOfRange: TopicPartition[] = []
    for (const [tp, state] of this.#partitions) {
      if (state.outOfRange) outOfRange.push(tp)
      else if (state.position === null) fresh.push(tp)
    }
    return { fresh, outOfRange }
  }

  /**
   * What is there, at most `maxRecords` records and about `maxBytes` in all; one record at least, if there is any.
   * @throws ConnectError what a broker refused for good, or damaged data
   */
  take(maxRecords: number, maxBytes: number): ConsumerBatch[] {
    const failure = this.#failure
    if (failure !== null) {
      this.#failure = null
      throw failure
    }
    // Not released: somebody may keep them.
    this.#spent = []
    const batches: ConsumerBatch[] = []
    let left = maxRecords
    let bytesLeft = maxBytes
    const later: PartitionState[] = []
    for (const [index, state] of this.#ready.entries()) {
      if (left <= 0 || bytesLeft <= 0) {
        later.push(...this.#ready.slice(index))
        break
      }
      if (state.paused) {
        later.push(state)
        continue
      }
      const { data } = state
      if (data === null) continue
      let piece: ReturnType<FetchedData['next']>
      try {
        piece = data.next(left, bytesLeft)
      } catch (error) {
        if (batches.length === 0) {
          throw error
        }
        later.push(...this.#ready.slice(index))
        break
      }
      if (piece === null || data.isExhausted) this.#end(state, data)
      else later.push(state)
      if (piece === null) continue
      const { records, nextOffset, byteLength } = piece
      // Not one whose part of an answer was cut off within its first batch: that one keeps its place.
      this.#turns.delete(state)
      this.#turns.add(state)
      state.position = nextOffset
      left -= records.length
      bytesLeft -= byteLength
      batches.push({ topic: state.topic, partition: state.partition, endOffset: data.endOffset, records, nextOffset })
    }
    this.#ready = later
    if (batches.length === 0) this.#dry = true
    return batches
  }

  /** Nobody looks at the bytes of the records that were handed out any more: their storage may be written over. */
  release(): void {
    const spent = this.#spent
    this.#spent = []
    for (const answer of spent) answer.release()
  }

  /** Sends a fetch to every broker that has none under way and leads partitions without data. */
  pump(): void {
    if (this.#closed) return
    let waiting = 0
    for (const state of this.#ready) if (!state.paused) waiting += state.data?.byteLength ?? 0
    if (waiting >= this.#size.bytes) return
    const now = this.#cluster.clock.monotonicMs()
    const wanted = new Map<BrokerNode, PartitionState[]>()
    for (const state of this.#turns) {
      if (state.position === null || state.outOfRange || state.paused || state.fetching || state.data !== null) continue
      if (state.restUntil > now) continue
      const leader = this.#cluster.leader(state.topic, state.partition)
      if (leader === null) {
        this.#staleTopics = true
        continue
      }
      if (this.#busy.has(leader)) continue
      const group = wanted.get(leader)
      if (group === undefined) wanted.set(leader, [state])
      else group.push(state)
    }
    for (const [leader, states] of wanted) void this.#fetch(leader, states)
    if (this.#staleTopics) void this.#refresh()
  }

  close(): void {
    this.#closed = true
    this.#partitions.clear()
    this.#turns.clear()
    this.#ready = []
  }

  #end(state: PartitionState, data: FetchedData): void {
    state.data = null
    const answer = data.end()
    if (answer !== null) this.#spent.push(answer)
  }

  #isCurrent(state: PartitionState): boolean {
    return this.#partitions.get(state.topic, state.partition) === state
  }

  #dropData(state: PartitionState): void {
    if (state.data === null) return
    state.data = null
    this.#ready = this.#ready.filter((other) => other !== state)
  }

  /** Never rejects. */
  async #fetch(leader: BrokerNode, states: readonly PartitionState[]): Promise<void> {
    this.#busy.add(leader)
    const partitions: FetchPartition[] = []
    for (const state of states) {
      if (state.position === null) continue
      state.fetching = true
      const { topic, partition, position } = state
      partitions.push({ topic, partition, offset: position, maxBytes: this.#config.partitionMaxBytes })
    }
    const asked = TopicPartitionMap.from(partitions.map((p) => [p, p.offset] as const))
    const requestTimeoutMs = this.#cluster.config.requestTimeoutMs
    try {
      const maxBytes = this.#size.bytes
      const request = fetchRequest({ ...this.#config, maxBytes, requestTimeoutMs, partitions })
      const answers = await leader.send(request, 'fetch')
      const came = answers.reduce((sum, { records }) => sum + records.length, 0)
      if (came === 0) leader.shrink()
      this.#size.answered(maxBytes, came, this.#dry)
      this.#dry = false
      const filled = answers.find(({ records }) => records.length > 0)?.records
      const bytes = filled === undefined ? null : new AnswerBytes(() => leader.reuse(filled))
      for (const answer of answers) this.#receive(answer, asked.get(answer.topic, answer.partition), bytes)
    } catch (error) {
      this.#failed(toError(error), states)
    } finally {
      for (const state of states) state.fetching = false
      this.#busy.delete(leader)
      this.news.notify()
    }
    // Go on at once: the caller may be busy with what came before.
    this.pump()
  }

  #receive(answer: FetchAnswer, askedOffset: bigint | undefined, bytes: AnswerBytes | null): void {
    const state = this.#partitions.get(answer.topic, answer.partition)
    // Revoked, or moved by a seek while the fetch was under way.
    if (state === undefined || askedOffset === undefined || state.position !== askedOffset) return
    if (answer.error !== 0) {
      this.#refused(answer, state)
      return
    }
    if (answer.records.length === 0) return
    const data = new FetchedData(answer, askedOffset, this.#config.readCommitted, bytes)
    if (state.paused) data.detach()
    state.data = data
    this.#ready.push(state)
  }

  #refused({ topic, partition, error }: FetchAnswer, state: PartitionState): void {
    if (error === BrokerCode.offsetOutOfRange) {
      state.outOfRange = true
      return
    }
    const failure = brokerError(error, `fetch from ${topic}-${partition}`, { topic, partition })
    if (isStale(error)) this.#staleTopics = true
    if (failure.kind === 'retriable')
      state.restUntil = this.#cluster.clock.monotonicMs() + this.#cluster.config.retryBackoffMs
    else this.#failure ??= failure
  }

  #failed(error: Error, states: readonly PartitionState[]): void {
    if (this.#closed) return
    if (error instanceof ConnectError && error.kind === 'retriable') {
      this.#staleTopics = true
      const restUntil = this.#cluster.clock.monotonicMs() + this.#cluster.config.retryBackoffMs
      for (const state of states) state.restUntil = restUntil
      this.#cluster.log?.debug({ error: error.message }, 'a fetch failed; trying again')
    } else this.#failure ??= error
  }

  /** One at a time, with a pause after each; never rejects. */
  async #refresh(): Promise<void> {
    if (this.#refreshing) return
    this.#refreshing = true
    try {
      const topics = new Set<string>()
      for (const { topic } of this.#partitions.keys()) topics.add(topic)
      if (topics.size > 0) await this.#cluster.refresh([...topics])
      this.#staleTopics = false
    } catch (error) {
      if (!(error instanceof ConnectError) || error.kind !== 'retriable') this.#failure ??= toError(error)
    }
    await this.#cluster.clock.sleep(this.#cluster.config.retryBackoffMs)
    this.#refreshing = false
    this.news.notify()
  }
}

function newState(topic: string, partition: number): PartitionState {
  return {
    topic,
    partition,
    position: null,
    paused: false,
    data: null,
    fetching: false,
    restUntil: 0,
    outOfRange: false,
  }
}
