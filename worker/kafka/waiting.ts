/** Small waiting tools: giving up on a signal, and a flag that wakes its waiters. */
import { abortedError } from './errors.ts'

/** Settles as `promise` does, or rejects with `CONNECT_KAFKA_ABORTED` as soon as the signal aborts. */
export function withAbort<T>(promise: Promise<T>, signal: AbortSignal | undefined, what: string): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) {
    promise.catch(() => undefined)
    return Promise.reject(abortedError(what))
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortedError(what))
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/**
 * Wakes whoever waits. A notification while nobody waits is remembered for the next wait, so none is missed between
 * a check and the wait that follows it.
 */
export class Notifier {
  #notified = false
  #waiters: (() => void)[] = []

  notify(): void {
    if (this.#waiters.length === 0) {
      this.#notified = true
      return
    }
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  /** Resolves at the next notification, after `ms`, or when the signal aborts. Never rejects. */
  wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#notified || signal?.aborted || ms <= 0) {
      this.#notified = false
      return Promise.resolve()
    }
    return new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        const index = this.#waiters.indexOf(done)
        if (index >= 0) this.#waiters.splice(index, 1)
        resolve()
      }
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(done, Math.min(ms, 0x7fffffff))
      signal?.addEventListener('abort', done, { once: true })
      this.#waiters.push(done)
    })
  }
}
