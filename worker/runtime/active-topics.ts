import type { Clock } from '../api/context.ts'

/** A topic in use is named to the worker again after this time. */
const renewMs = 1000

/**
 * Which of its topics a task has to name to the worker. Not once only: after `PUT …/topics/reset` those that are used
 * again come back (KIP-558, statement 79), and what the worker could not write to the status topic is named again.
 */
export class ActiveTopics {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #namedMs = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock
  }

  /** Whether the topic, now in use, has to be named; true at most once a second. */
  isDue(topic: string): boolean {
    const now = this.#clock.monotonicMs()
    const last = this.#namedMs.get(topic)
    if (last !== undefined && now - last < renewMs) return false
    this.#namedMs.set(topic, now)
    return true
  }

  /** After a reset: the next use is due, however soon it comes. */
  forget(topic: string): void {
    this.#namedMs.delete(topic)
  }
}
