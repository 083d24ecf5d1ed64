/**
 * Memory of the S3 sink with 200 open objects (S74): `node test/conformance/s3/open-files-memory.ts [bytes per object]`.
 * Not part of the test run: resident memory depends on the machine. Exit status 1 above the bound of 200 MB.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Schemas } from '../../../worker/api/data.ts'
import { SinkRecord } from '../../../worker/api/record.ts'
import { MemoryStore } from './memory-store.ts'
import { SinkHarness } from './sink-harness.ts'

const openObjects = 200
const recordBytes = 1000
const boundBytes = 200 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const shapes = {
  '200 directories of one partition': { partitions: 1, directories: openObjects },
  '200 partitions with one directory': { partitions: openObjects, directories: 1 },
} as const

function recordAt(partition: number, offset: number, directories: number): SinkRecord {
  return new SinkRecord({
    topic: 'orders',
    partition,
    offset: BigInt(offset),
    keySchema: null,
    key: null,
    valueSchema: null,
    value: { k: `d${offset % directories}`, text: 'x'.repeat(recordBytes) },
    timestamp: Date.UTC(2024, 0, 1),
    headers: [{ key: 'h', schema: Schemas.string, value: 'v' }],
  })
}

/** Resident bytes after a collection. */
function residentBytes(): number {
  collectGarbage()
  return process.memoryUsage.rss()
}

async function measure(shape: (typeof shapes)[keyof typeof shapes], bytesPerObject: number): Promise<number> {
  const { partitions, directories } = shape
  const harness = await SinkHarness.start({
    store: new MemoryStore(),
    config: {
      'flush.size': '1000000000',
      'partitioner.class': 'io.confluent.connect.storage.partitioner.FieldPartitioner',
      'partition.field.name': 'k',
    },
  })
  const tps = Array.from({ length: partitions }, (_, partition) => ({ topic: 'orders', partition }))
  await harness.task.open?.(tps)
  const before = residentBytes()
  const perPartition = (bytesPerObject / recordBytes) * directories
  const signal = new AbortController().signal
  for (const { partition } of tps) {
    for (let offset = 0; offset < perPartition; offset += 1000) {
      const count = Math.min(1000, perPartition - offset)
      // Straight to the task: the harness would keep a log of everything for its seeks.
      await harness.task.put(
        Array.from({ length: count }, (_, i) => recordAt(partition, offset + i, directories)),
        signal,
      )
    }
  }
  const grown = residentBytes() - before
  await harness.stop()
  return grown
}

const bytesPerObject = Number(process.argv[2] ?? 100_000)
for (const [name, shape] of Object.entries(shapes)) {
  const grown = await measure(shape, bytesPerObject)
  const data = (openObjects * bytesPerObject) / 1048576
  const text = `${name}: ${data.toFixed(0)} MB of records open, resident memory +${(grown / 1048576).toFixed(0)} MB`
  process.stdout.write(`${text}\n`)
  if (grown > boundBytes) process.exitCode = 1
}
