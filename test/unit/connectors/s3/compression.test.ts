import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { Decompressor } from 'snappy'
import { BlockBuffer } from '../../../../connectors/s3/block-buffer.ts'
import { type Compressor, openCompression } from '../../../../connectors/s3/compression.ts'
import { MemoryBudget } from '../../../../connectors/s3/memory-budget.ts'

async function unsnappy(bytes: Buffer): Promise<Buffer> {
  const frames = new Decompressor()
  return Buffer.concat([frames.update(bytes), await frames.finish()])
}

const plain = Buffer.from(Array.from({ length: 40_000 }, (_, i) => `{"id":${i}}\n`).join(''))

for (const [type, level, suffix, decompress] of [
  ['gzip', -1, '.gz', (bytes: Buffer) => gunzipSync(bytes)],
  ['gzip', 9, '.gz', (bytes: Buffer) => gunzipSync(bytes)],
  ['GZIP', 0, '.gz', (bytes: Buffer) => gunzipSync(bytes)],
  ['zstd', -1, '.zst', (bytes: Buffer) => zstdDecompressSync(bytes)],
  ['zstd', 9, '.zst', (bytes: Buffer) => zstdDecompressSync(bytes)],
  ['snappy', -1, '.sz', unsnappy],
] as const) {
  test(`${type} at level ${level}: many chunks and one read back, memory is given back (S4, S54)`, async () => {
    const compression = await openCompression(type, level)
    assert.ok(compression !== null)
    assert.equal(compression.suffix, suffix)
    for (const size of [plain.length, 100]) {
      const budget = new MemoryBudget(1 << 30)
      const compressor: Compressor = compression.open(new BlockBuffer(budget, 1024), budget)
      for (let at = 0; at < size; at += compression.chunkBytes) {
        await compressor.write(plain.subarray(at, Math.min(size, at + compression.chunkBytes)))
      }
      await compressor.finish()
      await compressor.finish()
      const stored: Buffer = Buffer.from(compressor.output.view())
      assert.deepEqual(await decompress(stored), plain.subarray(0, size))
      if (level !== 0 && size > 1000) assert.ok(stored.length < size / 2)
      compressor.close()
      assert.equal(budget.usedBytes, 0)
    }
  })
}

test('none is no compression', async () => {
  assert.equal(await openCompression('none', -1), null)
})
