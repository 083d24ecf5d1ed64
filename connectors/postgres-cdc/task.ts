import type { Clock, Counter, Logger } from '../../worker/api/context.ts'
import { ConnectError, DataError, RetriableError } from '../../worker/api/errors.ts'
import type { SourceOffset, SourceRecord } from '../../worker/api/record.ts'
import type { CommittedOffset, SourceTask, SourceTaskContext } from '../../worker/api/task.ts'
import type { PostgresConfig } from './config.ts'
import { Database } from './connection.ts'
import type { ConversionFailures, EventConstants } from './envelope.ts'
import { classify } from './errors.ts'
import { readOffset } from './offsets.ts'
import { Session } from './session.ts'
import { type Settings, settingsOf } from './settings.ts'
import { dropSlot } from './slot.ts'
import { PositionMissingError } from './stream-decoder.ts'

/** Conversion failures are counted, and logged once per field: a log line per record would drown everything else. */
class LoggedFailures implements ConversionFailures {
  readonly #mode: Settings['conversionFailures']
  readonly #logger: Logger
  readonly #counter: Counter
  readonly #logged = new Set<string>()

  constructor(mode: Settings['conversionFailures'], logger: Logger, counter: Counter) {
    this.#mode = mode
    this.#logger = logger
    this.#counter = counter
  }

  failed(field: string, error: DataError): void {
    if (this.#mode === 'fail') {
      throw new DataError('CONNECT_POSTGRES_VALUE_REFUSED', `Field ${field}: ${error.message}`, { cause: error })
    }
    this.#counter.add(1)
    if (this.#mode === 'skip' || this.#logged.has(field)) return
    this.#logged.add(field)
    this.#logger.warn(
      { field, code: error.code },
      'A value could not be converted and became null; logged once per field',
    )
  }
}

/**
 * Captures one database: snapshot, then stream. A lost connection is a RetriableError of `poll`; the next `poll` goes
 * on behind the last record that was returned. Progress is confirmed to the slot in `commit` only (I1).
 */
export class PostgresTask implements SourceTask<PostgresConfig> {
  #context: SourceTaskContext | null = null
  #settings: Settings | null = null
  #constants: EventConstants | null = null
  #session: Session | null = null
  /** Offset of the last record returned, else the stored one. */
  #offset: SourceOffset | null = null
  #first = true
  #timeline: number | null = null
  #distrustXid: number | null = null
  #failures = 0
  readonly #life = new AbortController()

  async start(config: PostgresConfig, context: SourceTaskContext): Promise<void> {
    const settings = settingsOf(config, context.rawConfig, {
      task: context.task,
      nowMs: context.clock.now(),
      pluginPath: context.pluginPath,
    })
    this.#context = context
    this.#settings = settings
    const failed = context.metrics.counter('conversion-failures-total', 'Values that did not fit their schema')
    this.#constants = {
      connectorName: context.connector,
      logicalName: settings.logicalName,
      database: settings.database,
      failures: new LoggedFailures(settings.conversionFailures, context.logger, failed),
    }
    const [stored] = await context.offsets.read([settings.partition])
    this.#offset = stored ?? null
    this.#session = await this.#guard('start', () => this.#open())
  }

  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    const records = await this.#guard('read the source', async () => {
      this.#session ??= await this.#open()
      return await this.#session.poll(signal)
    })
    const last = records.at(-1)
    if (last !== undefined) {
      this.#offset = last.sourceOffset
      this.#failures = 0
    }
    return records
  }

  async commit(committed: readonly CommittedOffset[]): Promise<void> {
    for (const { offset } of committed) this.#session?.confirm(offset)
  }

  async stop(): Promise<void> {
    this.#life.abort()
    const session = this.#session
    this.#session = null
    await session?.[Symbol.asyncDispose]()
    const settings = this.#settings
    if (settings === null || this.#context === null || !settings.dropSlotOnStop) return
    const { clock } = this.#context
    await using database = await Database.open(settings.connection, 'Debezium Drop Slot')
    await dropSlot(database, settings.slot, () => clock.sleep(1000))
  }

  async #open(): Promise<Session> {
    const { context, settings, constants } = this.#started()
    const session = await Session.open({
      settings,
      clock: context.clock,
      logger: context.logger,
      constants,
      stored: this.#offset === null ? null : readOffset(this.#offset),
      offset: this.#offset,
      first: this.#first,
      timeline: this.#timeline,
      distrustXid: this.#distrustXid,
      life: this.#life.signal,
      nowUs: microsecondClock(context.clock),
      metrics: context.metrics,
      readTopic: (options) => context.readTopic(options),
      advance: (offset) => {
        this.#offset = offset
        context.advance(settings.partition, offset)
      },
      persist: async (offset) => {
        await context.persist(settings.partition, offset)
        this.#offset = offset
      },
    })
    this.#first = false
    this.#timeline = session.timeline
    return session
  }

  #started() {
    if (this.#context === null || this.#settings === null || this.#constants === null) {
      throw new RangeError('The task has not been started')
    }
    return { context: this.#context, settings: this.#settings, constants: this.#constants }
  }

  /** `internal.custom.retriable.exception` */
  #asConfigured(failure: ConnectError): ConnectError {
    const { retriable, retryMs } = this.#started().settings
    if (retriable === null || failure instanceof RetriableError) return failure
    const { code, message, context } = failure
    for (let cause: unknown = failure; cause instanceof Error; cause = cause.cause)
      if (retriable.matches(cause.message))
        return new RetriableError(code, message, { cause: failure, context, retryAfterMs: retryMs })
    return failure
  }

  /** Runs a step; a failure ends the session, so that the next call starts a new one. */
  async #guard<T>(what: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      const { context, settings } = this.#started()
      const failure = this.#asConfigured(classify(error, { what, slot: settings.slot, retryAfterMs: settings.retryMs }))
      const session = this.#session
      this.#session = null
      await session?.[Symbol.asyncDispose]()
      if (failure instanceof PositionMissingError) {
        this.#distrustXid = failure.xid
        context.logger.warn({ xid: failure.xid, code: failure.code }, failure.message)
      } else if (failure instanceof RetriableError) {
        this.#failures += 1
        if (settings.maxRetries >= 0 && this.#failures > settings.maxRetries)
          throw exhausted(failure, settings.maxRetries)
      }
      throw failure
    }
  }
}

/** Retries are over: the same error, but final. */
function exhausted(failure: RetriableError, retries: number): ConnectError {
  const { message, code, context } = failure
  return new ConnectError('fatal', code, `${message} Given up after errors.max.retries=${retries}.`, {
    cause: failure,
    context,
  })
}

/** Wall clock in microseconds; within one millisecond it does not advance. */
function microsecondClock(clock: Clock): () => number {
  return () => clock.now() * 1000
}
