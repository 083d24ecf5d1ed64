/** Values over the last few windows of time, as Kafka's `SampledStat`: old windows drop out as a whole. */

export interface WindowOptions {
  /** `metrics.sample.window.ms`. */
  readonly windowMs: number
  /** `metrics.num.samples`. */
  readonly samples: number
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
}

interface Sample {
  startMs: number
  sum: number
  count: number
  max: number
  min: number
}

/** Sum, count and maximum of what was observed within the windows. Constant memory; an observation allocates nothing. */
export class Samples {
  readonly #options: WindowOptions
  readonly #ring: Sample[]
  readonly #bornMs: number
  #current = 0

  constructor(options: WindowOptions) {
    this.#options = options
    this.#bornMs = options.nowMs()
    this.#ring = Array.from({ length: Math.max(1, options.samples) }, () => emptySample(Number.NEGATIVE_INFINITY))
    this.#reset(0, this.#bornMs)
  }

  observe(value: number): void {
    const now = this.#options.nowMs()
    let sample = this.#ring[this.#current]
    if (sample === undefined || now - sample.startMs >= this.#options.windowMs) {
      this.#current = (this.#current + 1) % this.#ring.length
      sample = this.#reset(this.#current, now)
    }
    sample.sum += value
    sample.count++
    if (value > sample.max) sample.max = value
    if (value < sample.min) sample.min = value
  }

  /** Sum per second over the windows; the time before the first full set of windows counts as it was. */
  ratePerSecond(): number {
    const now = this.#options.nowMs()
    let sum = 0
    let oldestMs = now
    for (const sample of this.#live(now)) {
      sum += sample.sum
      oldestMs = Math.min(oldestMs, sample.startMs)
    }
    // As Kafka's Rate: at least all windows but the current one, so that a first burst is no spike.
    const atLeastMs = this.#options.windowMs * (this.#ring.length - 1)
    const elapsedMs = Math.max(now - Math.max(oldestMs, this.#bornMs), Math.min(atLeastMs, now - this.#bornMs), 1)
    return (sum * 1000) / elapsedMs
  }

  /** Mean of the values; NaN when there are none. */
  average(): number {
    let sum = 0
    let count = 0
    for (const sample of this.#live(this.#options.nowMs())) {
      sum += sample.sum
      count += sample.count
    }
    return count === 0 ? Number.NaN : sum / count
  }

  /** NaN when there are no values. */
  max(): number {
    let max = Number.NEGATIVE_INFINITY
    for (const sample of this.#live(this.#options.nowMs())) max = Math.max(max, sample.max)
    return max === Number.NEGATIVE_INFINITY ? Number.NaN : max
  }

  /** NaN when there are no values. */
  min(): number {
    let min = Number.POSITIVE_INFINITY
    for (const sample of this.#live(this.#options.nowMs())) min = Math.min(min, sample.min)
    return min === Number.POSITIVE_INFINITY ? Number.NaN : min
  }

  *#live(now: number): Generator<Sample> {
    const horizon = now - this.#options.windowMs * this.#ring.length
    for (const sample of this.#ring) if (sample.startMs > horizon) yield sample
  }

  #reset(index: number, startMs: number): Sample {
    const sample = this.#ring[index] ?? emptySample(startMs)
    sample.startMs = startMs
    sample.sum = 0
    sample.count = 0
    sample.max = Number.NEGATIVE_INFINITY
    sample.min = Number.POSITIVE_INFINITY
    this.#ring[index] = sample
    return sample
  }
}

function emptySample(startMs: number): Sample {
  return { startMs, sum: 0, count: 0, max: Number.NEGATIVE_INFINITY, min: Number.POSITIVE_INFINITY }
}
