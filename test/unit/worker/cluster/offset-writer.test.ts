import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FileOffsetStore } from '../../../../worker/cluster/file-offset-store.ts'
import { encodeOffsetKey, encodeOffsetValue } from '../../../../worker/cluster/offset-format.ts'
import { type OffsetRecord, OffsetWriter } from '../../../../worker/cluster/offset-writer.ts'

test('a failed flush keeps its offsets beneath the newer ones', async () => {
  const writes: string[][] = []
  let fail = true
  const during = { run: (): void => undefined }
  const writer = new OffsetWriter({
    connector: 'c',
    sink: {
      async write(records: readonly OffsetRecord[]) {
        during.run()
        if (fail) throw new Error('broker gone')
        writes.push(records.map((r) => `${Buffer.from(r.key)}=${r.value === null ? null : Buffer.from(r.value)}`))
      },
    },
  })
  writer.offset({ p: 1 }, { o: 1 })
  writer.offset({ p: 2 }, { o: 1 })
  during.run = () => writer.offset({ p: 1 }, { o: 2 })
  await assert.rejects(writer.flush(), /broker gone/)
  during.run = () => undefined
  fail = false
  assert.equal(await writer.flush(), 2)
  assert.deepEqual(writes, [['["c",{"p":1}]={"o":2}', '["c",{"p":2}]={"o":1}']])
  assert.equal(writer.dirty, false)
  assert.equal(await writer.flush(), 0)
})

test('key bytes seen in the topic are used again', async () => {
  const keys: string[] = []
  const raw = Buffer.from('["c",{"b":1,"a":2}]')
  const writer = new OffsetWriter({
    connector: 'c',
    rawKey: () => raw,
    sink: { write: async (records) => void keys.push(...records.map((r) => Buffer.from(r.key).toString())) },
  })
  writer.offset({ a: 2, b: 1 }, { o: 1 })
  await writer.flush()
  assert.deepEqual(keys, ['["c",{"b":1,"a":2}]'])
})

test('the file store keeps offsets over a restart and leaves foreign files alone', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'offsets-'))
  try {
    const path = join(folder, 'offsets')
    const store = new FileOffsetStore(path)
    await store.start()
    const record = (p: string, o: bigint | null): OffsetRecord => ({
      key: encodeOffsetKey('c', { p }),
      value: encodeOffsetValue(o === null ? null : { o }),
    })
    await Promise.all([store.write([record('x', 1n), record('y', 2n)]), store.write([record('x', 2n ** 60n)])])
    await store.write([record('y', null)])
    const again = new FileOffsetStore(path)
    await again.start()
    assert.deepEqual(await again.read('c', [{ p: 'x' }, { p: 'y' }, { p: 'z' }]), [{ o: 2n ** 60n }, null, null])
    assert.deepEqual(await again.partitions('c'), [
      { partition: { p: 'x' }, offset: { o: 2n ** 60n } },
      { partition: { p: 'y' }, offset: null },
    ])
    const java = Buffer.from([0xac, 0xed, 0, 5])
    await writeFile(path, java)
    await assert.rejects(new FileOffsetStore(path).start(), /offsets of a Java worker/)
    assert.deepEqual(await readFile(path), java)
  } finally {
    await rm(folder, { recursive: true })
  }
})
