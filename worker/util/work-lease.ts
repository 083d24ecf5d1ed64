/** Two doubles: the end of the lease, and how often it has been revoked. */
const byteLength = 16

/** Milliseconds of the process's monotonic clock; it goes on while the process is stopped, and is one for all threads. */
function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * How long this process may write on behalf of its tasks: the session of its membership, as the coordinator counts it.
 * A process that was frozen wakes up with a lease that is over, and its threads write nothing until the main thread has
 * found out whether the work was given to others (I7). Shared by the threads of a process.
 */
export class WorkLease {
  /** For `workerData`; threads share it. */
  readonly shared: SharedArrayBuffer
  readonly #cells: Float64Array
  /** What it was when this thread began; the owner is not bound by it. */
  readonly #revocations: number | null

  /** @param shared of another thread's lease; a new one does not end until it is first renewed */
  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(byteLength)
    this.#cells = new Float64Array(this.shared)
    this.#revocations = shared === undefined ? null : (this.#cells[1] ?? 0)
  }

  /** The moment from which `renew` counts: before what proves the membership is sent. */
  static now(): number {
    return nowMs()
  }

  get isOver(): boolean {
    const [end = 0, revocations = 0] = this.#cells
    const isRevoked = this.#revocations !== null && revocations !== this.#revocations
    return isRevoked || (end !== 0 && nowMs() > end)
  }

  /** The coordinator has answered something that was sent at `sentMs`. */
  renew(sentMs: number, sessionTimeoutMs: number): void {
    this.#cells[0] = sentMs + sessionTimeoutMs
  }

  /** While the coordinator waits for this member it does not count its session; what is over stays over. */
  hold(sessionTimeoutMs: number): void {
    if (this.#cells[0] !== 0 && !this.isOver) this.#cells[0] = nowMs() + sessionTimeoutMs
  }

  /** Ends it for all threads there are, for good, also for those that did not stop; new ones begin afresh. */
  revoke(): void {
    this.#cells[1] = (this.#cells[1] ?? 0) + 1
  }
}
