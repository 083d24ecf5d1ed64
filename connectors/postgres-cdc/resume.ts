/**
 * Which messages of a restarted stream were emitted before. One pass, by transactions: the stream is requested from
 * the last complete one, complete ones are skipped, the one that was cut is continued behind its last emitted message.
 */
import type { Lsn } from './lsn.ts'
import type { StoredOffset } from './offsets.ts'
import type { Begin } from './pgoutput.ts'

type Mode =
  /** Not emitted before. */
  | 'emit'
  /** Complete before the offset. */
  | 'skip'
  /** Emitted up to the stored position, which has not come yet. */
  | 'search'

export class ResumeFilter {
  readonly #stored: StoredOffset | null
  #mode: Mode = 'emit'
  /** The transaction that the offset may lie in is behind us. */
  #passed: boolean
  #matches = 0

  /** @param distrustXid transaction in which the stored position could not be found: it is emitted whole */
  constructor(stored: StoredOffset | null, distrustXid: number | null) {
    // Without lsn_proc the offset is a snapshot's: everything behind it is new.
    this.#stored = stored?.lsnProc == null ? null : stored
    this.#passed = this.#stored === null || (distrustXid !== null && distrustXid === this.#stored.txId)
  }

  /** @returns whether the transaction's own BEGIN (and END) are to be emitted */
  begin({ finalLsn, xid }: Begin): boolean {
    const stored = this.#stored
    this.#mode = 'emit'
    if (stored === null) return true
    if (stored.complete !== null && finalLsn < stored.complete) {
      this.#mode = 'skip'
      return false
    }
    if (this.#passed) return true
    this.#passed = true
    if (xid !== stored.txId || stored.messageType === 'COMMIT') return true
    // BEGIN, or the ORIGIN that follows it, was the last message: every change is still to come.
    if (stored.messageType !== 'BEGIN' && stored.messageType !== 'ORIGIN') {
      this.#mode = 'search'
      this.#matches = 0
    }
    return false
  }

  /** Whether a change at `at` is new. */
  admitsChange(at: Lsn): boolean {
    if (this.#mode !== 'search') return this.#mode === 'emit'
    const stored = this.#stored
    if (stored === null || stored.messageType === 'MESSAGE' || at !== stored.lsnProc) return false
    this.#matches += 1
    if (this.#matches >= stored.eventsProcessed) this.#mode = 'emit'
    return false
  }

  /** Whether a logical message at `at` is new. */
  admitsMessage(at: Lsn, transactional: boolean): boolean {
    const stored = this.#stored
    if (!transactional) return stored === null || stored.complete === null || at > stored.complete
    if (this.#mode !== 'search' || stored === null) return this.#mode === 'emit'
    if (stored.messageType === 'MESSAGE' && at === stored.lsn) this.#mode = 'emit'
    return false
  }

  /** Whether the transaction was complete before: its END was emitted too. */
  get skipsCommit(): boolean {
    return this.#mode === 'skip'
  }

  /** Asked at COMMIT: the position that the offset names did not come in its transaction. */
  get positionMissing(): boolean {
    return this.#mode === 'search'
  }
}
