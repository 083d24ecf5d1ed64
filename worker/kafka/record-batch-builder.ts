/**
 * Encoder of record batches (magic 2). Records are written straight into the bytes of the batch: a key or value is
 * copied once, and no object is made per record.
 *
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
import { type CompressionType, compress, compressionId } from './compression.ts'
import { crc32c } from './crc32c.ts'
import type { RecordHeader } from './types.ts'

export const BATCH_HEADER_BYTES = 61
/** Offset of the first byte that the checksum covers (attributes). */
export const CRC_START = 21

export interface ProducerState {
  readonly producerId: bigint
  readonly epoch: number
  /** Sequence of the first record; the others follow, wrapping from 2^31 - 1 to 0. */
  readonly baseSequence: number
  readonly transactional: boolean
}

/** From this ratio on compressed bytes move to a buffer of their own, so that the large one takes the next batch. */
const MUCH_SMALLER = 2

/** Ends a batch written without idempotence. */
export const NO_PRODUCER: ProducerState = { producerId: -1n, epoch: -1, baseSequence: -1, transactional: false }

export class RecordBatchBuilder {
  #buffer: Buffer
  #length = BATCH_HEADER_BYTES
  #count = 0
  #firstTimestamp = 0
  #maxTimestamp = 0
  readonly #limit: number
  /** Headers of the last record that had any, and where their bytes stand: sources often repeat one array. */
  #headers: readonly RecordHeader[] | null = null
  #headersStart = 0
  #headersEnd = 0

  /**
   * @param buffer storage to begin with (from a pool); replaced by a larger one as the batch grows
   * @param limitBytes size at which the batch counts as full; a first record may exceed it
   */
  constructor(buffer: Buffer, limitBytes: number) {
    this.#buffer = buffer
    this.#limit = limitBytes
  }

  get count(): number {
    return this.#count
  }

  /** Uncompressed size so far, with the header. */
  get byteLength(): number {
    return this.#length
  }

  /** Storage in use; goes back to the pool when the batch is done. */
  get buffer(): Buffer {
    return this.#buffer
  }

  /**
   * Bytes that this record would take at most (its deltas are not known yet).
   */
  static sizeUpperBound(key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[]): number {
    // length 5, attributes 1, timestamp delta 10, offset delta 5, key length 5, value length 5, header count 5
    let bytes = 36 + (key?.length ?? 0) + (value?.length ?? 0)
    // Of an empty array, too, the iterator would be garbage of every record.
    if (headers.length > 0)
      for (const header of headers) bytes += 10 + header.key.length * 3 + (header.value?.length ?? 0)
    return bytes
  }

  /** @returns false when the record does not fit any more; the batch is unchanged then */
  tryAppend(
    timestamp: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[],
    upperBound: number,
  ): boolean {
    if (this.#count > 0 && this.#length + upperBound > this.#limit) return false
    if (this.#length + upperBound > this.#buffer.length) this.#grow(upperBound)
    if (this.#count === 0) {
      this.#firstTimestamp = timestamp
      this.#maxTimestamp = timestamp
    } else if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    this.#write(timestamp - this.#firstTimestamp, key, value, headers)
    this.#count++
    return true
  }

  #write(timeDelta: number, key: Uint8Array | null, value: Uint8Array | null, headers: readonly RecordHeader[]): void {
    const offsetDelta = this.#count
    const keyBytes = key === null ? -1 : key.length
    const valueBytes = value === null ? -1 : value.length
    let body =
      1 +
      varlongSize(timeDelta) +
      varintSize(offsetDelta) +
      varintSize(keyBytes) +
      varintSize(valueBytes) +
      varintSize(headers.length)
    if (key !== null) body += keyBytes
    if (value !== null) body += valueBytes
    const repeated = headers === this.#headers
    if (repeated) body += this.#headersEnd - this.#headersStart
    else if (headers.length > 0) for (const header of headers) body += headerSize(header)
    const out = this.#buffer
    let at = writeVarint(out, this.#length, body)
    out[at++] = 0
    at = writeVarlong(out, at, timeDelta)
    at = writeVarint(out, at, offsetDelta)
    at = writeVarint(out, at, keyBytes)
    if (key !== null) at = copy(key, out, at)
    at = writeVarint(out, at, valueBytes)
    if (value !== null) at = copy(value, out, at)
    at = writeVarint(out, at, headers.length)
    if (repeated) {
      out.copyWithin(at, this.#headersStart, this.#headersEnd)
      at += this.#headersEnd - this.#headersStart
    } else if (headers.length > 0) {
      this.#headers = headers
      this.#headersStart = at
      for (const header of headers) at = writeHeader(out, at, header)
      this.#headersEnd = at
    }
    this.#length = at
  }

  /**
   * Completes the header and gives the bytes to send. They stand in this builder's own buffer, or, if compression made
   * them much smaller, in one that `take` gave. Nothing can be appended or sealed any more: for another producer state
   * (the sequence of a batch changes when the producer id does) there is `writeProducerState`.
   * @param take storage of at least so many bytes; null: all stays in this builder's
   */
  seal(
    compression: CompressionType,
    level: number | null,
    state: ProducerState,
    take: ((bytes: number) => Buffer) | null = null,
  ): Buffer {
    if (compression === 'none') {
      const batch = this.#buffer.subarray(0, this.#length)
      this.#writeHeader(batch, 0, state)
      return batch
    }
    const packed = compress(compression, this.#buffer.subarray(BATCH_HEADER_BYTES, this.#length), level)
    const bytes = BATCH_HEADER_BYTES + packed.length
    const batch = this.#storageFor(bytes, take).subarray(0, bytes)
    packed.copy(batch, BATCH_HEADER_BYTES)
    this.#writeHeader(batch, compressionId(compression), state)
    return batch
  }

  /**
   * Never a new buffer per batch if it can be helped: it would outlive the young generation. Bytes that compression
   * made longer have no other choice.
   */
  #storageFor(bytes: number, take: ((bytes: number) => Buffer) | null): Buffer {
    if (take !== null && bytes * MUCH_SMALLER <= this.#buffer.length) return take(bytes)
    return bytes <= this.#buffer.length ? this.#buffer : Buffer.allocUnsafe(bytes)
  }

  #writeHeader(batch: Buffer, codec: number, state: ProducerState): void {
    batch.writeBigInt64BE(0n, 0)
    batch.writeInt32BE(batch.length - 12, 8)
    batch.writeInt32BE(-1, 12)
    batch[16] = 2
    batch.writeInt16BE(codec, 21)
    batch.writeInt32BE(this.#count - 1, 23)
    batch.writeBigInt64BE(BigInt(this.#firstTimestamp), 27)
    batch.writeBigInt64BE(BigInt(this.#maxTimestamp), 35)
    batch.writeInt32BE(this.#count, 57)
    writeProducerState(batch, state)
  }

  #grow(needed: number): void {
    const doubled = Math.min(this.#buffer.length * 2, this.#limit)
    const grown = Buffer.allocUnsafeSlow(Math.max(doubled, this.#length + needed))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}

/** Writes producer id, epoch and sequence into a finished batch and renews its checksum; nothing is compressed again. */
export function writeProducerState(batch: Buffer, state: ProducerState): void {
  const attributes = batch.readInt16BE(21)
  batch.writeInt16BE(state.transactional ? attributes | 0x10 : attributes & ~0x10, 21)
  batch.writeBigInt64BE(state.producerId, 43)
  batch.writeInt16BE(state.epoch, 51)
  batch.writeInt32BE(state.baseSequence, 53)
  batch.writeUInt32BE(crc32c(batch, CRC_START, batch.length), 17)
}

/** Sequence of the record `count` places after `sequence`; wraps at 2^31 as the broker does. */
export function addSequence(sequence: number, count: number): number {
  const sum = sequence + count
  return sum > 0x7fffffff ? sum - 0x80000000 : sum
}

// ---- variable-length numbers (zigzag) --------------------------------------------------------------------------------

function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  let at = start
  while (zigzag > 127) {
    out[at++] = (zigzag & 127) | 128
    zigzag >>>= 7
  }
  out[at++] = zigzag
  return at
}

/** Timestamps are at most 2^53 ms, so plain arithmetic is exact while |value| < 2^52. */
function varlongSize(value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) return varintSize(value)
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value
  let bytes = 1
  while (zigzag > 127) {
    zigzag = Math.floor(zigzag / 128)
    bytes++
  }
  return bytes
}

function writeVarlong(out: Buffer, start: number, value: number): number {
  if (value >= -0x40000000 && value < 0x40000000) return writeVarint(out, start, value)
  let zigzag = value < 0 ? -2 * value - 1 : 2 * value
  let at = start
  while (zigzag > 127) {
    out[at++] = (zigzag % 128) | 128
    zigzag = Math.floor(zigzag / 128)
  }
  out[at++] = zigzag
  return at
}

function headerSize(header: RecordHeader): number {
  const keyBytes = Buffer.byteLength(header.key)
  const valueBytes = header.value === null ? -1 : header.value.length
  return varintSize(keyBytes) + keyBytes + varintSize(valueBytes) + Math.max(0, valueBytes)
}

function writeHeader(out: Buffer, start: number, header: RecordHeader): number {
  let at = writeVarint(out, start, Buffer.byteLength(header.key))
  at += out.write(header.key, at, 'utf8')
  if (header.value === null) return writeVarint(out, at, -1)
  at = writeVarint(out, at, header.value.length)
  return copy(header.value, out, at)
}

/** A loop beats the call into `set` for short keys. */
function copy(source: Uint8Array, out: Buffer, at: number): number {
  if (source.length < 24) for (let i = 0; i < source.length; i++) out[at + i] = source[i] as number
  else out.set(source, at)
  return at + source.length
}
