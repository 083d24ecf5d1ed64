/**
 * The bytes of a connection, past `pg`, whose parser makes an object of every message; and read into storage that is
 * used again. A buffer per read is what V8 counts as garbage of the old generation: at 50 MB/s it marks the whole heap
 * twenty times a second, which was a fifth of the CPU time of a busy stream.
 */
import { Socket } from 'node:net'
import type pg from 'pg'

const storageBytes = 64 * 1024
/** Smaller reads are copied: many of them would each hold a whole storage. */
const copiedBytes = 16 * 1024
/** Storage that is kept for later reads. */
const mostFree = 32

const pooled = new WeakMap<object, PooledReads>()

/** A socket whose reads go into storage of a pool. Until somebody takes them over, they are ordinary `data` events. */
class PooledReads {
  readonly socket: Socket
  owner: ((bytes: Buffer) => void) | null = null
  readonly #free: Buffer[] = []
  /** Storage that its owner has not given back, by what identifies it in a view. */
  readonly #lent = new Map<ArrayBufferLike, Buffer>()

  constructor() {
    this.socket = new Socket({
      onread: {
        buffer: () => this.#free.pop() ?? Buffer.allocUnsafeSlow(storageBytes),
        callback: (count, storage) => {
          this.#onRead(count, storage as Buffer)
          return true
        },
      },
    })
    pooled.set(this.socket, this)
  }

  #onRead(count: number, storage: Buffer): void {
    const { owner } = this
    if (owner !== null && count >= copiedBytes) {
      this.#lent.set(storage.buffer, storage)
      owner(storage.subarray(0, count))
      return
    }
    const bytes = Buffer.from(storage.subarray(0, count))
    this.#free.push(storage)
    if (owner === null) this.socket.emit('data', bytes)
    else owner(bytes)
  }

  release(bytes: Buffer): void {
    const storage = this.#lent.get(bytes.buffer)
    if (storage === undefined) return
    this.#lent.delete(bytes.buffer)
    if (this.#free.length < mostFree) this.#free.push(storage)
  }
}

/** For `pg`'s option `stream`, of connections without TLS. */
export function pooledSocket(): Socket {
  return new PooledReads().socket
}

type Listener = (bytes: Buffer) => void

/** Reading of one connection that was taken from `pg`. */
export class RawReads {
  readonly socket: Socket
  readonly #pool: PooledReads | null
  readonly #onRead: Listener
  /** `pg`'s own. */
  readonly #listeners: readonly Listener[]

  /** From now on `onRead` gets every read; its bytes stay as they are until `release`. */
  constructor(client: pg.Client, onRead: Listener) {
    this.socket = socketOf(client)
    this.#pool = pooled.get(this.socket) ?? null
    this.#onRead = onRead
    this.#listeners = this.socket.listeners('data') as Listener[]
    if (this.#pool !== null) this.#pool.owner = onRead
    else {
      this.socket.removeAllListeners('data')
      this.socket.on('data', onRead)
    }
  }

  /** Nobody looks at these bytes, a view of a read, any more. Does nothing for other bytes. */
  release(bytes: Buffer): void {
    this.#pool?.release(bytes)
  }

  /** Messages that are `pg`'s business after all. */
  pass(bytes: Buffer): void {
    for (const listener of this.#listeners) listener(bytes)
  }

  /** `pg` reads on. */
  giveBack(): void {
    if (this.#pool !== null) this.#pool.owner = null
    else {
      this.socket.removeListener('data', this.#onRead)
      for (const listener of this.#listeners) this.socket.on('data', listener)
    }
  }

  /** What still comes is of no interest, but must be read for the connection to end. */
  ignore(): void {
    if (this.#pool !== null) this.#pool.owner = (bytes) => this.release(bytes)
    else {
      this.socket.removeListener('data', this.#onRead)
      this.socket.on('data', () => undefined)
    }
  }
}

/** The socket under a client, which `pg` does not type. */
export function socketOf(client: pg.Client): Socket {
  return (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream
}

/** Type and length of a message of the server. */
export const frameHeadBytes = 5

/** Puts those messages together that two reads cut; all others stay where they are. */
export class MessageCutter {
  #pieces: Buffer[] = []
  #pieceBytes = 0

  /**
   * Hands whole messages to `scan`, which says where they end: the rest of the chunk waits, as a copy.
   * @returns whether `scan` was given messages in the chunk itself
   */
  push(chunk: Buffer, scan: (bytes: Buffer, start: number) => number): boolean {
    const start = this.#pieceBytes === 0 ? 0 : this.#complete(chunk, scan)
    // The chunk only goes on with a message that is still not whole.
    const end = this.#pieceBytes > 0 ? start : scan(chunk, start)
    if (end < chunk.length) {
      this.#pieces.push(Buffer.from(chunk.subarray(end)))
      this.#pieceBytes += chunk.length - end
    }
    return end > start
  }

  /** Only the message that two reads cut is put together. @returns where the next one starts in the chunk */
  #complete(chunk: Buffer, scan: (bytes: Buffer, start: number) => number): number {
    if (this.#pieceBytes + chunk.length < frameHeadBytes) return 0
    let first = this.#pieces[0] as Buffer
    if (first.length < frameHeadBytes) {
      first = Buffer.concat([...this.#pieces, chunk.subarray(0, frameHeadBytes)])
    }
    const missing = 1 + first.readUInt32BE(1) - this.#pieceBytes
    if (missing > chunk.length) return 0
    const message = Buffer.concat([...this.#pieces, chunk.subarray(0, missing)])
    this.#pieces = []
    this.#pieceBytes = 0
    scan(message, 0)
    return missing
  }
}
