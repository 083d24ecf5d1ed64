/**
 * How many loads may run at a time: halved when the service says that it is too busy, one more after as many loads
 * as run at a time have ended well, up to the option.
 */
export class LoadLimit {
  readonly #max: number
  #current: number
  #endedWell = 0

  /** @param max `max.concurrent.loads`, at least 1 */
  constructor(max: number) {
    this.#max = max
    this.#current = max
  }

  get current(): number {
    return this.#current
  }

  throttled(): void {
    this.#current = Math.max(1, Math.floor(this.#current / 2))
    this.#endedWell = 0
  }

  ended(): void {
    this.#endedWell++
    if (this.#endedWell < this.#current || this.#current >= this.#max) return
    this.#current++
    this.#endedWell = 0
  }
}
