import { createHash } from 'node:crypto'
import type {
  ObjectAddress,
  ObjectHead,
  ObjectMetadata,
  ObjectStore,
  PartBody,
  PutOptions,
  ReadObject,
  UploadedPart,
  WriteCondition,
  WrittenObject,
} from '../../../connectors/common/object-store.ts'
import { RequestBody } from '../../../connectors/common/request-body.ts'
import { ConnectError, RetriableError } from '../../../worker/api/errors.ts'

type Operation =
  | 'put'
  | 'createUpload'
  | 'uploadPart'
  | 'completeUpload'
  | 'abortUpload'
  | 'read'
  | 'head'
  | 'tag'
  | 'remove'

/** What a planned fault does: fail before anything happened, or after it did (an answer that was lost). */
export interface Fault {
  readonly operation: Operation
  /** Calls of that operation that pass first. */
  readonly after?: number
  readonly times?: number
  readonly applied?: boolean
  readonly error?: ConnectError
}

interface Upload {
  readonly at: ObjectAddress
  readonly parts: Map<number, Buffer>
}

/** An S3 server in memory: visible objects only after put or completion, parts kept until abort, faults on demand. */
export class MemoryStore implements ObjectStore {
  readonly objects = new Map<string, Buffer>()
  readonly metadata = new Map<string, ObjectMetadata>()
  readonly tags = new Map<string, readonly (readonly [string, string])[]>()
  readonly uploads = new Map<string, Upload>()
  readonly calls: string[] = []
  readonly #faults: (Fault & { passed: number; fired: number })[] = []
  readonly #buckets: ReadonlySet<string>
  #nextUpload = 1

  constructor(buckets: readonly string[] = ['lake']) {
    this.#buckets = new Set(buckets)
  }

  plan(fault: Fault): void {
    this.#faults.push({ ...fault, passed: 0, fired: 0 })
  }

  /** Faults that have not happened yet will not. */
  unplan(): void {
    this.#faults.length = 0
  }

  async bucketExists(bucket: string): Promise<boolean> {
    return this.#buckets.has(bucket)
  }

  put(
    at: ObjectAddress,
    content: RequestBody | Uint8Array,
    options: WriteCondition & Pick<PutOptions, 'metadata'>,
  ): Promise<WrittenObject> {
    return this.#call('put', at, () => {
      this.#checkAbsent(at, options.onlyIfAbsent)
      const existing = this.objects.get(at.key)
      if (options.ifMatch !== undefined && (existing === undefined || md5(existing) !== options.ifMatch))
        throw unmet(at)
      const body = copyOf(content)
      this.objects.set(at.key, body)
      this.metadata.set(at.key, options.metadata ?? {})
      return { etag: md5(body), versionId: null }
    })
  }

  createUpload(at: ObjectAddress): Promise<string> {
    return this.#call('createUpload', at, () => {
      const id = `upload-${this.#nextUpload++}`
      this.uploads.set(id, { at, parts: new Map() })
      return id
    })
  }

  uploadPart(at: ObjectAddress, uploadId: string, part: PartBody): Promise<UploadedPart> {
    return this.#call('uploadPart', at, () => {
      const body = copyOf(part.body)
      this.#upload(uploadId).parts.set(part.number, body)
      return { number: part.number, etag: md5(body) }
    })
  }

  completeUpload(
    at: ObjectAddress,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: { onlyIfAbsent: boolean },
  ): Promise<WrittenObject> {
    return this.#call('completeUpload', at, () => {
      const upload = this.#upload(uploadId)
      this.#checkAbsent(at, options.onlyIfAbsent)
      const bodies = parts.map((part) => upload.parts.get(part.number) ?? Buffer.alloc(0))
      this.objects.set(at.key, Buffer.concat(bodies))
      this.uploads.delete(uploadId)
      const sums = createHash('md5')
      for (const part of parts) sums.update(Buffer.from(part.etag, 'hex'))
      return { etag: `${sums.digest('hex')}-${parts.length}`, versionId: null }
    })
  }

  async abortUpload(at: ObjectAddress, uploadId: string): Promise<void> {
    await this.#call('abortUpload', at, () => this.uploads.delete(uploadId))
  }

  read(at: ObjectAddress): Promise<ReadObject | null> {
    return this.#call('read', at, () => {
      const body = this.objects.get(at.key)
      return body === undefined
        ? null
        : { body, etag: md5(body), versionId: null, metadata: this.metadata.get(at.key) ?? {} }
    })
  }

  head(at: ObjectAddress): Promise<ObjectHead | null> {
    return this.#call('head', at, () => {
      const body = this.objects.get(at.key)
      return body === undefined ? null : { bytes: body.length, etag: md5(body), versionId: null }
    })
  }

  async tag(at: ObjectAddress, tags: readonly (readonly [string, string])[]): Promise<void> {
    await this.#call('tag', at, () => this.tags.set(at.key, tags))
  }

  async remove(at: ObjectAddress): Promise<void> {
    await this.#call('remove', at, () => this.objects.delete(at.key))
  }

  async close(): Promise<void> {}

  async #call<T>(operation: Operation, at: ObjectAddress, apply: () => T): Promise<T> {
    this.calls.push(`${operation} ${at.key}`)
    await Promise.resolve()
    const fault = this.#faults.find((f) => f.operation === operation && f.fired < (f.times ?? 1))
    if (fault === undefined || fault.passed++ < (fault.after ?? 0)) return apply()
    fault.fired++
    if (fault.applied === true) apply()
    throw fault.error ?? new RetriableError('CONNECT_S3_UNAVAILABLE', `planned fault of ${operation}`)
  }

  #upload(id: string): Upload {
    const upload = this.uploads.get(id)
    if (upload !== undefined) return upload
    throw new ConnectError('fatal', 'CONNECT_S3_NOT_FOUND', 'no such upload', { context: { error: 'NoSuchUpload' } })
  }

  #checkAbsent(at: ObjectAddress, onlyIfAbsent: boolean): void {
    if (!onlyIfAbsent || !this.objects.has(at.key)) return
    throw unmet(at)
  }
}

function unmet({ key }: ObjectAddress): ConnectError {
  return new ConnectError('fatal', 'CONNECT_S3_PRECONDITION_FAILED', 'condition is not met', { context: { key } })
}

function copyOf(content: RequestBody | Uint8Array): Buffer {
  return content instanceof RequestBody ? content.toBuffer() : Buffer.from(content)
}

function md5(body: Uint8Array): string {
  return createHash('md5').update(body).digest('hex')
}
