/** An `ObjectStore` over the AWS SDK. */
import { createHash } from 'node:crypto'
import type { Agent as HttpAgent } from 'node:http'
import type { Agent as HttpsAgent } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import type {
  ObjectCannedACL,
  PutObjectCommandInput,
  S3ClientConfig,
  ServerSideEncryption,
  UploadPartCommandInput,
} from '@aws-sdk/client-s3'
import type { Password } from '../../worker/api/config.ts'
import { ConnectError } from '../../worker/api/errors.ts'
import { nodeHttp, nodeHttps } from '../../worker/api/node-modules.ts'
import { assumeRole } from './assume-role.ts'
import { type AwsKeys, sdkCredentials } from './aws-credentials.ts'
import type {
  ObjectAddress,
  ObjectHead,
  ObjectStore,
  PartBody,
  PutOptions,
  ReadObject,
  UploadedPart,
  WriteOptions,
  WrittenObject,
} from './object-store.ts'
import { RequestBody } from './request-body.ts'
import { classifyS3Error, rejected, s3Failure } from './s3-errors.ts'

/** Where and as whom to talk to an S3 server, and how often to try. */
export interface S3ClientOptions {
  readonly region: string
  /** Null: Amazon's own endpoint of the region. */
  readonly endpoint: string | null
  readonly pathStyle: boolean
  readonly accelerate: boolean
  /** Null: the SDK's default chain (environment, shared files, web identity, instance role). */
  readonly credentials: AwsKeys | null
  /** A role that the principal assumes; null: it acts for itself. */
  readonly role?: RoleToAssume | null
  /** URL of an HTTP proxy, with user and password where it wants them; null: none. */
  readonly proxy?: Password | null
  /** Attempts of one request, at least one is made. The SDK's own retries are off: one layer retries. */
  readonly attempts: number
  /** First back-off in ms; doubles with full jitter, at most a day. */
  readonly backoffMs: number
  /** `WHEN_REQUIRED` sends no CRC headers or trailers, which many S3-compatible servers refuse. */
  readonly checksums: 'WHEN_REQUIRED' | 'WHEN_SUPPORTED'
  readonly expectContinue: boolean
}

export interface RoleToAssume {
  readonly arn: string
  readonly sessionName: string
  readonly externalId: string
  /** Region of STS. */
  readonly region: string
  readonly endpoint: string | null
}

/** Loads the SDK and makes a client. Call it in `start`, `close` it in `stop`. */
export async function openObjectStore(options: S3ClientOptions): Promise<ObjectStore> {
  const sdk = await import('@aws-sdk/client-s3')
  const config: S3ClientConfig = {
    region: options.region,
    forcePathStyle: options.pathStyle,
    maxAttempts: 1,
    requestChecksumCalculation: options.checksums,
    responseChecksumValidation: options.checksums,
    expectContinueHeader: options.expectContinue,
  }
  if (options.endpoint !== null) config.endpoint = options.endpoint
  if (options.accelerate) config.useAccelerateEndpoint = true
  const agents = proxyAgents(options.proxy ?? null)
  if (agents !== null) config.requestHandler = agents
  if (options.credentials !== null) config.credentials = sdkCredentials(options.credentials)
  if (options.role != null) {
    // The chain that this client would use becomes the principal that assumes the role.
    const source = new sdk.S3Client(config).config.credentials
    const { arn: roleArn, sessionName, externalId, region, endpoint } = options.role
    const agent = (endpoint?.startsWith('http:') === true ? agents?.httpAgent : agents?.httpsAgent) ?? null
    config.credentials = assumeRole({ roleArn, sessionName, externalId, region, endpoint, source, agent })
  }
  return new SdkObjectStore(sdk, new sdk.S3Client(config), options)
}

/** Connections at a time, as the SDK's own agents have. */
const maxSockets = 50

/** Agents that go through the proxy: plainly for http, by CONNECT for https. */
function proxyAgents(
  proxy: Password | null,
): { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent } | null {
  if (proxy === null) return null
  const url = proxy.reveal()
  const options = { keepAlive: true, maxSockets, proxyEnv: { HTTP_PROXY: url, HTTPS_PROXY: url } }
  return { httpAgent: new (nodeHttp().Agent)(options), httpsAgent: new (nodeHttps().Agent)(options) }
}

type Sdk = typeof import('@aws-sdk/client-s3')

class SdkObjectStore implements ObjectStore {
  readonly #sdk: Sdk
  readonly #client: InstanceType<Sdk['S3Client']>
  readonly #options: S3ClientOptions
  readonly #closing = new AbortController()

  constructor(sdk: Sdk, client: InstanceType<Sdk['S3Client']>, options: S3ClientOptions) {
    this.#sdk = sdk
    this.#client = client
    this.#options = options
  }

  async bucketExists(bucket: string): Promise<boolean> {
    try {
      await this.#attempt('HeadBucket', { bucket, key: '' }, (abortSignal) =>
        this.#client.send(new this.#sdk.HeadBucketCommand({ Bucket: bucket }), { abortSignal }),
      )
      return true
    } catch (error) {
      if (!(error instanceof ConnectError)) throw error
      if (error.code === 'CONNECT_S3_NOT_FOUND') return false
      const status = error.context['status']
      if (status === 403 || status === 301) return true
      throw error
    }
  }

  put(at: ObjectAddress, content: RequestBody | Uint8Array, options: PutOptions): Promise<WrittenObject> {
    const body = content instanceof RequestBody ? content : new RequestBody([content])
    const input: PutObjectCommandInput = { ...this.#writeInput(at, options), ...this.#bodyInput(body, options) }
    if (options.onlyIfAbsent) input.IfNoneMatch = '*'
    if (options.ifMatch !== undefined) input.IfMatch = `"${options.ifMatch}"`
    if (options.metadata !== undefined) input.Metadata = { ...options.metadata }
    return this.#attempt(
      'PutObject',
      at,
      async (abortSignal) => {
        const command = new this.#sdk.PutObjectCommand(input)
        command.middlewareStack.add(signedOver(body), { step: 'build' })
        command.middlewareStack.add(sending(body), { step: 'deserialize' })
        return written(await this.#client.send(command, { abortSignal }))
      },
      body,
    )
  }

  createUpload(at: ObjectAddress, options: WriteOptions): Promise<string> {
    return this.#attempt('CreateMultipartUpload', at, async (abortSignal) => {
      const command = new this.#sdk.CreateMultipartUploadCommand(this.#writeInput(at, options))
      const { UploadId } = await this.#client.send(command, { abortSignal })
      if (UploadId === undefined) throw rejected('CreateMultipartUpload', at, 'the answer has no UploadId')
      return UploadId
    })
  }

  uploadPart(at: ObjectAddress, uploadId: string, part: PartBody, options: WriteOptions): Promise<UploadedPart> {
    const { number, body } = part
    const input: UploadPartCommandInput = {
      Bucket: at.bucket,
      Key: at.key,
      UploadId: uploadId,
      PartNumber: number,
      ...this.#bodyInput(body, options),
      ...customerKey(options),
    }
    return this.#attempt(
      'UploadPart',
      at,
      async (abortSignal) => {
        const command = new this.#sdk.UploadPartCommand(input)
        command.middlewareStack.add(signedOver(body), { step: 'build' })
        command.middlewareStack.add(sending(body), { step: 'deserialize' })
        const { ETag } = await this.#client.send(command, { abortSignal })
        if (ETag === undefined) throw rejected('UploadPart', at, 'the answer has no ETag')
        return { number, etag: ETag }
      },
      body,
    )
  }

  completeUpload(
    at: ObjectAddress,
    uploadId: string,
    parts: readonly UploadedPart[],
    options: { onlyIfAbsent: boolean },
  ): Promise<WrittenObject> {
    return this.#attempt('CompleteMultipartUpload', at, async (abortSignal) => {
      const command = new this.#sdk.CompleteMultipartUploadCommand({
        Bucket: at.bucket,
        Key: at.key,
        UploadId: uploadId,
        MultipartUpload: { Parts: parts.map((p) => ({ PartNumber: p.number, ETag: p.etag })) },
        ...(options.onlyIfAbsent ? { IfNoneMatch: '*' } : {}),
      })
      return written(await this.#client.send(command, { abortSignal }))
    })
  }

  async abortUpload(at: ObjectAddress, uploadId: string): Promise<void> {
    await this.#attempt('AbortMultipartUpload', at, (abortSignal) => {
      const command = new this.#sdk.AbortMultipartUploadCommand({ Bucket: at.bucket, Key: at.key, UploadId: uploadId })
      return this.#client.send(command, { abortSignal })
    })
  }

  read(at: ObjectAddress): Promise<ReadObject | null> {
    return orNull(
      this.#attempt('GetObject', at, async (abortSignal) => {
        const command = new this.#sdk.GetObjectCommand({ Bucket: at.bucket, Key: at.key })
        const answer = await this.#client.send(command, { abortSignal })
        const bytes = (await answer.Body?.transformToByteArray()) ?? new Uint8Array()
        const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        return { ...written(answer), body, metadata: answer.Metadata ?? {} }
      }),
    )
  }

  head(at: ObjectAddress): Promise<ObjectHead | null> {
    return orNull(
      this.#attempt('HeadObject', at, async (abortSignal) => {
        const command = new this.#sdk.HeadObjectCommand({ Bucket: at.bucket, Key: at.key })
        const answer = await this.#client.send(command, { abortSignal })
        return { ...written(answer), bytes: answer.ContentLength ?? 0 }
      }),
    )
  }

  async tag(at: ObjectAddress, tags: readonly (readonly [string, string])[]): Promise<void> {
    await this.#attempt('PutObjectTagging', at, (abortSignal) => {
      const TagSet = tags.map(([Key, Value]) => ({ Key, Value }))
      const command = new this.#sdk.PutObjectTaggingCommand({ Bucket: at.bucket, Key: at.key, Tagging: { TagSet } })
      return this.#client.send(command, { abortSignal })
    })
  }

  async remove(at: ObjectAddress): Promise<void> {
    await this.#attempt('DeleteObject', at, (abortSignal) =>
      this.#client.send(new this.#sdk.DeleteObjectCommand({ Bucket: at.bucket, Key: at.key }), { abortSignal }),
    )
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#client.destroy()
  }

  #writeInput(at: ObjectAddress, options: WriteOptions) {
    return {
      Bucket: at.bucket,
      Key: at.key,
      ContentType: options.contentType,
      ...(options.cannedAcl === null ? {} : { ACL: options.cannedAcl as ObjectCannedACL }),
      ...(options.encryption === null || options.customerKey !== null
        ? {}
        : { ServerSideEncryption: options.encryption as ServerSideEncryption }),
      ...(options.kmsKeyId === null ? {} : { SSEKMSKeyId: options.kmsKeyId }),
      ...customerKey(options),
    }
  }

  /** A body as far as the SDK sees it: it would put the CRC of a stream into a trailer, which many servers refuse. */
  #bodyInput(body: RequestBody, { contentMd5 }: WriteOptions) {
    return {
      Body: new Uint8Array(),
      ContentLength: body.length,
      ...(contentMd5 ? { ContentMD5: body.md5('base64') } : {}),
      ...(this.#options.checksums === 'WHEN_SUPPORTED'
        ? { ChecksumAlgorithm: 'CRC32' as const, ChecksumCRC32: body.crc32() }
        : {}),
    }
  }

  /** One request with all its attempts: full jitter under a doubling cap, cut short by `close`. */
  async #attempt<T>(
    operation: string,
    at: ObjectAddress,
    send: (signal: AbortSignal) => Promise<T>,
    body: RequestBody | null = null,
  ): Promise<T> {
    const { attempts, backoffMs } = this.#options
    for (let attempt = 1; ; attempt++) {
      try {
        return await send(this.#closing.signal)
      } catch (error) {
        if (body !== null) body.mayStillBeRead = true
        const { code, retriable } = classifyS3Error(error)
        if (!retriable || attempt >= attempts || this.#closing.signal.aborted) {
          throw s3Failure(error, { code, retriable, operation, at, attempt })
        }
        const capMs = Math.min(backoffMs * 2 ** (attempt - 1), 86_400_000)
        await delay(Math.random() * capMs, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      }
    }
  }
}

/** What was found; null when there is no such object. */
async function orNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if (error instanceof ConnectError && error.code === 'CONNECT_S3_NOT_FOUND') return null
    throw error
  }
}

function written(answer: { ETag?: string | undefined; VersionId?: string | undefined }): WrittenObject {
  return { etag: answer.ETag?.replaceAll('"', '') ?? null, versionId: answer.VersionId ?? null }
}

/** The signature covers the sum of the content: the SDK would make that of its own body, and none of a stream. */
function signedOver(body: RequestBody) {
  return <A extends { readonly request: unknown }, R>(next: (args: A) => R) =>
    (args: A): R => {
      const { request } = args
      if (isHttpRequest(request)) request.headers['x-amz-content-sha256'] = body.sha256
      return next(args)
    }
}

/** Behind the SDK's own retries, which are off, but write to the console when a request with a stream fails. */
function sending(body: RequestBody) {
  return <A extends { readonly request: unknown }, R>(next: (args: A) => R) =>
    (args: A): R => {
      const { request } = args
      return next(isHttpRequest(request) ? { ...args, request: { ...request, body: body.open() } } : args)
    }
}

function isHttpRequest(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request
}

/** SSE-C: the key goes with every request that carries content. */
function customerKey(options: WriteOptions) {
  if (options.customerKey === null) return {}
  const key = Buffer.from(options.customerKey.reveal(), 'base64')
  return {
    SSECustomerAlgorithm: 'AES256',
    SSECustomerKey: key.toString('base64'),
    SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
  }
}
