import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { BlockBuffer, type BlockPack } from './block-buffer.ts'
import type { MemoryBudget } from './memory-budget.ts'

/** The fastest level that finds most of what repeats in rows of text. */
const level = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }
/** What a block must shrink to for that it is worth the work. */
const worthwhile = 0.6
const firstBytes = 4096

interface Frame {
  /** Of the block. */
  readonly bytes: number
  readonly packedBytes: number
}

/**
 * What many small open objects hold beyond the limit of a task, compressed block by block. Blocks are unpacked one at a
 * time when the object is sent, so sending needs no more than a block of memory.
 */
export class PackedBlocks implements BlockPack {
  readonly #stored: BlockBuffer
  readonly #frames: Frame[] = []
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

  add(block: Buffer): boolean {
    const packed = zstdCompressSync(block, { ...level, chunkSize: block.length, pledgedSrcSize: block.length })
    if (packed.length > block.length * worthwhile) return false
    this.#stored.bytes(packed)
    this.#frames.push({ bytes: block.length, packedBytes: packed.length })
    this.#length += block.length
    return true
  }

  *blocks(): Generator<Buffer> {
    let at = 0
    for (const { bytes, packedBytes } of this.#frames) {
      yield zstdDecompressSync(this.#stored.read(at, packedBytes), { chunkSize: bytes })
      at += packedBytes
    }
  }

  get firstLength(): number {
    return this.#frames[0]?.bytes ?? 0
  }

  removeFirst(): void {
    const frame = this.#frames.shift()
    if (frame === undefined) return
    this.#stored.consume(frame.packedBytes)
    this.#length -= frame.bytes
  }

  release(): void {
    this.#stored.release()
    this.#frames.length = 0
    this.#length = 0
  }
}
