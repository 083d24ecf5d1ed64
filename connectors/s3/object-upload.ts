import { createHash } from 'node:crypto'
import { ConnectError } from '../../worker/api/errors.ts'
import type { ObjectAddress, ObjectHead, ObjectStore, UploadedPart, WriteOptions } from '../common/object-store.ts'
import { RequestBody } from '../common/request-body.ts'
import { BlockBuffer } from './block-buffer.ts'
import type { Compression, Compressor } from './compression.ts'
import type { ByteTarget } from './formats/format.ts'
import type { Limiter } from './limiter.ts'
import type { MemoryBudget } from './memory-budget.ts'
import { PackedBlocks } from './packed-blocks.ts'

/** What all uploads of a task share. */
export interface UploadSettings {
  readonly store: ObjectStore
  /** Requests at a time, over all topic partitions of the task. */
  readonly limiter: Limiter
  readonly budget: MemoryBudget
  readonly partBytes: number
  readonly initialBytes: number
  /** Null writes plain objects. */
  readonly compression: Compression | null
  readonly write: WriteOptions
  /** Never replace an existing object (`If-None-Match: *`). */
  readonly onlyIfAbsent: boolean
}

export interface CompletedObject {
  readonly at: ObjectAddress
  /** Size of the object as stored. */
  readonly bytes: number
  readonly etag: string | null
  readonly versionId: string | null
}

/** S3 accepts parts of different sizes, but none below this except the last. */
const minPartBytes = 5_242_880
const maxParts = 10_000

/**
 * One object on its way to S3. Bytes go into a growing buffer; full parts are uploaded by `drain`; `complete` makes
 * the object visible, by one request when it fits one part. Nothing is visible before. Every step may be repeated
 * after a retriable failure and goes on where it stopped.
 */
export class ObjectUpload implements ByteTarget {
  readonly at: ObjectAddress
  readonly #settings: UploadSettings
  /** Encoded bytes that are not compressed yet (with gzip), or not uploaded yet (without). */
  readonly #encoded: BlockBuffer
  readonly #compressor: Compressor | null
  /** Encoded bytes that are compressed or uploaded at a time. */
  readonly #chunkBytes: number
  readonly #parts: UploadedPart[] = []
  #uploadedBytes = 0
  #encodedBytes = 0
  #uploadId: string | null = null
  #completed: CompletedObject | null = null
  /** Memory of the encoder that writes here. */
  #accounted = 0

  constructor(at: ObjectAddress, settings: UploadSettings) {
    this.at = at
    this.#settings = settings
    const { budget, initialBytes, partBytes, compression } = settings
    this.#chunkBytes = compression?.chunkBytes ?? partBytes
    // What waits to be compressed goes away soon, and what is compressed cannot be packed.
    const openPack = compression === null ? () => new PackedBlocks(budget) : null
    this.#encoded = new BlockBuffer(budget, initialBytes, openPack)
    this.#compressor = compression?.open(new BlockBuffer(budget, 1024), budget) ?? null
  }

  get name(): string {
    return this.at.key
  }

  /** Bytes written so far, before compression. */
  get length(): number {
    return this.#encodedBytes + this.#encoded.length
  }

  /** Memory held, that of an upload on its way included. */
  get heldBytes(): number {
    return this.#encoded.capacity + (this.#compressor?.output.capacity ?? 0)
  }

  /** Whether what is held may be a part by itself. */
  get hasPart(): boolean {
    return this.#pending.length >= minPartBytes
  }

  /** Bytes that `pack` may make smaller. */
  get packableBytes(): number {
    return this.#encoded.packableBytes
  }

  /** Whether `drain` has something to do. */
  get isFull(): boolean {
    return this.#encoded.length >= this.#chunkBytes
  }

  text(text: string): void {
    this.#encoded.text(text)
  }

  bytes(bytes: Uint8Array): void {
    this.#encoded.bytes(bytes)
  }

  slice(bytes: Buffer, start: number, end: number): void {
    this.#encoded.slice(bytes, start, end)
  }

  /** For `rollback`; valid until the next `drain`. */
  mark(): number {
    return this.#encoded.length
  }

  rollback(mark: number): void {
    this.#encoded.truncate(mark)
  }

  account(bytes: number): void {
    this.#accounted += bytes
    this.#settings.budget.add(bytes)
  }

  /** Compresses and uploads what fills a chunk or a part. @throws RetriableError: call again later */
  async drain(): Promise<void> {
    if (this.isFull) await this.#compress()
    await this.#uploadParts(this.#settings.partBytes)
  }

  /** Uploads what is held if it may be a part by itself, to give memory back. @throws RetriableError: call again later */
  async spill(): Promise<void> {
    if (this.hasPart) await this.#uploadPart(this.#pending.length)
  }

  /** Keeps what is held in less memory, if that is possible. Not while a request of this object is on its way. */
  pack(): void {
    this.#encoded.pack()
  }

  /**
   * Makes the object visible. Idempotent.
   * @throws RetriableError: call again later
   * @throws ConnectError CONNECT_S3_PRECONDITION_FAILED: an object with other content has this name
   * @throws ConnectError CONNECT_S3_NOT_FOUND: the server has lost the upload (or the bucket)
   */
  async complete(): Promise<CompletedObject> {
    if (this.#completed !== null) return this.#completed
    await this.#compress()
    if (this.#compressor !== null) await this.#compressor.finish()
    this.#completed = this.#uploadId === null ? await this.#putWhole() : await this.#completeParts(this.#uploadId)
    this.release()
    return this.#completed
  }

  /** Drops everything that is not visible yet; a completed object stays. Idempotent. */
  async abort(): Promise<void> {
    this.release()
    const uploadId = this.#uploadId
    if (uploadId === null || this.#completed !== null) return
    this.#uploadId = null
    await this.#settings.store.abortUpload(this.at, uploadId)
  }

  get #pending(): BlockBuffer {
    return this.#compressor?.output ?? this.#encoded
  }

  async #compress(): Promise<void> {
    if (this.#compressor === null || this.#encoded.length === 0) return
    await this.#compressor.write(this.#encoded.view())
    this.#encodedBytes += this.#encoded.length
    this.#encoded.truncate(0)
  }

  async #uploadParts(partBytes: number): Promise<void> {
    const pending = this.#pending
    while (pending.length >= partBytes && partBytes > 0) await this.#uploadPart(partBytes)
  }

  async #uploadPart(partBytes: number): Promise<void> {
    const { store, limiter, write } = this.#settings
    if (this.#parts.length >= maxParts) {
      const message = `${this.at.key} has reached ${maxParts} parts: raise s3.part.size or lower flush.size`
      throw new ConnectError('fatal', 'CONNECT_S3_TOO_MANY_PARTS', message)
    }
    const uploadId = (this.#uploadId ??= await limiter.run(() => store.createUpload(this.at, write)))
    const number = this.#parts.length + 1
    const part = await this.#send(partBytes, (body) => store.uploadPart(this.at, uploadId, { number, body }, write))
    this.#parts.push(part)
    // Consumed only now: a failed part stays in the buffer and is sent again.
    this.#pending.consume(partBytes)
    this.#uploadedBytes += partBytes
    if (this.#compressor === null) this.#encodedBytes += partBytes
  }

  async #putWhole(): Promise<CompletedObject> {
    const { store, write, onlyIfAbsent } = this.#settings
    const bytes = this.#pending.length
    try {
      const written = await this.#send(bytes, (body) => store.put(this.at, body, { ...write, onlyIfAbsent }))
      return { at: this.at, bytes, ...written }
    } catch (error) {
      return this.#ifSameContent(error, bytes, new RequestBody(this.#pending.pieces(), bytes).md5('hex'))
    }
  }

  /** One request with the first `count` bytes that wait; they are not consumed. */
  async #send<T>(count: number, request: (body: RequestBody) => Promise<T>): Promise<T> {
    const pending = this.#pending
    const body = new RequestBody(pending.pieces(count), count, () => pending.sha256(count))
    try {
      return await this.#settings.limiter.run(() => request(body))
    } finally {
      if (body.mayStillBeRead) pending.keepFromReuse()
    }
  }

  async #completeParts(uploadId: string): Promise<CompletedObject> {
    const { store, limiter, onlyIfAbsent } = this.#settings
    await this.#uploadParts(this.#pending.length)
    const bytes = this.#uploadedBytes
    try {
      const written = await limiter.run(() => store.completeUpload(this.at, uploadId, this.#parts, { onlyIfAbsent }))
      return { at: this.at, bytes, ...written }
    } catch (error) {
      return this.#ifSameContent(error, bytes, etagOfParts(this.#parts))
    }
  }

  /**
   * An answer may be lost after the server carried the request out: the repeat then meets its own object, or an upload
   * that is gone. The object counts when size and ETag say that it is this one; encrypted objects have ETags of
   * another kind, there the size decides.
   */
  async #ifSameContent(error: unknown, bytes: number, etag: string): Promise<CompletedObject> {
    const code = error instanceof ConnectError ? error.code : null
    if (code !== 'CONNECT_S3_PRECONDITION_FAILED' && code !== 'CONNECT_S3_NOT_FOUND') throw error
    const { store, limiter, write } = this.#settings
    const head = await limiter.run(() => visibleHead(store, this.at))
    const encrypted = write.customerKey !== null || write.encryption === 'aws:kms'
    if (head === null || head === 'hidden' || head.bytes !== bytes || (head.etag !== etag && !encrypted)) throw error
    return { at: this.at, bytes, etag: head.etag, versionId: head.versionId }
  }

  /** Gives the memory back; only `complete` (again) and `abort` may follow. Idempotent. */
  release(): void {
    this.#encodedBytes += this.#encoded.length
    this.#encoded.release()
    this.account(-this.#accounted)
    this.#compressor?.close()
  }
}

/** `hidden`: who may write, but not read, is not told whether there is an object (statement S66). */
export async function visibleHead(store: ObjectStore, at: ObjectAddress): Promise<ObjectHead | 'hidden' | null> {
  try {
    return await store.head(at)
  } catch (error) {
    if (error instanceof ConnectError && error.code === 'CONNECT_S3_DENIED') return 'hidden'
    throw error
  }
}

/** ETag that S3 gives to an object of several parts: the MD5 of their MD5s and their number. */
function etagOfParts(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5')
  for (const { etag } of parts) hash.update(Buffer.from(etag.replaceAll('"', ''), 'hex'))
  return `${hash.digest('hex')}-${parts.length}`
}
