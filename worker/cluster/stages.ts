import type { Clock } from '../api/context.ts'

interface Stage {
  readonly name: string
  readonly startedMs: number
  readonly endedMs: number | null
}

/** What the herder's loop is doing, for the answers to requests that time out, and for `/health`. */
export class Stages {
  readonly #clock: Clock
  #last: Stage | null = null
  readonly #running: Stage[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Runs `work` as the current stage; stages nest. */
  async during<T>(name: string, work: () => Promise<T>): Promise<T> {
    const stage = { name, startedMs: this.#clock.now(), endedMs: null }
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
    const current = this.#running.at(-1)
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
    return this.#running.at(-1)?.name ?? this.#last?.name ?? 'not known'
  }
}
