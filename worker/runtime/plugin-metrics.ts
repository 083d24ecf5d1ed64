/** The instruments that one plugin instance asks for (KIP-877), in group `plugins`. */
import type { Counter, Gauge, Histogram, Metrics } from '../api/context.ts'
import type { MetricSnapshot } from '../metrics/snapshot.ts'

type Instrument = Counter | Gauge | Histogram

export class PluginMetrics implements Metrics {
  readonly #labels: Readonly<Record<string, string>>
  readonly #instruments = new Map<string, { readonly instrument: Instrument; read(): MetricSnapshot['value'] }>()
  readonly #help = new Map<string, string>()

  constructor(labels: Readonly<Record<string, string>>) {
    this.#labels = labels
  }

  counter(name: string, help: string): Counter {
    return this.#get(name, help, () => {
      let value = 0
      const instrument: Counter = {
        add: (delta) => {
          value += delta
        },
      }
      return { instrument, read: () => ({ kind: 'counter', value }) }
    })
  }

  gauge(name: string, help: string): Gauge {
    return this.#get(name, help, () => {
      let value = 0
      const instrument: Gauge = {
        set: (next) => {
          value = next
        },
      }
      return { instrument, read: () => ({ kind: 'gauge', value }) }
    })
  }

  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return this.#get(name, help, () => {
      const counts = buckets.map(() => 0)
      let sum = 0
      let count = 0
      const instrument: Histogram = {
        observe: (value) => {
          sum += value
          count++
          for (const [i, bound] of buckets.entries()) if (value <= bound) counts[i] = (counts[i] ?? 0) + 1
        },
      }
      const read = (): MetricSnapshot['value'] => ({
        kind: 'histogram',
        buckets: buckets.map((bound, i) => [bound, counts[i] ?? 0] as const),
        sum,
        count,
      })
      return { instrument, read }
    })
  }

  /** Asking twice for one name gives the same instrument; its first kind is the one that stays. */
  #get<I extends Instrument>(
    name: string,
    help: string,
    make: () => { readonly instrument: I; read(): MetricSnapshot['value'] },
  ): I {
    const known = this.#instruments.get(name)
    if (known !== undefined) return known.instrument as I
    const made = make()
    this.#instruments.set(name, made)
    this.#help.set(name, help)
    return made.instrument
  }

  snapshots(): readonly MetricSnapshot[] {
    return Array.from(this.#instruments, ([name, { read }]) => ({
      group: 'plugins',
      name,
      help: this.#help.get(name) ?? '',
      labels: this.#labels,
      value: read(),
    }))
  }
}
