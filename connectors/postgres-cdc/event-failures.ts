/** `event.processing.failure.handling.mode`: what becomes of a change that cannot be made an event. */
import type { Counter, Logger } from '../../worker/api/context.ts'
import { kindOf, toError } from '../../worker/api/errors.ts'
import type { SourceRecord } from '../../worker/api/record.ts'

/** `skip` and `ignore` are the same. */
export type ProcessingFailures = 'fail' | 'warn' | 'skip'

/**
 * Leaves out changes whose values are refused (`event.converting.failure.handling.mode=fail`). Values are converted where
 * records are written, so each record is read out here first: only for those who chose to go on without some.
 */
export class EventFailures {
  readonly #isTold: boolean
  readonly #logger: Logger
  readonly #counter: Counter

  constructor(mode: Exclude<ProcessingFailures, 'fail'>, logger: Logger, counter: Counter) {
    this.#isTold = mode === 'warn'
    this.#logger = logger
    this.#counter = counter
  }

  /** The records of all changes that can be converted, in their order. @throws what is no failure of a value */
  passed(records: readonly SourceRecord[]): readonly SourceRecord[] {
    const passed: SourceRecord[] = []
    for (let from = 0; from < records.length; ) {
      let to = from + 1
      while (to < records.length && isSameChange(records[from] as SourceRecord, records[to] as SourceRecord)) to++
      const change = records.slice(from, to)
      if (this.#convert(change)) passed.push(...change)
      from = to
    }
    return passed
  }

  #convert(change: readonly SourceRecord[]): boolean {
    try {
      for (const record of change) void [record.key, record.value]
      return true
    } catch (error) {
      if (kindOf(error) !== 'record') throw error
      const [record] = change
      const fields = { error: toError(error), topic: record?.topic, offset: record?.sourceOffset }
      const message = 'Error while processing an event: it is left out, as event.processing.failure.handling.mode says'
      this.#counter.add(change.length)
      if (this.#isTold) this.#logger.warn(fields, message)
      else this.#logger.debug(fields, message)
      return false
    }
  }
}

/** A deletion and its tombstone, or the three records of a changed key: none comes without the others. */
function isSameChange(a: SourceRecord, b: SourceRecord): boolean {
  return (
    a.topic === b.topic &&
    ['lsn', 'lsn_proc', 'lsn_events_processed', 'messageType'].every((m) => a.sourceOffset[m] === b.sourceOffset[m])
  )
}
