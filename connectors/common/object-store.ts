/** What the sinks ask of S3, whatever client answers. */
import type { Password } from '../../worker/api/config.ts'
import type { RequestBody } from './request-body.ts'

/** Properties of an object that both ways of writing one share. */
export interface WriteOptions {
  readonly contentType: string
  readonly cannedAcl: string | null
  readonly encryption: string | null
  readonly kmsKeyId: string | null
  readonly customerKey: Password | null
  readonly contentMd5: boolean
}

export interface ObjectAddress {
  readonly bucket: string
  readonly key: string
}

export interface WrittenObject {
  /** Without quotes; null when the server gave none. */
  readonly etag: string | null
  readonly versionId: string | null
}

export interface WriteCondition {
  /** No object of that name exists. */
  readonly onlyIfAbsent: boolean
  /** The object of that name has this ETag. */
  readonly ifMatch?: string
}

export interface ReadObject extends WrittenObject {
  readonly body: Buffer
  readonly metadata: ObjectMetadata
}

export interface PutOptions extends WriteOptions, WriteCondition {
  readonly metadata?: ObjectMetadata
}

/** A user's metadata of an object, by names in lower case without `x-amz-meta-`. */
export type ObjectMetadata = Readonly<Record<string, string>>

export interface ObjectHead extends WrittenObject {
  readonly bytes: number
}

export interface UploadedPart {
  readonly number: number
  readonly etag: string
}

/**
 * The part of S3 that the sinks need. Every call makes `attempts` tries; what it then throws has been classified by
 * `classifyS3Error`. Implementations are safe for concurrent calls.
 */
export interface ObjectStore {
  /** Whether the bucket exists: a denied or redirected HEAD counts, as the bucket is there. */
  bucketExists(bucket: string): Promise<boolean>
  /**
   * `mayStillBeRead` of the content is set when an attempt fails. Throws CONNECT_S3_PRECONDITION_FAILED when the
   * condition does not hold.
   */
  put(at: ObjectAddress, content: RequestBody | Uint8Array, options: PutOptions): Promise<WrittenObject>
  createUpload(at: ObjectAddress, options: WriteOptions): Promise<string>
  uploadPart(at: ObjectAddress, uploadId: string, part: PartBody, options: WriteOptions): Promise<UploadedPart>
  completeUpload(
    at: ObjectAddress,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: { onlyIfAbsent: boolean },
  ): Promise<WrittenObject>
  abortUpload(at: ObjectAddress, uploadId: string): Promise<void>
  /** A small object, whole; null when there is none. */
  read(at: ObjectAddress): Promise<ReadObject | null>
  /** Null when there is no such object. */
  head(at: ObjectAddress): Promise<ObjectHead | null>
  tag(at: ObjectAddress, tags: readonly (readonly [string, string])[]): Promise<void>
  /** No error when there is no such object. */
  remove(at: ObjectAddress): Promise<void>
  close(): Promise<void>
}

export interface PartBody {
  /** From 1. */
  readonly number: number
  /** As that of `put`. */
  readonly body: RequestBody
}
