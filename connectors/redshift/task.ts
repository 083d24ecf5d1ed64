import { kindOf, toError } from '../../worker/api/errors.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTask, SinkTaskContext } from '../../worker/api/task.ts'
import { type Offsets, type TopicPartition, TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import type { ObjectStore } from '../common/object-store.ts'
import { openObjectStore } from '../common/s3-client.ts'
import type { LoaderServices } from './batch-loader.ts'
import type { RedshiftSinkConfig } from './config-options.ts'
import { CopyRunner } from './copy-runner.ts'
import { type DataApi, openDataApi } from './data-api.ts'
import { LoadLimit } from './load-limit.ts'
import { readMessages } from './messages.ts'
import { OffsetPrefix } from './offset-prefix.ts'
import type { FileMessage } from './pending-file.ts'
import {
  apiOptions,
  loaderOptions,
  messageOptions,
  nameOptions,
  runnerOptions,
  storeOptions,
  tablesOptions,
} from './settings.ts'
import { foldName } from './sql.ts'
import { TableLoader } from './table-loader.ts'
import { ledgerFor, type NameOptions, tableFor } from './table-names.ts'
import { Tables } from './tables.ts'

/** How the task reaches its servers; tests give their own. */
export interface Drivers {
  readonly openDataApi: typeof openDataApi
  readonly openObjectStore: typeof openObjectStore
}

interface Running {
  readonly config: RedshiftSinkConfig
  readonly context: SinkTaskContext
  readonly api: DataApi
  readonly store: ObjectStore
  readonly services: LoaderServices
  readonly limit: LoadLimit
  readonly names: NameOptions
}

/** Pending messages per batch size at which partitions are paused; resumed at half. */
const maxPendingBatches = 10
/** Pause between two looks of the task at its running loads. */
const loadCheckMs = 50

/**
 * Loads files that metadata messages tell of, one COPY per table at a time. Loads run beside `put`; a message's offset
 * is committed once its files are in the table, or it is reported.
 */
export class RedshiftSinkTask implements SinkTask<RedshiftSinkConfig> {
  readonly #drivers: Drivers
  readonly #loaders = new Map<string, TableLoader>()
  readonly #prefixes = new TopicPartitionMap<OffsetPrefix>()
  readonly #loads = new Set<Promise<void>>()
  #stopping = new AbortController()
  #failure: Error | null = null
  #isPaused = false
  #running: Running | null = null

  constructor(drivers: Drivers = { openDataApi, openObjectStore }) {
    this.#drivers = drivers
  }

  async start(config: RedshiftSinkConfig, context: SinkTaskContext): Promise<void> {
    await using stack = new AsyncDisposableStack()
    const store = stack.adopt(await this.#drivers.openObjectStore(storeOptions(config)), (opened) => opened.close())
    const api = stack.adopt(await this.#drivers.openDataApi(apiOptions(config)), (opened) => opened.close())
    const { clock, logger } = context
    const limit = new LoadLimit(config['max.concurrent.loads'])
    const onThrottled = () => limit.throttled()
    const runner = new CopyRunner(api, runnerOptions(config), { clock, logger, onThrottled })
    const tables = new Tables(runner, tablesOptions(config), { clock, logger })
    const options = loaderOptions(config, context.connector)
    this.#running = {
      config,
      context,
      api,
      store,
      services: { runner, tables, store, clock, logger, options },
      limit,
      names: nameOptions(config),
    }
    stack.move()
  }

  async open(partitions: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition } of partitions) this.#prefixes.set(topic, partition, new OffsetPrefix())
  }

  async put(records: readonly SinkRecord[], _signal: AbortSignal): Promise<void> {
    const { context } = this.#started()
    for (const record of records) await this.#accept(record)
    this.#startLoads()
    // Without new records there is nothing else to do: a load that ends at once is taken note of in this call.
    if (records.length === 0 && this.#loads.size > 0) await this.#waitForLoad()
    if (this.#failure !== null) throw this.#failure
    this.#applyBackPressure()
    const wakeMs = this.#wakeAfterMs()
    if (wakeMs !== null) context.timeout(wakeMs)
  }

  async preCommit(current: Offsets): Promise<Offsets> {
    const offsets = new TopicPartitionMap<bigint>()
    for (const [{ topic, partition }, delivered] of current.entries()) {
      const committable = this.#prefixes.get(topic, partition)?.committable ?? null
      if (committable !== null) offsets.set(topic, partition, committable < delivered ? committable : delivered)
    }
    return offsets
  }

  /**
   * Running loads are left to themselves: their transactions end with or without us, and the ledger tells the next
   * owner what they did.
   */
  async close(partitions: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition } of partitions) this.#prefixes.delete(topic, partition)
    this.#stopping.abort()
    await Promise.allSettled(this.#loads)
    this.#loaders.clear()
    this.#loads.clear()
    this.#stopping = new AbortController()
    // Partitions that stay: their waiting messages went with the queues, so they are read again.
    const { context } = this.#started()
    for (const [tp, prefix] of this.#prefixes.entries()) {
      const restart = prefix.committable
      if (prefix.pendingCount === 0 || restart === null) continue
      this.#prefixes.set(tp.topic, tp.partition, new OffsetPrefix())
      context.seek(tp, restart)
    }
  }

  async stop(): Promise<void> {
    const running = this.#running
    if (running === null) return
    this.#stopping.abort()
    await Promise.allSettled(this.#loads)
    this.#running = null
    running.api.close()
    await running.store.close()
  }

  #started(): Running {
    if (this.#running === null) throw new TypeError('the task is not started')
    return this.#running
  }

  /** Queues one message, or passes it when there is nothing to load, or reports it. */
  async #accept(record: SinkRecord): Promise<void> {
    const { originalTopic: topic, originalPartition: partition, offset } = record
    let prefix = this.#prefixes.get(topic, partition)
    if (prefix === undefined) {
      prefix = new OffsetPrefix()
      this.#prefixes.set(topic, partition, prefix)
    }
    const tracker = prefix
    tracker.begin(offset)
    const { config, context } = this.#started()
    let queued: readonly { readonly message: FileMessage; readonly loader: TableLoader }[]
    try {
      const messages = readMessages(record, messageOptions(config))
      queued = messages.map((message) => ({ message, loader: this.#loaderOf(message) }))
    } catch (error) {
      if (kindOf(error) !== 'record') throw error
      await context.report(record, toError(error))
      tracker.done(offset)
      return
    }
    let open = queued.length
    if (open === 0) tracker.done(offset)
    const done = () => {
      open--
      if (open === 0) tracker.done(offset)
    }
    const arrivedAt = context.clock.monotonicMs()
    const reject = (error: Error) => context.report(record, error)
    for (const { message, loader } of queued) loader.add({ message, arrivedAt, done, reject })
  }

  #loaderOf(message: FileMessage): TableLoader {
    const { config, services, names } = this.#started()
    const table = tableFor(message, names)
    let loader = this.#loaders.get(table)
    if (loader === undefined) {
      const schema = foldName(config['redshift.schema'])
      const ledger = ledgerFor(table, names.ledgerFormat)
      loader = new TableLoader({ target: { schema, table }, ledger: { schema, table: ledger } }, services)
      this.#loaders.set(table, loader)
    }
    return loader
  }

  /** Starts what is due, the table whose oldest file waits longest first. */
  #startLoads(): void {
    const { limit } = this.#started()
    const due = [...this.#loaders.values()].filter((loader) => loader.dueInMs() === 0)
    due.sort((a, b) => a.oldest - b.oldest)
    for (const loader of due) {
      if (this.#loads.size >= limit.current || this.#failure !== null) return
      const { signal } = this.#stopping
      const load = loader
        .loadNext(signal)
        .then(() => limit.ended())
        .catch((error: unknown) => {
          // Surfaces in the next `put`; a load that was told to stop has no say.
          if (!signal.aborted) this.#failure ??= toError(error)
        })
        .finally(() => this.#loads.delete(load))
      this.#loads.add(load)
    }
  }

  async #waitForLoad(): Promise<void> {
    const { clock } = this.#started().context
    const enough = new AbortController()
    await Promise.race([...this.#loads, clock.sleep(loadCheckMs, enough.signal)])
    enough.abort()
    this.#startLoads()
  }

  #applyBackPressure(): void {
    const { config, context } = this.#started()
    const limit = maxPendingBatches * config['batch.max.files']
    let pending = 0
    for (const prefix of this.#prefixes.values()) pending += prefix.pendingCount
    if (!this.#isPaused && pending > limit) {
      context.pause(context.assignment())
      this.#isPaused = true
    } else if (this.#isPaused && pending <= limit / 2) {
      context.resume(context.assignment())
      this.#isPaused = false
    }
  }

  #wakeAfterMs(): number | null {
    let wakeMs: number | null = this.#loads.size > 0 ? loadCheckMs : null
    for (const loader of this.#loaders.values()) {
      const due = loader.dueInMs()
      if (due !== null && (wakeMs === null || due < wakeMs)) wakeMs = due
    }
    return wakeMs
  }
}
