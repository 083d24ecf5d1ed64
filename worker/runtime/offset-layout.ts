/**
 * Where the offsets of a source connector stand (Connect 2.5, KIP-618): in the worker's store alone, or in a topic of
 * the connector's own cluster with the worker's store as its backup. Used by the task's thread, which writes, and by
 * the main thread, which reads; both must come to the same answer.
 */
import type { Logger } from '../api/context.ts'
import { toError } from '../api/errors.ts'
import type { OffsetRecord, OffsetSink } from '../cluster/offset-writer.ts'
import { type ClientScope, producerProperties } from './client-properties.ts'
import type { RuntimeSettings } from './host-protocol.ts'
import type { TaskId } from './worker-types.ts'

export interface OffsetLayout {
  /** Topic that the task's own producer writes; null: the worker's store alone. */
  readonly topic: string | null
  /** Whether `topic` is the worker's own offset topic: then there is no second store, and nothing is written twice. */
  readonly isWorkers: boolean
}

/** `offsets.storage.topic`; null when blank. */
export function connectorOffsetTopic(scope: ClientScope): string | null {
  const topic = (scope.connector['offsets.storage.topic'] ?? '').trim()
  return topic === '' ? null : topic
}

/** @throws ConfigError when the override policy forbids the connector's producer options */
export function offsetLayout(
  scope: ClientScope,
  id: TaskId,
  settings: Pick<RuntimeSettings, 'exactlyOnceSource' | 'offsetTopic'>,
): OffsetLayout {
  const topic = connectorOffsetTopic(scope) ?? (settings.exactlyOnceSource ? settings.offsetTopic : null)
  if (topic === null) return { topic: null, isWorkers: true }
  const servers = producerProperties(scope, id)['bootstrap.servers']
  const workerServers = scope.worker['bootstrap.servers'] ?? 'localhost:9092'
  return { topic, isWorkers: topic === settings.offsetTopic && sameServers(servers, workerServers) }
}

function sameServers(a: string | undefined, b: string): boolean {
  const list = (text: string): string =>
    text
      .split(',')
      .map((server) => server.trim())
      .sort()
      .join(',')
  return a !== undefined && list(a) === list(b)
}

export interface BackedUpOffsetsOptions {
  /** The connector's topic: what it holds counts. */
  readonly primary: OffsetSink
  /** The worker's store. */
  readonly backup: OffsetSink
  readonly logger: Logger
  /** True when a write becomes durable only with the transaction that `confirm` tells about. */
  readonly transactional: boolean
}

/**
 * Writes to the connector's topic, then to the worker's store. Tombstones go to the worker's store first and must be
 * durable there: the other order could lose the reset, since a reader falls back to the worker's store when
 * compaction has removed the tombstone of the primary. A failed backup is only logged. The backup never runs ahead of
 * the primary: not even of its transaction, or an aborted one could skip records (I1).
 */
export class BackedUpOffsets implements OffsetSink {
  readonly #options: BackedUpOffsetsOptions
  /** Durable in the primary, not yet in the backup; the newest per key, so that it stays bounded. */
  readonly #waiting = new Map<string, OffsetRecord>()
  /** Written to the primary in the open transaction. */
  #unconfirmed: readonly OffsetRecord[] = []
  #running: Promise<void> | null = null
  readonly #stopped = new AbortController()

  constructor(options: BackedUpOffsetsOptions) {
    this.#options = options
  }

  async write(records: readonly OffsetRecord[], signal?: AbortSignal): Promise<void> {
    const { primary, backup, transactional } = this.#options
    const tombstones = records.filter(({ value }) => value === null)
    if (tombstones.length > 0) {
      // A backup of an older offset that is still under way must not come after its tombstone.
      await this.#running
      for (const { key } of tombstones) this.#waiting.delete(identity(key))
      await backup.write(tombstones, signal)
    }
    await primary.write(records, signal)
    const rest = tombstones.length === 0 ? records : records.filter(({ value }) => value !== null)
    this.#unconfirmed = transactional ? [...this.#unconfirmed, ...rest] : rest
    if (!transactional) this.confirm()
  }

  /** The transaction of the writes so far is committed. */
  confirm(): void {
    for (const record of this.#unconfirmed) this.#waiting.set(identity(record.key), record)
    this.#unconfirmed = []
    if (this.#waiting.size > 0) this.#running ??= this.#backUp()
  }

  /** The transaction of the writes so far was aborted. */
  discard(): void {
    this.#unconfirmed = []
  }

  async #backUp(): Promise<void> {
    const { backup, logger } = this.#options
    try {
      while (this.#waiting.size > 0 && !this.#stopped.signal.aborted) {
        const records = [...this.#waiting.values()]
        this.#waiting.clear()
        await backup.write(records, this.#stopped.signal)
      }
    } catch (error) {
      logger.warn(
        { error: toError(error) },
        "The connector's offsets are durable in its own topic, but could not be copied to the worker's offset store",
      )
    } finally {
      this.#running = null
    }
  }

  /** Lets a running backup finish until `signal` aborts; never rejects. */
  async close(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#stopped.abort(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    try {
      await this.#running
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}

function identity(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
}
