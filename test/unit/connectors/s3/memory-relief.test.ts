import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { parquetMetadata } from 'hyparquet'
import type {
  ObjectAddress,
  PartBody,
  PutOptions,
  UploadedPart,
  WrittenObject,
} from '../../../../connectors/common/object-store.ts'
import type { RequestBody } from '../../../../connectors/common/request-body.ts'
import { MemoryBudget } from '../../../../connectors/s3/memory-budget.ts'
import { makeSchema, Schemas } from '../../../../worker/api/data.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { MemoryStore } from '../../../conformance/s3/memory-store.ts'
import { SinkHarness } from '../../../conformance/s3/sink-harness.ts'
import { seededRandom } from '../../../support/random.ts'

/** The smallest that the option takes. */
const limitBytes = 16_777_216
/** Largest block, of which a record may begin one more. */
const blockBytes = 65_536

/** Answers late, and reads a body to its end only then. */
class SlowStore extends MemoryStore {
  override async put(at: ObjectAddress, body: RequestBody | Uint8Array, options: PutOptions): Promise<WrittenObject> {
    for (let i = 0; i < 5; i++) await turn()
    return super.put(at, body, options)
  }

  override async uploadPart(at: ObjectAddress, id: string, part: PartBody): Promise<UploadedPart> {
    for (let i = 0; i < 5; i++) await turn()
    return super.uploadPart(at, id, part)
  }
}

/** The most that any budget counted since this call, blocks that wait to be used again included. */
function watchBudgets(t: TestContext): { readonly used: number; readonly kept: number } {
  const peak = { used: 0, kept: 0 }
  const look = (budget: MemoryBudget) => {
    peak.used = Math.max(peak.used, budget.usedBytes)
    peak.kept = Math.max(peak.kept, budget.usedBytes + budget.freeBytes)
  }
  const { take, add } = MemoryBudget.prototype
  t.mock.method(MemoryBudget.prototype, 'take', function (this: MemoryBudget, bytes: number) {
    const block = take.call(this, bytes)
    look(this)
    return block
  })
  t.mock.method(MemoryBudget.prototype, 'add', function (this: MemoryBudget, bytes: number) {
    add.call(this, bytes)
    look(this)
  })
  return peak
}

interface Load {
  readonly partitions: number
  readonly directories: number
  readonly recordsPerObject: number
  /** Of each record. */
  readonly body: (id: number) => string
}

/** Text that is about a fifth of its size packed. */
const rows = (bytes: number) => (id: number) => {
  let text = ''
  for (let i = 0; text.length < bytes; i++) text += `row ${id * 7919 + i} of ${(i * 104_729) % 977} in all, `
  return text.slice(0, bytes)
}

/** Text that does not become much smaller: printable characters but for quotes and backslashes. */
const noiseText = (() => {
  const random = seededRandom(7)
  const bytes = Buffer.alloc(4_000_000)
  for (let i = 0; i < bytes.length; i++) bytes[i] = random.integer(0x5d, 0x7e) - (random.integer(0, 1) === 0 ? 0 : 0x3a)
  return bytes.toString('latin1')
})()
const noise = (bytes: number) => (id: number) => {
  const at = (id * bytes) % (noiseText.length - bytes)
  return noiseText.slice(at, at + bytes)
}

function recordsOf({ partitions, directories, recordsPerObject, body }: Load): readonly SinkRecord[] {
  const records: SinkRecord[] = []
  for (let offset = 0; offset < directories * recordsPerObject; offset++) {
    for (let partition = 0; partition < partitions; partition++) {
      const value = { kind: `k${offset % directories}`, id: offset, body: body(offset) }
      records.push(new SinkRecord({ topic: 'orders', partition, offset: BigInt(offset), value }))
    }
  }
  return records
}

async function open(load: Load, store: MemoryStore, config: Readonly<Record<string, string>>): Promise<SinkHarness> {
  const harness = await SinkHarness.start({
    store,
    config: {
      'partitioner.class': 'io.confluent.connect.storage.partitioner.FieldPartitioner',
      'partition.field.name': 'kind',
      'flush.size': String(load.directories * load.recordsPerObject),
      'retry.backoff.ms': '1000',
      ...config,
    },
  })
  const tps = Array.from({ length: load.partitions }, (_, partition) => ({ topic: 'orders', partition }))
  await harness.assign(...tps)
  return harness
}

/** Some records of each partition at a time, as they come from a topic. */
async function deliver(harness: SinkHarness, records: readonly SinkRecord[]): Promise<void> {
  for (let at = 0; at < records.length; at += 24) {
    harness.append(records.slice(at, at + 24))
    await harness.poll()
  }
}

/** Names and contents of the objects that records make when memory is no matter. */
async function unlimited(load: Load, records: readonly SinkRecord[]): Promise<ReadonlyMap<string, Buffer>> {
  const store = new MemoryStore()
  const harness = await open(load, store, { 's3.buffer.total.bytes': '1000000000' })
  await deliver(harness, records)
  return store.objects
}

function assertSameObjects(actual: ReadonlyMap<string, Buffer>, expected: ReadonlyMap<string, Buffer>): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort())
  for (const [key, body] of expected) assert.ok(actual.get(key)?.equals(body), key)
}

const recordBytes = 50_000
/** What may be held at most: the limit is passed by one record, and by no more than two blocks. */
const bound = limitBytes + recordBytes + 2 * blockBytes

test('200 open objects that need four times the memory: the same objects, and never more than the limit (S74)', async (t) => {
  const load = { partitions: 4, directories: 50, recordsPerObject: 6, body: rows(recordBytes) }
  const records = recordsOf(load)
  const expected = await unlimited(load, records)
  const peak = watchBudgets(t)
  const store = new SlowStore()
  const harness = await open(load, store, { 's3.buffer.total.bytes': String(limitBytes) })
  await deliver(harness, records)
  assert.equal(store.objects.size, 200)
  assertSameObjects(store.objects, expected)
  assert.deepEqual(harness.warnings, [])
  assert.ok(peak.used > limitBytes / 2 && peak.used < bound, `${peak.used} of ${bound}`)
  assert.ok(peak.kept < bound, `${peak.kept} of ${bound}`)
  await harness.stop()
})

test('large objects upload what they have as parts, whichever partition needs the memory (S74)', async (t) => {
  const load = { partitions: 3, directories: 1, recordsPerObject: 240, body: noise(recordBytes) }
  const records = recordsOf(load)
  const expected = await unlimited(load, records)
  const peak = watchBudgets(t)
  const store = new SlowStore()
  const harness = await open(load, store, { 's3.buffer.total.bytes': String(limitBytes) })
  await deliver(harness, records)
  assertSameObjects(store.objects, expected)
  assert.ok(store.calls.some((call) => call.startsWith('uploadPart')))
  assert.deepEqual(harness.warnings, [])
  assert.ok(peak.used > limitBytes / 2 && peak.used < bound, `${peak.used} of ${bound}`)
  await harness.stop()
})

test('too many small objects that cannot be packed: a partition is committed early, nothing is lost or doubled', async (t) => {
  const load = { partitions: 2, directories: 20, recordsPerObject: 12, body: noise(recordBytes) }
  const peak = watchBudgets(t)
  const store = new SlowStore()
  const harness = await open(load, store, { 's3.buffer.total.bytes': String(limitBytes), 'rotate.idle.ms': '1000' })
  const records = recordsOf(load)
  await deliver(harness, records)
  await harness.settle(5000)
  assert.ok(harness.warnings.length > 0)
  const seen = [...store.objects].flatMap(([key, body]) =>
    body
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => `${key.split('+')[1]}/${(JSON.parse(line) as { id: number }).id}`),
  )
  assert.deepEqual(seen.sort(), records.map((r) => `${r.partition}/${r.offset}`).sort())
  assert.equal(harness.offset('orders', 0), 240n)
  assert.equal(harness.offset('orders', 1), 240n)
  assert.ok(peak.used < bound, `${peak.used} of ${bound}`)
  await harness.stop()
})

test('while the server refuses, records wait and no object ends early; then all goes on', async (t) => {
  const load = { partitions: 3, directories: 1, recordsPerObject: 240, body: noise(recordBytes) }
  const records = recordsOf(load)
  const expected = await unlimited(load, records)
  const peak = watchBudgets(t)
  const store = new SlowStore()
  store.plan({ operation: 'uploadPart', times: 9 })
  const harness = await open(load, store, { 's3.buffer.total.bytes': String(limitBytes) })
  await deliver(harness, records)
  assert.equal([...harness.paused.keys()].length, 3)
  assert.equal(store.objects.size, 0)
  await harness.settle(30_000)
  assertSameObjects(store.objects, expected)
  assert.deepEqual([...harness.paused.keys()], [])
  assert.ok(harness.warnings.every((text) => text === 'write failed and will be tried again'))
  assert.ok(peak.used < limitBytes + recordBytes + 2 * blockBytes, `${peak.used}`)
  await harness.stop()
})

const rowSchema = makeSchema({
  type: 'STRUCT',
  fields: [
    { name: 'kind', schema: Schemas.string },
    { name: 'id', schema: Schemas.int32 },
    { name: 'body', schema: Schemas.string },
  ],
})

test('row groups of Parquet end early before an object does (S74)', async (t) => {
  const load = { partitions: 2, directories: 10, recordsPerObject: 40, body: rows(recordBytes) }
  const peak = watchBudgets(t)
  const store = new SlowStore()
  const harness = await open(load, store, {
    's3.buffer.total.bytes': String(limitBytes),
    'format.class': 'io.confluent.connect.s3.format.parquet.ParquetFormat',
  })
  await deliver(
    harness,
    recordsOf(load).map((record) => record.with({ valueSchema: rowSchema, value: record.value })),
  )
  assert.equal(store.objects.size, 20)
  const files = [...store.objects.values()].map((body) => parquetMetadata(new Uint8Array(body).buffer))
  assert.ok(files.every((file) => file.num_rows === 40n))
  assert.ok(files.some((file) => file.row_groups.length > 1))
  assert.deepEqual(harness.warnings, [])
  // The rows of a group and their bytes are both there while it is encoded.
  assert.ok(peak.used < limitBytes + 20 * recordBytes, `${peak.used}`)
  await harness.stop()
})

test('with gzip 200 open objects have room by default (S74)', async (t) => {
  const load = { partitions: 4, directories: 50, recordsPerObject: 6, body: rows(recordBytes) }
  const peak = watchBudgets(t)
  const store = new SlowStore()
  const harness = await open(load, store, { 's3.compression.type': 'gzip' })
  await deliver(harness, recordsOf(load))
  assert.equal(store.objects.size, 200)
  assert.deepEqual(harness.warnings, [])
  assert.ok(peak.used > 67_108_864 && peak.used < 134_217_728, `${peak.used}`)
  await harness.stop()
})
