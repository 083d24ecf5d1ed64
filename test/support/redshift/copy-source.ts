import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { GetObjectCommand, ListObjectsV2Command, S3Client, S3ServiceException } from '@aws-sdk/client-s3'
import type { CopyCommand } from './copy-command.ts'

/** A COPY that fails as a whole, with Redshift's text. */
export class CopyError extends Error {}

/** An object to load, with its bytes after decompression. */
export interface LoadFile {
  readonly url: string
  readonly bytes: Buffer
}

/** Where the S3 server is and how to sign. */
export interface S3Settings {
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
}

/** A path-style client for the local S3 server. */
export function createS3Client(settings: S3Settings): S3Client {
  return new S3Client({
    endpoint: settings.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: settings.accessKey, secretAccessKey: settings.secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
}

/** Bucket and key of an s3:// address. */
export function parseS3Url(url: string): { readonly bucket: string; readonly key: string } {
  const match = /^s3:\/\/([^/]+)\/(.+)$/s.exec(url)
  if (match?.[1] === undefined || match[2] === undefined) throw new CopyError(`The S3 path "${url}" is not valid`)
  return { bucket: match[1], key: match[2] }
}

function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404
}

function s3Error(error: unknown): CopyError {
  if (!(error instanceof S3ServiceException))
    return new CopyError(`S3CurlException: ${String(error)}`, { cause: error })
  const status = error.$metadata.httpStatusCode ?? 0
  return new CopyError(`S3ServiceException:${error.message},Status ${status},Error ${error.name}`, { cause: error })
}

/** Reads a whole object. */
export async function readObject(client: S3Client, url: string): Promise<Buffer> {
  const { bucket, key } = parseS3Url(url)
  try {
    const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
  } catch (error) {
    if (isMissing(error))
      throw new CopyError(
        `S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey,Key ${key}`,
        { cause: error },
      )
    throw s3Error(error)
  }
}

interface ManifestEntry {
  readonly url: string
  /** Size that the manifest tells; null when it does not. */
  readonly contentLength: number | null
  readonly isMandatory: boolean
}

interface RawEntry {
  readonly url?: unknown
  readonly mandatory?: unknown
  readonly meta?: { readonly content_length?: unknown }
}

/** Columnar readers ask for the end of a file, so they must know where it is. */
function checkLength(entry: ManifestEntry, bytes: Buffer): void {
  if (entry.contentLength === null) throw new CopyError(`Manifest entry for ${entry.url} has no meta.content_length`)
  if (entry.contentLength === bytes.length) return
  throw new CopyError(
    `S3ServiceException:The requested range is not satisfiable,Status 416,Error InvalidRange,Key ${entry.url}`,
  )
}

function parseManifest(text: string): readonly ManifestEntry[] {
  let manifest: unknown
  try {
    manifest = JSON.parse(text)
  } catch (cause) {
    throw new CopyError('Manifest file is not in correct json format', { cause })
  }
  const entries = (manifest as { readonly entries?: unknown } | null)?.entries
  if (!Array.isArray(entries)) throw new CopyError("Manifest file does not contain the element 'entries'")
  return (entries as readonly RawEntry[]).map(({ url, mandatory, meta }) => {
    if (typeof url !== 'string') throw new CopyError("Manifest file contains an entry without 'url'")
    const length = meta?.content_length
    return { url, contentLength: typeof length === 'number' ? length : null, isMandatory: mandatory === true }
  })
}

async function listPrefix(client: S3Client, url: string): Promise<readonly string[]> {
  const { bucket, key } = parseS3Url(url)
  const urls: string[] = []
  let token: string | undefined
  do {
    try {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: bucket, Prefix: key, ContinuationToken: token }),
      )
      for (const object of page.Contents ?? []) if (object.Key !== undefined) urls.push(`s3://${bucket}/${object.Key}`)
      token = page.NextContinuationToken
    } catch (error) {
      throw s3Error(error)
    }
  } while (token !== undefined)
  if (urls.length === 0) throw new CopyError(`The specified S3 prefix '${key}' does not exist`)
  return urls
}

function decompress(bytes: Buffer, compression: CopyCommand['compression'], url: string): Buffer {
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b
  if (compression === 'none') return bytes
  try {
    if (compression === 'gzip') {
      if (!isGzip) throw new Error('incorrect header check')
      return gunzipSync(bytes)
    }
    return zstdDecompressSync(bytes)
  } catch (cause) {
    throw new CopyError(`Failed to decompress ${url}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
  }
}

/**
 * The objects that a COPY loads, one at a time. Without MANIFEST the address is a prefix and names every key that
 * starts with it; a manifest entry listed twice is loaded twice, a missing one is skipped unless mandatory.
 */
export async function* loadFiles(client: S3Client, command: CopyCommand): AsyncGenerator<LoadFile> {
  const entries = command.isManifest
    ? parseManifest((await readObject(client, command.url)).toString('utf8'))
    : (await listPrefix(client, command.url)).map((url) => ({ url, contentLength: null, isMandatory: true }))
  let found = 0
  for (const entry of entries) {
    let bytes: Buffer
    try {
      bytes = await readObject(client, entry.url)
    } catch (error) {
      if (!entry.isMandatory && error instanceof CopyError && isMissing(error.cause)) continue
      if (error instanceof CopyError && isMissing(error.cause)) {
        throw new CopyError(
          `Problem reading manifest file - S3ServiceException:The specified key does not exist.,Status 404,Error NoSuchKey - ${entry.url}`,
          { cause: error },
        )
      }
      throw error
    }
    if (command.isManifest && command.format.kind === 'parquet') checkLength(entry, bytes)
    found += 1
    yield { url: entry.url, bytes: decompress(bytes, command.compression, entry.url) }
  }
  if (found === 0 && entries.length > 0) throw new CopyError('None of the files in the manifest exist')
}
