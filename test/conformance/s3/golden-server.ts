/** The S3 server as the recorded cases see it: one bucket per run, read back through the AWS client. */

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  ListObjectsV2Command,
  NoSuchBucket,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { encodeBytes } from '../sinks/corpus.ts'
import { type Json, type JsonObject, writeJson } from '../sinks/exact-json.ts'
import type { ServerScope, SinkServer } from '../sinks/player.ts'

/** Larger objects are compared by their hash. */
const maxShownBytes = 50_000

/** Whether a server says that it does not have a feature at all. */
export function isNotImplemented(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'NotImplemented'
}

export class GoldenS3 implements SinkServer {
  readonly #client: S3Client
  readonly #scope: ServerScope
  readonly #bucket: string

  constructor(client: S3Client, scope: ServerScope) {
    this.#client = client
    this.#scope = scope
    this.#bucket = `${scope.prefix}-bucket`
  }

  async prepare(): Promise<void> {
    if (this.#scope.plan.noBucket !== true) await this.#client.send(new CreateBucketCommand({ Bucket: this.#bucket }))
  }

  async step(step: JsonObject): Promise<JsonObject | null> {
    const Bucket = this.#bucket
    if (typeof step['s3put'] === 'string') {
      const body = step['body'] ?? null
      const Body = encodeBytes(body, writeJson(body)) ?? Buffer.alloc(0)
      const ContentType = 'binary/octet-stream'
      await this.#client.send(new PutObjectCommand({ Bucket, Key: step['s3put'], Body, ContentType }))
    } else if (typeof step['s3delete'] === 'string') {
      await this.#client.send(new DeleteObjectCommand({ Bucket, Key: step['s3delete'] }))
    } else throw new Error(`unknown step ${writeJson(step)}`)
    return null
  }

  async #keys(): Promise<readonly string[]> {
    try {
      // No case leaves more than one page of objects behind.
      const { Contents = [] } = await this.#client.send(new ListObjectsV2Command({ Bucket: this.#bucket }))
      return Contents.flatMap(({ Key }) => (Key === undefined ? [] : [Key])).sort()
    } catch (error) {
      if (error instanceof NoSuchBucket) return []
      throw error
    }
  }

  async snapshot(): Promise<JsonObject> {
    return { objects: (await this.#keys()).map((key) => this.#scope.normaliser.text(key)).sort() }
  }

  async capture(): Promise<JsonObject> {
    const objects: JsonObject[] = []
    for (const key of await this.#keys()) objects.push(await this.#object(key))
    return { objects: objects.sort((a, b) => (String(a['key']) < String(b['key']) ? -1 : 1)) }
  }

  async #object(Key: string): Promise<JsonObject> {
    const at = { Bucket: this.#bucket, Key }
    const answer = await this.#client.send(new GetObjectCommand(at))
    const stored = Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    const zipped = stored[0] === 0x1f && stored[1] === 0x8b
    const tags = await this.#tags(Key)
    return {
      key: this.#scope.normaliser.text(Key),
      ...(zipped && { gzip: true }),
      ...(answer.ContentEncoding !== undefined && { contentEncoding: answer.ContentEncoding }),
      contentType: answer.ContentType ?? null,
      ...(answer.ServerSideEncryption !== undefined && { encryption: answer.ServerSideEncryption }),
      ...(Object.keys(answer.Metadata ?? {}).length > 0 && { metadata: answer.Metadata as JsonObject }),
      ...(tags.length > 0 && { tags: Object.fromEntries(tags) as JsonObject }),
      ...this.#content(zipped ? gunzipSync(stored) : stored),
    }
  }

  async #tags(Key: string): Promise<readonly (readonly [string, string])[]> {
    try {
      const { TagSet = [] } = await this.#client.send(new GetObjectTaggingCommand({ Bucket: this.#bucket, Key }))
      return TagSet.map(({ Key: name = '', Value = '' }) => [name, Value] as const).sort()
    } catch (error) {
      // A server without tags; the case about tags is skipped on it.
      if (isNotImplemented(error)) return []
      throw error
    }
  }

  #content(bytes: Buffer): Readonly<Record<string, Json>> {
    if (bytes.length > maxShownBytes) {
      return { length: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
    }
    if (!isUtf8(bytes)) return { hex: bytes.toString('hex') }
    const lines = bytes.toString('utf8').match(/[^\n]*\n|[^\n]+/g) ?? []
    return { lines: lines.map((line) => this.#scope.normaliser.text(line)) }
  }

  async cleanUp(): Promise<void> {
    const Bucket = this.#bucket
    for (const Key of await this.#keys()) await this.#client.send(new DeleteObjectCommand({ Bucket, Key }))
    if (this.#scope.plan.noBucket !== true) await this.#client.send(new DeleteBucketCommand({ Bucket }))
  }
}
