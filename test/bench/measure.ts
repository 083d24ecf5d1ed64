import { kafkaFor } from '../../compose/pipelines/support/kafka-topics.ts'
import { type ProcessUsage, usageOf } from './process-usage.ts'

/** One run of one variant. */
export interface Measurement {
  readonly variant: string
  readonly records: number
  /** From the first record seen at the far end to the last. */
  readonly seconds: number
  /** Of the worker process, threads included, over the same span. */
  readonly cpuSeconds: number
  readonly peakRssBytes: number
  /** Resident set when each tenth of the records had come. */
  readonly rssBytes: readonly number[]
}

/**
 * Watches a counter at the far end until it reaches `records`. The clock runs from the first change seen to the last;
 * with polls every `intervalMs` the error is at most two intervals.
 */
export async function measure(options: {
  readonly variant: string
  readonly pid: number
  readonly records: number
  readonly timeoutMs: number
  readonly count: () => Promise<number>
}): Promise<Measurement> {
  const intervalMs = 50
  const deadline = performance.now() + options.timeoutMs
  const rssBytes: number[] = []
  let first: { readonly at: number; readonly usage: ProcessUsage; readonly count: number } | null = null
  for (;;) {
    const count = await options.count()
    const at = performance.now()
    const usage = usageOf(options.pid)
    if (first === null && count > 0) first = { at, usage, count }
    while (rssBytes.length < 10 && count * 10 >= options.records * (rssBytes.length + 1)) rssBytes.push(usage.rssBytes)
    if (first !== null && count >= options.records) {
      return {
        variant: options.variant,
        records: options.records - first.count,
        seconds: (at - first.at) / 1000,
        cpuSeconds: usage.cpuSeconds - first.usage.cpuSeconds,
        peakRssBytes: usage.peakRssBytes,
        rssBytes,
      }
    }
    if (at > deadline)
      throw new Error(`${options.variant}: ${count} of ${options.records} records after ${options.timeoutMs} ms`)
    await new Promise((done) => setTimeout(done, intervalMs))
  }
}

/** Sum of the end offsets of a topic; 0 while it does not exist. */
export async function endOffsetCounter(
  brokers: string,
  topic: string,
): Promise<{ count(): Promise<number> } & AsyncDisposable> {
  const admin = kafkaFor(brokers, 'bench').admin()
  await admin.connect()
  return {
    async count() {
      try {
        const offsets = await admin.fetchTopicOffsets(topic)
        return offsets.reduce((sum, partition) => sum + Number(partition.high), 0)
      } catch (error) {
        if (error instanceof Error && /does not host|unknown topic/i.test(error.message)) return 0
        throw error
      }
    },
    [Symbol.asyncDispose]: () => admin.disconnect(),
  }
}

const median = (values: readonly number[]) => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

/** Rate, CPU and memory per variant: median and spread over its runs, and the ratio to the reference variant, or to the first. */
export function printMeasurements(title: string, measurements: readonly Measurement[], reference: string): void {
  const perCore = (m: Measurement) => m.records / m.cpuSeconds
  const variants = [...new Set(measurements.map((m) => m.variant))]
  const base = variants.includes(reference) ? reference : variants[0]
  const referenceRuns = measurements.filter((m) => m.variant === base)
  const referencePerCore = median(referenceRuns.map(perCore))
  const referenceRate = median(referenceRuns.map((m) => m.records / m.seconds))
  console.log(`\n${title}`)
  console.log(
    'variant            | runs | records/s (min…max)        | CPU s per M records | records per CPU s | peak RSS MB | per core ×| rate ×',
  )
  for (const variant of variants) {
    const runs = measurements.filter((m) => m.variant === variant)
    const rates = runs.map((m) => m.records / m.seconds)
    const rate = median(rates)
    const core = median(runs.map(perCore))
    const cells = [
      variant.padEnd(18),
      String(runs.length).padStart(4),
      `${k(rate)} (${k(Math.min(...rates))}…${k(Math.max(...rates))})`.padEnd(26),
      (1e6 / core).toFixed(2).padStart(19),
      k(core).padStart(17),
      (Math.max(...runs.map((m) => m.peakRssBytes)) / 1048576).toFixed(0).padStart(11),
      (core / referencePerCore).toFixed(2).padStart(9),
      (rate / referenceRate).toFixed(2).padStart(6),
    ]
    console.log(cells.join(' | '))
  }
}

function k(value: number): string {
  return `${(value / 1000).toFixed(1)}k`
}
