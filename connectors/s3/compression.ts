import { promisify } from 'node:util'
import { constants, createGzip, type Gzip, gzip, zstdCompress } from 'node:zlib'
import { ConfigError, ConnectError, toError } from '../../worker/api/errors.ts'
import type { BlockBuffer } from './block-buffer.ts'
import type { MemoryBudget } from './memory-budget.ts'

/** How whole objects are compressed. Equal content gives equal bytes: no time stamps, fixed chunks. */
export interface Compression {
  readonly name: 'gzip' | 'zstd' | 'snappy'
  /** What it adds to names. */
  readonly suffix: string
  /** Encoded bytes handed over at a time. */
  readonly chunkBytes: number
  open(output: BlockBuffer, budget: MemoryBudget): Compressor
}

/** Compresses one object. A call starts when the one before it has ended. */
export interface Compressor {
  /** Compressed bytes; who uploads them consumes them. */
  readonly output: BlockBuffer
  /** `chunk` is only valid during the call. @throws ConnectError CONNECT_S3_COMPRESSION */
  write(chunk: Buffer): Promise<void>
  /** Idempotent. */
  finish(): Promise<void>
  /** Gives the memory back. Idempotent. */
  close(): void
}

/**
 * The compression of `s3.compression.type`; null for `none`. Loads what it needs.
 * @param level of gzip and zstd; -1 is the default of the library
 * @throws ConfigError for snappy without the package
 */
export async function openCompression(type: string, level: number): Promise<Compression | null> {
  switch (type.toLowerCase()) {
    case 'gzip':
      return {
        name: 'gzip',
        suffix: '.gz',
        chunkBytes: 65_536,
        open: (output, budget) => new GzipCompressor(level, output, budget),
      }
    case 'zstd': {
      const params = level < 0 ? {} : { [constants.ZSTD_c_compressionLevel]: level }
      // A frame per chunk instead of one stream: its state would be megabytes per open object.
      return framed('zstd', '.zst', 262_144, (chunk) => zstdOnce(chunk, { params }))
    }
    case 'snappy': {
      const { Compressor: SnappyFrames } = await loadSnappy()
      const stream = async (chunk: Buffer, isFirst: boolean) => {
        const frames = new SnappyFrames()
        const bytes = Buffer.concat([frames.update(chunk), await frames.finish()])
        return isFirst ? bytes : bytes.subarray(snappyHeaderBytes)
      }
      return framed('snappy', '.sz', 65_536, stream)
    }
    default:
      return null
  }
}

/** The stream identifier at the beginning of the framing format. */
const snappyHeaderBytes = 10
/** What a running deflate holds: window and hash tables. */
const gzipStateBytes = 268_000
const gzipOnce = promisify(gzip)
const zstdOnce = promisify(zstdCompress)

async function loadSnappy(): Promise<typeof import('snappy')> {
  try {
    return await import('snappy')
  } catch (cause) {
    const message = `snappy needs the package 'snappy' (${toError(cause).message}): install it, or choose gzip or zstd`
    throw new ConfigError([{ option: 's3.compression.type', message }], { cause })
  }
}

type CompressChunk = (chunk: Buffer, isFirst: boolean) => Promise<Buffer>

function framed(name: Compression['name'], suffix: string, chunkBytes: number, compress: CompressChunk): Compression {
  return { name, suffix, chunkBytes, open: (output) => new FrameCompressor(name, output, compress) }
}

/** Formats in which pieces stand by themselves and may follow each other: nothing is kept between chunks. */
class FrameCompressor implements Compressor {
  readonly output: BlockBuffer
  readonly #name: string
  readonly #compress: CompressChunk
  #isFirst = true

  constructor(name: string, output: BlockBuffer, compress: CompressChunk) {
    this.#name = name
    this.output = output
    this.#compress = compress
  }

  async write(chunk: Buffer): Promise<void> {
    try {
      this.output.bytes(await this.#compress(chunk, this.#isFirst))
    } catch (cause) {
      throw failed(this.#name, cause)
    }
    this.#isFirst = false
  }

  async finish(): Promise<void> {}

  close(): void {
    this.output.release()
  }
}

/**
 * gzip of one object: one member, no time stamp. A small object is compressed in one call on the thread pool; the
 * stream with its 256 KiB of state comes into being with the second chunk only, so hundreds of open objects are cheap.
 */
class GzipCompressor implements Compressor {
  readonly output: BlockBuffer
  readonly #level: number
  readonly #budget: MemoryBudget
  #stream: Gzip | null = null
  #first: Buffer | null = null
  #failure: Error | null = null
  #finished = false

  constructor(level: number, output: BlockBuffer, budget: MemoryBudget) {
    this.#level = level
    this.output = output
    this.#budget = budget
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.#stream === null && this.#first === null) {
      this.#first = Buffer.from(chunk)
      this.#budget.add(this.#first.length)
      return
    }
    const stream = this.#start()
    if (this.#first !== null) {
      await this.#push(stream, this.#first)
      this.#dropFirst()
    }
    await this.#push(stream, chunk)
  }

  /** Idempotent. */
  async finish(): Promise<void> {
    if (this.#finished) return
    if (this.#stream === null) {
      this.output.bytes(await gzipOnce(this.#first ?? Buffer.alloc(0), { level: this.#level }))
      this.#dropFirst()
    } else {
      const stream = this.#stream
      await new Promise<void>((resolve, reject) => {
        stream.once('end', resolve)
        stream.once('error', (cause) => reject(failed('gzip', cause)))
        stream.end()
      })
      this.#stop()
    }
    this.#finished = true
  }

  close(): void {
    this.#dropFirst()
    this.#stop()
    this.output.release()
  }

  #start(): Gzip {
    if (this.#stream !== null) return this.#stream
    const stream = createGzip({ level: this.#level })
    stream.on('data', (data: Buffer) => this.output.bytes(data))
    stream.on('error', (error) => {
      this.#failure = error
    })
    this.#budget.add(gzipStateBytes)
    this.#stream = stream
    return stream
  }

  #push(stream: Gzip, chunk: Buffer): Promise<void> {
    if (this.#failure !== null) throw failed('gzip', this.#failure)
    return new Promise((resolve, reject) => {
      stream.write(chunk, (cause) => (cause ? reject(failed('gzip', cause)) : resolve()))
    })
  }

  #dropFirst(): void {
    if (this.#first !== null) this.#budget.add(-this.#first.length)
    this.#first = null
  }

  #stop(): void {
    if (this.#stream === null) return
    this.#stream.destroy()
    this.#stream = null
    this.#budget.add(-gzipStateBytes)
  }
}

function failed(name: string, cause: unknown): ConnectError {
  return new ConnectError('fatal', 'CONNECT_S3_COMPRESSION', `${name} failed: ${toError(cause).message}`, { cause })
}
