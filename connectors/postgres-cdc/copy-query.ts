/** `COPY … TO STDOUT` over `pg`, block by block, with back-pressure onto the socket. */
import type { Socket } from 'node:net'
import type pg from 'pg'
import { CopyTextSplitter, type TupleBlock } from './copy-text.ts'

interface Connection {
  readonly stream: Socket
  query(text: string): void
}

export interface CopyLimits {
  /** Rows of one block, at most. */
  readonly rows: number
  /** A block is handed over from this size on. */
  readonly blockBytes: number
  /** Reading stops while this many bytes wait. */
  readonly maxBytes: number
}

/** One COPY; `next` gives its blocks. Speaks `pg`'s protocol for queries of one's own (`submit`, `handle…`). */
export class CopyQuery {
  readonly #sql: string
  readonly #limits: CopyLimits
  readonly #splitter = new CopyTextSplitter()
  readonly #blocks: TupleBlock[] = []
  #waiting = 0
  #socket: Socket | null = null
  #done = false
  #error: Error | null = null
  #wake: (() => void) | null = null

  constructor(sql: string, limits: CopyLimits) {
    this.#sql = sql
    this.#limits = limits
  }

  /** Queues the statement on an idle client. */
  static start(client: pg.Client, sql: string, limits: CopyLimits): CopyQuery {
    return client.query(new CopyQuery(sql, limits))
  }

  /** The next rows, or null at the end. @throws the server's error */
  async next(signal: AbortSignal): Promise<TupleBlock | null> {
    while (this.#blocks.length === 0 && !this.#done && this.#error === null) {
      if (signal.aborted) return null
      await new Promise<void>((resolve) => {
        const done = () => {
          signal.removeEventListener('abort', done)
          this.#wake = null
          resolve()
        }
        signal.addEventListener('abort', done, { once: true })
        this.#wake = done
      })
    }
    const block = this.#blocks.shift()
    if (block === undefined) {
      if (this.#error !== null) throw this.#error
      return null
    }
    this.#waiting -= block.bytes.length
    if (this.#waiting <= this.#limits.maxBytes / 2) this.#socket?.resume()
    return block
  }

  submit(connection: pg.Connection): void {
    const own = connection as unknown as Connection
    this.#socket = own.stream
    own.query(this.#sql)
  }

  handleCopyData(message: { readonly chunk: Buffer }): void {
    this.#splitter.push(message.chunk)
    if (this.#splitter.rowCount >= this.#limits.rows || this.#splitter.byteCount >= this.#limits.blockBytes)
      this.#flush()
  }

  handleCommandComplete(): void {
    this.#flush()
  }

  handleReadyForQuery(): void {
    this.#done = true
    this.#wake?.()
  }

  handleError(error: Error): void {
    this.#error = error
    this.#wake?.()
  }

  handleRowDescription(): void {
    // COPY describes no rows.
  }

  handleDataRow(): void {
    // COPY sends no rows of this kind.
  }

  handleEmptyQuery(): void {
    // The statement is never empty.
  }

  handlePortalSuspended(): void {
    // The simple protocol has no portals.
  }

  handleCopyInResponse(): void {
    this.#error = new Error('The server asked for data in answer to COPY TO STDOUT')
    this.#wake?.()
  }

  #flush(): void {
    if (this.#splitter.rowCount === 0) return
    const block = this.#splitter.takeBlock()
    this.#blocks.push(block)
    this.#waiting += block.bytes.length
    if (this.#waiting > this.#limits.maxBytes) this.#socket?.pause()
    this.#wake?.()
  }
}
