import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { Action } from './documents.ts'
import type { OffsetSlot } from './offset-tracker.ts'

/** A record on its way: done when its slot is. */
export interface PendingAction {
  /** Kept only for reports: thousands of records wait here, and what lives long is dear to collect. */
  readonly record: SinkRecord | null
  readonly slot: OffsetSlot
  readonly action: Action
}

/** Deliveries of one partition, one behind the other, that do the same to the same resource. */
export interface Run {
  /** Of the first. */
  readonly slot: OffsetSlot
  readonly action: Action
  count: number
}

const newline = 0x0a

/**
 * The actions of one bulk request: their lines, and runs of records instead of an object for each. Either all actions
 * have a record or none has.
 */
export class BulkBatch {
  readonly body: GrowingByteWriter
  readonly #runs: Run[] = []
  readonly #records: SinkRecord[] = []
  #count = 0

  /** @param body empty; belongs to the batch until nothing of it is to be sent again */
  constructor(body: GrowingByteWriter) {
    this.body = body
  }

  /** Number of actions. */
  get count(): number {
    return this.#count
  }

  get runs(): readonly Run[] {
    return this.#runs
  }

  /** Appends an action, whose lines are copied. */
  add({ record, slot, action }: PendingAction, lines: Uint8Array): void {
    this.body.bytes(lines)
    this.#count++
    if (record !== null) this.#records.push(record)
    const last = this.#runs.at(-1)
    if (last !== undefined && continues(last, slot, action)) last.count++
    else this.#runs.push({ slot, action, count: 1 })
  }

  /** Each action by itself, for answers that are not the same for all. */
  actions(): PendingAction[] {
    const actions: PendingAction[] = []
    for (const { slot, action, count } of this.#runs) {
      for (let i = 0; i < count; i++) {
        const record = this.#records[actions.length] ?? null
        actions.push({ record, slot: { ...slot, sequence: slot.sequence + i }, action })
      }
    }
    return actions
  }

  /** Some of the actions, with a body of their own; the batch itself when these are all. */
  subset(indices: readonly number[]): BulkBatch {
    if (indices.length === this.#count) return this
    const actions = this.actions()
    const ends = this.#ends(actions)
    const part = new BulkBatch(new GrowingByteWriter())
    for (const i of indices) {
      const lines = this.body.view(i === 0 ? 0 : (ends[i - 1] as number), ends[i] as number)
      part.add(actions[i] as PendingAction, lines)
    }
    return part
  }

  /** Where the lines of each action end: one of a delete, two of any other; JSON has no newline within. */
  #ends(actions: readonly PendingAction[]): number[] {
    const bytes = this.body.since(0)
    let at = 0
    return actions.map(({ action }) => {
      at = bytes.indexOf(newline, at) + 1
      if (action.kind !== 'delete') at = bytes.indexOf(newline, at) + 1
      return at
    })
  }
}

/** Those with an order key are done one at a time, so each has a run of its own. */
function continues(run: Run, slot: OffsetSlot, action: Action): boolean {
  return (
    run.action === action &&
    action.orderKey === null &&
    run.slot.partition === slot.partition &&
    run.slot.sequence + run.count === slot.sequence
  )
}
