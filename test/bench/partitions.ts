import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import type { Measurement } from './measure.ts'
import type { PeerName } from './peers.ts'
import { benchSink, type Progress } from './sink.ts'

/** How evenly the partitions of a topic come on. */
export interface Fairness {
  /** Share of the records of each partition that was done when half of all were; least, median and most. */
  readonly sharesAtHalf: { readonly least: number; readonly median: number; readonly most: number }
  /** The largest share of all records that was done while some partition with records left did not come on. */
  readonly longestWait: number
}

/**
 * One task of the null sink with many partitions (P14). A fetch takes 64 KiB of a partition, less than the partition
 * has, so that all take their turn several times; else half of the partitions done is half of the records.
 */
export async function benchPartitions(options: {
  readonly services: Services
  readonly peer: PeerName
  readonly variant: string
  readonly topic: string
  readonly records: number
  readonly port: number
}): Promise<{ readonly measurement: Measurement; readonly fairness: Fairness }> {
  const seen = new TurnWatch(options.records)
  const measurement = await benchSink({
    ...options,
    consumer: { 'consumer.override.max.partition.fetch.bytes': '65536' },
    onProgress: (progress) => seen.look(progress),
  })
  return { measurement, fairness: seen.fairness }
}

class TurnWatch {
  readonly #records: number
  #atHalf: readonly number[] = []
  #longestWait = 0
  /** By partition: its share, and the share of all records when it last changed. */
  #last: { readonly share: number; readonly at: number }[] = []

  constructor(records: number) {
    this.#records = records
  }

  look({ records, shares }: Progress): void {
    const at = records / this.#records
    if (this.#atHalf.length === 0 && at >= 0.5) this.#atHalf = shares.toSorted((a, b) => a - b)
    this.#last = shares.map((share, i) => {
      const last = this.#last[i] ?? { share: 0, at: 0 }
      if (last.share < 1) this.#longestWait = Math.max(this.#longestWait, at - last.at)
      return share > last.share ? { share, at } : last
    })
  }

  get fairness(): Fairness {
    const shares = this.#atHalf
    const sharesAtHalf = { least: shares[0] ?? 0, median: shares[shares.length >> 1] ?? 0, most: shares.at(-1) ?? 0 }
    return { sharesAtHalf, longestWait: this.#longestWait }
  }
}

export function describeFairness({ sharesAtHalf, longestWait }: Fairness): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`
  const { least, median, most } = sharesAtHalf
  return (
    `half of the records done: ${percent(least)} of the slowest partition's, ${percent(median)} of the median's, ` +
    `${percent(most)} of the fastest's; longest wait of a partition: ${percent(longestWait)} of all records`
  )
}
