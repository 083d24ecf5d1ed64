/** `COPY … TO STDOUT` over `pg`, block by block, with back-pressure onto the socket. */
import type pg from 'pg'
import { CopyTextSplitter, type TupleBlock } from './copy-text.ts'
import { frameHeadBytes, MessageCutter, RawReads } from './raw-reads.ts'

interface Connection {
  query(text: string): void
}

const frame = { copyData: 0x64, ready: 0x5a } as const

export interface CopyLimits {
  /** Rows of one block, at most. */
  readonly rows: number
  /** A block is handed over from this size on. */
  readonly blockBytes: number
  /** Reading stops while this many bytes wait. */
  readonly maxBytes: number
}

/**
 * One COPY; `next` gives its blocks. Speaks `pg`'s protocol for queries of one's own (`submit`, `handle…`), but reads
 * the rows itself: `pg` would make an object of each.
 */
export class CopyQuery {
  readonly #client: pg.Client
  readonly #sql: string
  readonly #limits: CopyLimits
  readonly #splitter = new CopyTextSplitter()
  readonly #cutter = new MessageCutter()
  readonly #blocks: TupleBlock[] = []
  #waiting = 0
  #reads: RawReads | null = null
  #done = false
  #error: Error | null = null
  #wake: (() => void) | null = null

  private constructor(client: pg.Client, sql: string, limits: CopyLimits) {
    this.#client = client
    this.#sql = sql
    this.#limits = limits
  }

  /** Queues the statement on an idle client. */
  static start(client: pg.Client, sql: string, limits: CopyLimits): CopyQuery {
    return client.query(new CopyQuery(client, sql, limits))
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
    if (this.#waiting <= this.#limits.maxBytes / 2) this.#reads?.socket.resume()
    return block
  }

  /** Nobody looks at the block's rows any more: its storage takes others. */
  release(block: TupleBlock): void {
    this.#splitter.reuse(block)
  }

  submit(connection: pg.Connection): void {
    this.#reads = new RawReads(this.#client, (chunk) => {
      this.#cutter.push(chunk, this.#scan)
      this.#reads?.release(chunk)
    })
    ;(connection as unknown as Connection).query(this.#sql)
  }

  /** Rows are ours, all else is for `pg`, which knows when the statement is over. */
  readonly #scan = (bytes: Buffer, start: number): number => {
    let at = start
    while (at + frameHeadBytes <= bytes.length) {
      const next = at + 1 + bytes.readUInt32BE(at + 1)
      if (next > bytes.length) break
      if (bytes[at] === frame.copyData) {
        this.#splitter.push(bytes, at + frameHeadBytes, next)
        if (this.#splitter.rowCount >= this.#limits.rows || this.#splitter.byteCount >= this.#limits.blockBytes)
          this.#flush()
      } else {
        const isEnd = bytes[at] === frame.ready
        if (isEnd) this.#reads?.giveBack()
        this.#reads?.pass(Buffer.from(bytes.subarray(at, next)))
        if (isEnd) return bytes.length
      }
      at = next
    }
    return at
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
    if (this.#waiting > this.#limits.maxBytes) this.#reads?.socket.pause()
    this.#wake?.()
  }
}
