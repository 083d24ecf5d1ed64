/** Life of one task: named states, the two stop signals, and the pauses in between. Sources and sinks share it. */
import type { RunnerOptions } from './task-environment.ts'

/** `draining`: the soft signal has been given, what is in hand is finished and committed. */
export type RunPhase = 'starting' | 'running' | 'paused' | 'draining' | 'stopped' | 'failed'

const transitions: Readonly<Record<RunPhase, readonly RunPhase[]>> = {
  starting: ['running', 'paused', 'draining', 'failed'],
  running: ['paused', 'draining', 'failed'],
  paused: ['starting', 'running', 'draining', 'failed'],
  draining: ['stopped', 'failed'],
  stopped: [],
  failed: [],
}

/**
 * Commands come from the host at any moment, the loop looks at them between its steps. `soft` means take no new work,
 * finish, commit; `hard` means give up now. `work` ends a wait for new work early: on pause, on stop, on a failure
 * that came in from the side.
 */
export class RunState {
  readonly #onEntered: (phase: 'running' | 'paused') => void
  #phase: RunPhase = 'starting'
  #paused: boolean
  readonly #soft = new AbortController()
  readonly #hard = new AbortController()
  #work = new AbortController()
  #changed = Promise.withResolvers<void>()

  /** The listener and the metrics of the task are told whenever it enters `running` or `paused`. */
  constructor({ spec, listener, metrics }: Pick<RunnerOptions<unknown>, 'spec' | 'listener' | 'metrics'>) {
    this.#paused = spec.target === 'PAUSED'
    this.#onEntered = (phase) => {
      metrics.setStatus(phase)
      listener.onState(phase === 'paused' ? 'PAUSED' : 'RUNNING')
    }
  }

  /** The whole life of the task: `work` until it returns or throws. @throws what `work` throws */
  async run(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      this.enter('draining')
      this.enter('stopped')
    } catch (error) {
      this.enter('failed')
      throw error
    }
  }

  get phase(): RunPhase {
    return this.#phase
  }

  /** @throws Error for a transition that the table does not have: a bug in a runner */
  enter(next: RunPhase): void {
    if (next === this.#phase) return
    if (!transitions[this.#phase].includes(next)) throw new Error(`a task cannot go from ${this.#phase} to ${next}`)
    this.#phase = next
    if (next === 'running' || next === 'paused') this.#onEntered(next)
  }

  /** What the user wants; the runner follows between two steps. */
  get wantsPause(): boolean {
    return this.#paused
  }

  get soft(): AbortSignal {
    return this.#soft.signal
  }

  get hard(): AbortSignal {
    return this.#hard.signal
  }

  /** Signal of the current wait; a new one after each `interrupt`. */
  get work(): AbortSignal {
    if (this.#work.signal.aborted && !this.#soft.signal.aborted) this.#work = new AbortController()
    return this.#work.signal
  }

  setPaused(paused: boolean): void {
    if (this.#paused === paused) return
    this.#paused = paused
    this.interrupt()
  }

  /** Ends the current wait for work, so that the loop looks at what has changed. */
  interrupt(): void {
    this.#work.abort()
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }

  /** Soft: finish and commit what is in hand, then end. Hard: give up now, commit nothing. */
  stop(hard: boolean): void {
    this.#soft.abort()
    if (hard) this.#hard.abort()
    this.interrupt()
  }

  /** Resolves when the task should run, or is stopped. */
  async untilResumed(): Promise<void> {
    while (this.#paused && !this.#soft.signal.aborted) await this.#changed.promise
  }
}

/**
 * A signal that aborts after `timeoutMs`, or with `signal`. Dispose it, so that neither timer nor listener is left.
 */
export function deadline(timeoutMs: number, signal?: AbortSignal): Deadline {
  return new Deadline(timeoutMs, signal)
}

class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #parent: AbortSignal | undefined
  readonly #onAbort = (): void => this.#controller.abort(this.#parent?.reason)

  constructor(timeoutMs: number, parent: AbortSignal | undefined) {
    this.#parent = parent
    this.#timer = setTimeout(
      () => this.#controller.abort(new Error(`not done within ${timeoutMs} ms`)),
      Math.min(Math.max(0, timeoutMs), 2 ** 31 - 1),
    )
    if (parent?.aborted) this.#onAbort()
    else parent?.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#parent?.removeEventListener('abort', this.#onAbort)
  }
}

/** The promise, or a rejection when `signal` aborts first; nothing is left behind. The promise itself goes on. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    // The loser's outcome no longer matters to anyone.
    promise.catch(() => undefined)
  }
}
