import type { Clock } from '../api/context.ts'

/**
 * In the order in which they are told: what holds the loop up; what runs beside it and may hold up a request; the
 * loop's wait for something to do.
 */
const kinds = ['loop', 'beside', 'idle'] as const

interface Stage {
  readonly name: string
  readonly kind: (typeof kinds)[number]
  readonly startedMs: number
  readonly endedMs: number | null
}

/**
 * What the herder's loop, and what it has started beside itself, is doing: for the answers to requests that time out,
 * and for `/health`.
 */
export class Stages {
  readonly #clock: Clock
  #last: Stage | null = null
  readonly #running: Stage[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs `work` as the current stage of the loop; stages nest. */
  async during<T>(name: string, work: () => Promise<T>): Promise<T> {
    return await this.#track('loop', name, work)
  }

  /** As `during`, for what the loop does not wait for, such as the start of a connector. */
  async beside<T>(name: string, work: () => Promise<T>): Promise<T> {
    return await this.#track('beside', name, work)
  }

  /** As `during`, for a loop that has nothing to do. */
  async waiting(name: string, work: () => Promise<void>): Promise<void> {
    await this.#track('idle', name, work)
  }

  async #track<T>(kind: Stage['kind'], name: string, work: () => Promise<T>): Promise<T> {
    const stage: Stage = { name, kind, startedMs: this.#clock.now(), endedMs: null }
    this.#running.push(stage)
    try {
      return await work()
    } finally {
      const at = this.#running.indexOf(stage)
      if (at >= 0) this.#running.splice(at, 1)
      this.#last = { ...stage, endedMs: this.#clock.now() }
    }
  }

  /** Connect's sentence, e.g. `The worker is currently stopping connector c, which began at 2024-…Z`. */
  summary(): string {
    const current = this.#current()
    if (current !== undefined) {
      return `The worker is currently ${current.name}, which began at ${new Date(current.startedMs).toISOString()}`
    }
    const last = this.#last
    if (last === null || last.endedMs === null) return 'The worker is currently awaiting startup'
    return (
      `The last operation the worker completed was ${last.name}, which began at ` +
      `${new Date(last.startedMs).toISOString()} and completed at ${new Date(last.endedMs).toISOString()}`
    )
  }

  /** Name of the stage that runs or ran last. */
  lastAction(): string {
    return this.#current()?.name ?? this.#last?.name ?? 'not known'
  }

  #current(): Stage | undefined {
    for (const kind of kinds) {
      const stage = this.#running.findLast((running) => running.kind === kind)
      if (stage !== undefined) return stage
    }
    return undefined
  }
}
