/**
 * Instruments of one thread by group and labels. Plugins see a group as `Metrics`; the runtime also uses rates,
 * averages and texts under Connect's attribute names. Snapshots are plain data, so each thread sends its own and the
 * main thread joins them.
 */
import type { Counter, Gauge, Histogram, Metrics } from '../api/context.ts'
import { Samples, type WindowOptions } from './samples.ts'
import type { MetricSnapshot } from './snapshot.ts'

export type Labels = Readonly<Record<string, string>>

/** Text attribute, e.g. a state. */
export interface Text {
  set(value: string): void
}

/** Something observed repeatedly, of which averages and extremes over the sample windows are of interest. */
export interface Stat {
  observe(value: number): void
}

type Value = MetricSnapshot['value']

interface Instrument {
  readonly name: string
  readonly help: string
  read(): Value
}

const systemNow = (): number => performance.now()

/** Defaults of `metrics.sample.window.ms` and `metrics.num.samples`. */
export const defaultWindows: WindowOptions = { windowMs: 30_000, samples: 2, nowMs: systemNow }

/** Metrics of one group with fixed labels (Connect: one MBean). Asking twice for a name gives the same instrument. */
export class MetricGroup implements Metrics {
  readonly group: string
  readonly labels: Labels
  readonly #windows: WindowOptions
  readonly #instruments = new Map<string, Instrument>()
  readonly #handles = new Map<string, unknown>()

  constructor(group: string, labels: Labels, windows: WindowOptions) {
    this.group = group
    this.labels = labels
    this.#windows = windows
  }

  counter(name: string, help: string): Counter {
    return this.#once(`counter ${name}`, () => {
      let total = 0
      this.#add(name, help, () => ({ kind: 'counter', value: total }))
      return {
        add: (delta) => {
          total += delta
        },
      }
    })
  }

  gauge(name: string, help: string): Gauge {
    return this.#once(`gauge ${name}`, () => {
      let current = 0
      this.#add(name, help, () => ({ kind: 'gauge', value: current }))
      return {
        set: (value) => {
          current = value
        },
      }
    })
  }

  /** A gauge that is read when it is asked for. The first `read` given for a name stays. */
  gaugeOf(name: string, help: string, read: () => number): void {
    this.#once(`gaugeOf ${name}`, () => {
      this.#add(name, help, () => ({ kind: 'gauge', value: read() }))
      return true
    })
  }

  text(name: string, help: string): Text {
    return this.#once(`text ${name}`, () => {
      let current = ''
      this.#add(name, help, () => ({ kind: 'text', value: current }))
      return {
        set: (value) => {
          current = value
        },
      }
    })
  }

  /** As `gaugeOf`, for a text. */
  textOf(name: string, help: string, read: () => string): void {
    this.#once(`textOf ${name}`, () => {
      this.#add(name, help, () => ({ kind: 'text', value: read() }))
      return true
    })
  }

  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return this.#once(`histogram ${name}`, () => {
      const counts = buckets.map(() => 0)
      let sum = 0
      let count = 0
      this.#add(name, help, () => {
        let below = 0
        return {
          kind: 'histogram',
          buckets: buckets.map((bound, i) => [bound, (below += counts[i] ?? 0)] as const),
          sum,
          count,
        }
      })
      return {
        observe: (value) => {
          sum += value
          count++
          const at = buckets.findIndex((bound) => value <= bound)
          if (at >= 0) counts[at] = (counts[at] ?? 0) + 1
        },
      }
    })
  }

  /** `<name>-rate` per second over the sample windows, and `<name>-total`, from one `add`. */
  meter(name: string, help: string): Counter {
    return this.#once(`meter ${name}`, () => {
      const samples = new Samples(this.#windows)
      let total = 0
      this.#add(`${name}-rate`, `${help}, per second`, () => ({ kind: 'gauge', value: samples.ratePerSecond() }))
      this.#add(`${name}-total`, `${help}, in total`, () => ({ kind: 'counter', value: total }))
      return {
        add: (delta) => {
          total += delta
          samples.observe(delta)
        },
      }
    })
  }

  /** Average, maximum, minimum over the sample windows, under the attribute names given. NaN without values. */
  stat(names: { readonly avg?: string; readonly max?: string; readonly min?: string }, help: string): Stat {
    return this.#once(`stat ${names.avg ?? ''} ${names.max ?? ''} ${names.min ?? ''}`, () => {
      const samples = new Samples(this.#windows)
      const { avg, max, min } = names
      if (avg !== undefined) this.#add(avg, `Mean: ${help}`, () => ({ kind: 'gauge', value: samples.average() }))
      if (max !== undefined) this.#add(max, `Maximum: ${help}`, () => ({ kind: 'gauge', value: samples.max() }))
      if (min !== undefined) this.#add(min, `Minimum: ${help}`, () => ({ kind: 'gauge', value: samples.min() }))
      return { observe: (value) => samples.observe(value) }
    })
  }

  /** Fraction (0…1) of true outcomes over the sample windows under `success`, of false ones under `failure`. */
  outcomes(names: { readonly success: string; readonly failure: string }, help: string): { record(ok: boolean): void } {
    return this.#once(`outcomes ${names.success} ${names.failure}`, () => {
      const samples = new Samples(this.#windows)
      const fraction = (): number => {
        const mean = samples.average()
        return Number.isNaN(mean) ? 0 : mean
      }
      this.#add(names.success, help, () => ({ kind: 'gauge', value: fraction() }))
      this.#add(names.failure, help, () => {
        return { kind: 'gauge', value: Number.isNaN(samples.average()) ? 0 : 1 - fraction() }
      })
      return { record: (ok) => samples.observe(ok ? 1 : 0) }
    })
  }

  snapshot(): MetricSnapshot[] {
    const { group, labels } = this
    return Array.from(this.#instruments.values(), ({ name, help, read }) => ({
      group,
      name,
      help,
      labels,
      value: read(),
    }))
  }

  #add(name: string, help: string, read: () => Value): void {
    if (this.#instruments.has(name)) {
      throw new Error(`metric ${this.group}/${name} exists already with another kind; choose another name`)
    }
    this.#instruments.set(name, { name, help, read })
  }

  /** One handle per kind and name; the key tells the type, so the cast gives back what `make` gave. */
  #once<T>(key: string, make: () => T): T {
    const known = this.#handles.get(key)
    if (known !== undefined) return known as T
    const made = make()
    this.#handles.set(key, made)
    return made
  }
}

/** All groups of a thread. */
export class MetricRegistry {
  readonly #windows: WindowOptions
  readonly #groups = new Map<string, MetricGroup>()

  constructor(windows: WindowOptions = defaultWindows) {
    this.#windows = windows
  }

  /** The group with these labels; made on first use. */
  group(group: string, labels: Labels = {}): MetricGroup {
    const key = groupKey(group, labels)
    let found = this.#groups.get(key)
    if (found === undefined) {
      found = new MetricGroup(group, labels, this.#windows)
      this.#groups.set(key, found)
    }
    return found
  }

  /** Drops all groups that carry these labels, e.g. those of a task that left this worker. */
  remove(labels: Labels): void {
    for (const [key, group] of this.#groups) {
      if (Object.entries(labels).every(([name, value]) => group.labels[name] === value)) this.#groups.delete(key)
    }
  }

  snapshot(): MetricSnapshot[] {
    return [...this.#groups.values()].flatMap((group) => group.snapshot())
  }
}

function groupKey(group: string, labels: Labels): string {
  return JSON.stringify([group, ...Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))])
}
