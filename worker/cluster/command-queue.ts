import { toError } from '../api/errors.ts'

interface Command {
  readonly run: () => Promise<void>
}

/**
 * Requests that wait for the herder's loop. A request runs when the loop comes to it, one at a time, so that it sees
 * a settled membership and nobody else changes the state meanwhile.
 */
export class CommandQueue {
  #commands: Command[] = []
  #closedWith: Error | null = null
  readonly #onSubmit: () => void

  constructor(onSubmit: () => void) {
    this.#onSubmit = onSubmit
  }

  get isEmpty(): boolean {
    return this.#commands.length === 0
  }

  /** Resolves or rejects as `work` does, once the loop has run it. */
  submit<T>(work: () => Promise<T> | T): Promise<T> {
    if (this.#closedWith !== null) return Promise.reject(this.#closedWith)
    const outcome = Promise.withResolvers<T>()
    const run = async (): Promise<void> => {
      try {
        outcome.resolve(await work())
      } catch (error) {
        outcome.reject(toError(error))
      }
    }
    this.#commands.push({ run })
    this.#rejections.add(outcome.reject)
    const forget = (): void => void this.#rejections.delete(outcome.reject)
    outcome.promise.then(forget, forget)
    this.#onSubmit()
    return outcome.promise
  }

  readonly #rejections = new Set<(reason: Error) => void>()

  /** Runs what is queued now, in order, until `mayGoOn` says no; later requests wait for the next turn. */
  async drain(mayGoOn: () => boolean): Promise<void> {
    for (let count = this.#commands.length; count > 0 && mayGoOn(); count--) await this.#commands.shift()?.run()
  }

  /** Rejects what waits, and everything submitted from now on. */
  close(reason: Error): void {
    this.#closedWith = reason
    this.#commands = []
    for (const reject of this.#rejections) reject(reason)
  }
}
