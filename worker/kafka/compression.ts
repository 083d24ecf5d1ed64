/**
 * Codecs of record batches. gzip and zstd come with Node; snappy and lz4 are optional dependencies, loaded when the first
 * batch needs them. Snappy is framed as Kafka's Java client frames it (xerial), lz4 as LZ4 frames.
 */
import { createRequire } from 'node:module'
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { ConnectError } from '../api/errors.ts'
import { kafkaError } from './errors.ts'

export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** Order is the codec's number in the attributes of a batch. */
const TYPES: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

export function compressionId(type: CompressionType): number {
  return TYPES.indexOf(type)
}

/** A batch that grows beyond this when decompressed is refused: a damaged or hostile one must not exhaust memory. */
const MAX_DECOMPRESSED_BYTES = 1 << 30

/** @param level codec level; null takes the codec's default (gzip 6, zstd 3); snappy and lz4 have none */
export function compress(type: CompressionType, bytes: Uint8Array, level: number | null): Buffer {
  switch (type) {
    case 'none':
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    case 'gzip':
      return gzipSync(bytes, level === null ? {} : { level })
    case 'zstd':
      return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level ?? 3 } })
    case 'snappy':
      return xerialFrame(bytes)
    case 'lz4':
      return lz4().compressFrameSync(asBuffer(bytes))
  }
}

/** @throws ConnectError `CONNECT_KAFKA_CODEC` unknown codec, package missing, or damaged data */
export function decompress(id: number, bytes: Uint8Array): Buffer {
  const type = TYPES[id]
  if (type === undefined) throw kafkaError('CONNECT_KAFKA_CODEC', `A record batch names the unknown codec ${id}`)
  try {
    switch (type) {
      case 'none':
        return asBuffer(bytes)
      case 'gzip':
        return gunzipSync(bytes, { maxOutputLength: MAX_DECOMPRESSED_BYTES })
      case 'zstd':
        return zstdDecompressSync(bytes, { maxOutputLength: MAX_DECOMPRESSED_BYTES })
      case 'snappy':
        return xerialUnframe(bytes)
      case 'lz4':
        return lz4().decompressFrameSync(asBuffer(bytes))
    }
  } catch (error) {
    if (error instanceof ConnectError) throw error
    throw kafkaError('CONNECT_KAFKA_CODEC', `A ${type} record batch cannot be decompressed`, { codec: type }, error)
  }
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

// ---- xerial framing: magic, version, compatible version, then length-prefixed snappy blocks ---------------------------

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16
/** Block size of the Java client's stream. */
const XERIAL_BLOCK_BYTES = 32 * 1024

function xerialFrame(bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(XERIAL_HEADER_BYTES)
  XERIAL_MAGIC.copy(header)
  header.writeInt32BE(1, 8)
  header.writeInt32BE(1, 12)
  const parts: Buffer[] = [header]
  for (let start = 0; start < bytes.length; start += XERIAL_BLOCK_BYTES) {
    const block = snappy().compressSync(bytes.subarray(start, start + XERIAL_BLOCK_BYTES))
    const length = Buffer.alloc(4)
    length.writeInt32BE(block.length)
    parts.push(length, block)
  }
  return Buffer.concat(parts)
}

function xerialUnframe(bytes: Uint8Array): Buffer {
  const input = asBuffer(bytes)
  // Clients other than Java's may write one bare block.
  if (input.length < XERIAL_HEADER_BYTES || !input.subarray(0, 8).equals(XERIAL_MAGIC)) return unsnappy(input)
  const parts: Buffer[] = []
  let at = XERIAL_HEADER_BYTES
  while (at + 4 <= input.length) {
    const length = input.readInt32BE(at)
    at += 4
    if (length < 0 || at + length > input.length) {
      throw kafkaError('CONNECT_KAFKA_CODEC', `A snappy block of ${length} bytes does not fit its record batch`)
    }
    parts.push(unsnappy(input.subarray(at, at + length)))
    at += length
  }
  return Buffer.concat(parts)
}

function unsnappy(block: Buffer): Buffer {
  const out = snappy().uncompressSync(block, { asBuffer: true })
  return typeof out === 'string' ? Buffer.from(out, 'latin1') : out
}

// ---- optional peers --------------------------------------------------------------------------------------------------

type Snappy = Pick<typeof import('snappy'), 'compressSync' | 'uncompressSync'>
type Lz4 = Pick<typeof import('lz4-napi'), 'compressFrameSync' | 'decompressFrameSync'>

const require = createRequire(import.meta.url)
let loadedSnappy: Snappy | null = null
let loadedLz4: Lz4 | null = null

function snappy(): Snappy {
  loadedSnappy ??= load<Snappy>('snappy', 'snappy')
  return loadedSnappy
}

function lz4(): Lz4 {
  loadedLz4 ??= load<Lz4>('lz4', 'lz4-napi')
  return loadedLz4
}

function load<M>(codec: CompressionType, packageName: string): M {
  try {
    return require(packageName) as M
  } catch (error) {
    throw kafkaError('CONNECT_KAFKA_CODEC', `The ${codec} codec needs the package ${packageName}`, { codec }, error)
  }
}

/** Loads the codec now, so that a missing package is known when the client is configured, not at its first batch. */
export function ensureCodec(type: CompressionType): void {
  if (type === 'snappy') snappy()
  if (type === 'lz4') lz4()
}
