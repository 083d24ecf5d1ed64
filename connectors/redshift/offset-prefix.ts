/** Which messages of one partition are done; what may be committed is their unbroken prefix (I2). */
export class OffsetPrefix {
  /** Offsets in work, in order of arrival, which is ascending. */
  readonly #pending = new Set<bigint>()
  #next: bigint | null = null

  begin(offset: bigint): void {
    this.#pending.add(offset)
    this.#next = offset + 1n
  }

  done(offset: bigint): void {
    this.#pending.delete(offset)
  }

  /** Next offset to read after a crash now; null when nothing came. */
  get committable(): bigint | null {
    for (const first of this.#pending) return first
    return this.#next
  }

  get pendingCount(): number {
    return this.#pending.size
  }
}
