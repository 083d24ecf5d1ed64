import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { ConfigError, toError } from '../../../worker/api/errors.ts'
import { type ParquetCodecName, unwritableCodec, writableCodec } from './codec-names.ts'

type CodecName = 'UNCOMPRESSED' | 'SNAPPY' | 'GZIP' | 'BROTLI' | 'LZ4' | 'LZ4_RAW' | 'ZSTD'

/** How the pages of a file are compressed. */
export interface ParquetCodec {
  readonly name: CodecName
  /** What it adds to names, as Hadoop's codecs do. */
  readonly suffix: string
  /** Null: the writer's own, or none. */
  readonly compress: ((page: Uint8Array) => Uint8Array) | null
}

/**
 * The codec of `parquet.codec`; loads its package.
 * @throws ConfigError for lzo, which no package has, and for lz4 without its package
 */
export async function openParquetCodec(option: string): Promise<ParquetCodec> {
  const name = writableCodec('parquet.codec', option)
  if (name === null) throw new ConfigError([unwritableCodec('parquet.codec', option)])
  return openCodec(name)
}

async function openCodec(name: ParquetCodecName): Promise<ParquetCodec> {
  switch (name) {
    case 'none':
      return { name: 'UNCOMPRESSED', suffix: '', compress: null }
    case 'gzip':
      return { name: 'GZIP', suffix: '.gz', compress: (page) => gzipSync(page) }
    case 'zstd':
      return { name: 'ZSTD', suffix: '.zstd', compress: (page) => zstdCompressSync(page) }
    case 'brotli': {
      // The library's default of 11 takes seconds per megabyte.
      const params = { [constants.BROTLI_PARAM_QUALITY]: 5 }
      return { name: 'BROTLI', suffix: '.br', compress: (page) => brotliCompressSync(page, { params }) }
    }
    case 'lz4_raw':
      return { name: 'LZ4_RAW', suffix: '.lz4raw', compress: await loadLz4() }
    case 'lz4': {
      const compress = await loadLz4()
      return { name: 'LZ4', suffix: '.lz4hadoop', compress: (page) => hadoopBlock(page, compress(page)) }
    }
    case 'snappy':
      return { name: 'SNAPPY', suffix: '.snappy', compress: await loadSnappy() }
  }
}

/** The native package where it is installed; the writer has one of its own. */
async function loadSnappy(): Promise<ParquetCodec['compress']> {
  try {
    const { compressSync } = await import('snappy')
    return (page) => compressSync(page)
  } catch {
    return null // An optional dependency that this platform does not have.
  }
}

/** Length in bytes that lz4-napi puts before a block. */
const lz4LengthBytes = 4

async function loadLz4(): Promise<(page: Uint8Array) => Uint8Array> {
  try {
    const { compressSync } = await import('lz4-napi')
    return (page) => compressSync(Buffer.from(page.buffer, page.byteOffset, page.length)).subarray(lz4LengthBytes)
  } catch (cause) {
    const message = `lz4 needs the package 'lz4-napi' (${toError(cause).message}): install it, or choose another codec`
    throw new ConfigError([{ option: 'parquet.codec', message }], { cause })
  }
}

/** Hadoop's framing of the older LZ4 codec: both lengths in front, big-endian. */
function hadoopBlock(page: Uint8Array, block: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(8 + block.length)
  framed.writeUInt32BE(page.length, 0)
  framed.writeUInt32BE(block.length, 4)
  framed.set(block, 8)
  return framed
}
