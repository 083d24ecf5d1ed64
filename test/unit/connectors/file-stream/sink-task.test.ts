import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileStreamSink } from '../../../../connectors/file-stream/index.ts'
import { FileStreamSinkTask } from '../../../../connectors/file-stream/sink-task.ts'
import { Decimal, makeSchema, type Schema, Schemas, type Value } from '../../../../worker/api/data.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { TopicPartitionMap } from '../../../../worker/api/topic-partition.ts'
import { sinkTaskConformance } from '../../../conformance/sink-task.ts'

async function openFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-file-'))
  return {
    file: join(folder, 'out.txt'),
    folder,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

const linesOf = async (file: string): Promise<readonly string[]> =>
  (await readFile(file, 'utf8')).split('\n').slice(0, -1)

sinkTaskConformance('FileStreamSink', {
  plugin: fileStreamSink,
  open: async () => {
    const { file, folder, ...disposable } = await openFolder()
    const identity = (partition: number, offset: number): string => `line ${partition} ${offset}`
    return {
      options: { file },
      brokenOptions: { file: folder },
      topic: 't',
      record: async (partition, offset) =>
        new SinkRecord({ topic: 't', partition, offset: BigInt(offset), value: identity(partition, offset) }),
      identity,
      written: () => linesOf(file),
      duplicates: true,
      ...disposable,
    }
  },
})

test('a line per value, as Java prints it', async () => {
  await using folder = await openFolder()
  const struct = makeSchema({
    type: 'STRUCT',
    fields: [
      { name: 'a', schema: Schemas.int64 },
      { name: 'b', schema: Schemas.optionalString },
      { name: 'c', schema: Schemas.float64 },
    ],
  })
  const cases: readonly (readonly [Schema | null, Value, string])[] = [
    [Schemas.string, 'größe', 'größe'],
    [null, null, 'null'],
    [struct, { a: 1n, b: 'x', c: 1 }, 'Struct{a=1,b=x,c=1.0}'],
    [struct, { a: 2n ** 60n, b: null, c: 0.5 }, 'Struct{a=1152921504606846976,c=0.5}'],
    [null, { a: 1, b: null }, '{a=1, b=null}'],
    [null, [1, 'x', true], '[1, x, true]'],
    [null, new Map([['k', 1n]]), '{k=1}'],
    [Schemas.bytes, Buffer.from('bytes'), 'bytes'],
    [null, new Decimal(-123n, 2), '-1.23'],
  ]
  const task = new FileStreamSinkTask()
  await task.start({ file: folder.file })
  const records = cases.map(
    ([valueSchema, value], i) => new SinkRecord({ topic: 't', partition: 0, offset: BigInt(i), valueSchema, value }),
  )
  await task.put(records)
  await task.stop()
  assert.deepEqual(
    await linesOf(folder.file),
    cases.map(([, , text]) => text),
  )
})

test('a batch of a megabyte, in characters of one to four bytes, is written whole and in order', async () => {
  await using folder = await openFolder()
  const lines = Array.from({ length: 12_000 }, (_, i) => `${i} ${'aé€😀'.repeat(i % 23)}`)
  const task = new FileStreamSinkTask()
  await task.start({ file: folder.file })
  await task.put(lines.map((value, i) => new SinkRecord({ topic: 't', partition: 0, offset: BigInt(i), value })))
  await task.stop()
  assert.deepEqual(await linesOf(folder.file), lines)
})

test('appends to what is there; commits what was delivered', async () => {
  await using folder = await openFolder()
  for (const value of ['a', 'b']) {
    const task = new FileStreamSinkTask()
    await task.start({ file: folder.file })
    await task.put([new SinkRecord({ topic: 't', partition: 0, offset: 0n, value })])
    const current = TopicPartitionMap.from([[{ topic: 't', partition: 0 }, 1n]])
    assert.equal((await task.preCommit(current)).get('t', 0), 1n)
    await task.stop()
  }
  assert.deepEqual(await linesOf(folder.file), ['a', 'b'])
})
