/** Requests with ids over one message port, in both directions. */
import type { MessagePort } from 'node:worker_threads'
import { ConnectError } from '../api/errors.ts'
import { decodeError, encodeError } from '../util/error-codec.ts'
import type { Handlers, RequestOf, Response } from './host-protocol.ts'

/** The part of `MessagePort` and `Worker` that a channel needs. */
export interface Port {
  postMessage(message: unknown): void
  on(event: 'message', listener: (message: unknown) => void): unknown
}

type CallMap<C> = { [M in keyof C]: { params: unknown; result: unknown } }

interface Pending {
  readonly method: PropertyKey
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/**
 * `Out` are the calls this side makes, `In` those it answers, `Event` what the other side tells without an answer.
 * Both sides run the same release, so messages are trusted to be of their type.
 */
export class HostChannel<Out extends CallMap<Out>, In extends CallMap<In>, Event> {
  readonly #port: Port
  readonly #handlers: Handlers<In>
  readonly #onEvent: (event: Event) => void
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #gone: Error | null = null

  constructor(port: Port, handlers: Handlers<In>, onEvent: (event: Event) => void) {
    this.#port = port
    this.#handlers = handlers
    this.#onEvent = onEvent
    port.on('message', (message) => this.#receive(message as RequestOf<In> | Response | ({ kind: 'event' } & Event)))
  }

  /** Methods that were called and have not answered. */
  pendingMethods(): readonly PropertyKey[] {
    return Array.from(this.#pending.values(), ({ method }) => method)
  }

  /** @throws what the other side threw, rebuilt; `CONNECT_HOST_GONE` when it ended meanwhile */
  call<M extends keyof Out>(method: M, params: Out[M]['params']): Promise<Out[M]['result']> {
    if (this.#gone !== null) return Promise.reject(this.#gone)
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { method, resolve: resolve as (result: unknown) => void, reject })
      this.#port.postMessage({ kind: 'request', id, method, params })
    })
  }

  /** Tells the other side without expecting an answer; lost when it is gone. */
  tell(event: object): void {
    if (this.#gone === null) this.#port.postMessage({ kind: 'event', ...event })
  }

  /** The other side will not answer any more: rejects all that is pending. */
  abandon(error: Error): void {
    if (this.#gone !== null) return
    this.#gone = error
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(error)
  }

  #receive(message: RequestOf<In> | Response | ({ kind: 'event' } & Event)): void {
    if (message.kind === 'event') {
      if (this.#gone === null) this.#onEvent(message as { kind: 'event' } & Event)
    } else if (message.kind === 'response') this.#settle(message as Response)
    else void this.#answer(message as RequestOf<In>)
  }

  #settle(response: Response): void {
    const pending = this.#pending.get(response.id)
    if (pending === undefined) return
    this.#pending.delete(response.id)
    if (response.ok) pending.resolve(response.result)
    else pending.reject(decodeError(response.error))
  }

  /** Never rejects: what a handler throws is the answer. */
  async #answer({ id, method, params }: RequestOf<In>): Promise<void> {
    let response: Response
    try {
      response = { kind: 'response', id, ok: true, result: await this.#handlers[method](params) }
    } catch (error) {
      response = { kind: 'response', id, ok: false, error: encodeError(error) }
    }
    if (this.#gone !== null) return
    try {
      this.#port.postMessage(response)
    } catch (error) {
      // The result cannot be cloned (a plugin put a function into a config): say so instead of hanging the caller.
      this.#port.postMessage({ kind: 'response', id, ok: false, error: encodeError(error) })
    }
  }
}

export function hostGone(what: string, cause?: unknown): ConnectError {
  return new ConnectError('fatal', 'CONNECT_HOST_GONE', `${what} has ended; restart the connector or task`, { cause })
}

export type { MessagePort }
