import { createHash, type Hash } from 'node:crypto'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { BlockBuffer, type BlockPack, joined } from './block-buffer.ts'
import type { MemoryBudget } from './memory-budget.ts'

/** The fastest level that finds most of what repeats in rows of text; room for what a pack mostly becomes. */
const packing = { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize: 65_536 }
/** What bytes must shrink to for that it is worth the work. */
const worthwhile = 0.6
const firstBytes = 4096

interface Frame {
  /** As they were. */
  readonly bytes: number
  readonly packedBytes: number
}

/**
 * What many small open objects hold beyond the limit of a task, compressed some blocks at a time, and unpacked so when
 * the object is sent, so that sending needs no more memory than these.
 */
export class PackedBlocks implements BlockPack {
  readonly #stored: BlockBuffer
  readonly #frames: Frame[] = []
  /** Of what was added; null once some of it was removed. */
  #hash: Hash | null = createHash('sha256')
  #length = 0

  constructor(budget: MemoryBudget) {
    this.#stored = new BlockBuffer(budget, firstBytes)
  }

  get length(): number {
    return this.#length
  }

  get capacity(): number {
    return this.#stored.capacity
  }

  add(bytes: Buffer): boolean {
    const packed = zstdCompressSync(bytes, { ...packing, pledgedSrcSize: bytes.length })
    if (packed.length > bytes.length * worthwhile) return false
    this.#stored.bytes(packed)
    this.#hash?.update(bytes)
    this.#frames.push({ bytes: bytes.length, packedBytes: packed.length })
    this.#length += bytes.length
    return true
  }

  *pieces(): Generator<Buffer> {
    // A request that failed may go on reading when the object is long done with.
    const stored = [...this.#stored.pieces()]
    const frames = [...this.#frames]
    let at = 0
    for (const { bytes, packedBytes } of frames) {
      yield zstdDecompressSync(joined(stored, at, packedBytes), { chunkSize: bytes })
      at += packedBytes
    }
  }

  sha256(): Hash | null {
    return this.#hash?.copy() ?? null
  }

  get firstLength(): number {
    return this.#frames[0]?.bytes ?? 0
  }

  removeFirst(): void {
    const frame = this.#frames.shift()
    if (frame === undefined) return
    this.#stored.consume(frame.packedBytes)
    this.#length -= frame.bytes
    this.#hash = null
  }

  keepFromReuse(): void {
    this.#stored.keepFromReuse()
  }

  release(): void {
    this.#stored.release()
    this.#frames.length = 0
    this.#length = 0
  }
}
