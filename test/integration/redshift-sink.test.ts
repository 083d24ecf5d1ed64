import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import type { MetadataMessage } from '../../connectors/common/metadata-message.ts'
import type { TopicRecord } from '../../worker/api/context.ts'
import { SinkRecord } from '../../worker/api/record.ts'
import { TopicPartitionMap } from '../../worker/api/topic-partition.ts'
import { ManualClock, SinkHarness } from '../conformance/s3/sink-harness.ts'
import { seededRandom } from '../support/random.ts'
import { messageColumn, WarehouseTest } from '../support/redshift-sink.ts'
import { testSeed } from '../support/seed.ts'
import { requireService, skipUnless } from '../support/services.ts'

const skip = skipUnless(requireService('redshift'), requireService('s3'))

let warehouse: WarehouseTest
let table: string

const loadedIds = () => warehouse.ids(table)

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

/** Writes the file of an offset range and answers with its message. */
function writeFile(
  first: number,
  last: number,
  options: { name?: string; broken?: boolean } = {},
): Promise<MetadataMessage> {
  const lines = range(first, last).map((offset) => {
    const value = options.broken === true ? '"no number"' : offset
    return `{"id":${value},"Name":"it's \\\\ ${offset}","extra":{"a":[1]},"__partition":0,"__offset":${offset}}\n`
  })
  return warehouse.write(
    Buffer.from(lines.join('')),
    { first, last, records: lines.length },
    {
      key: `topics/events/kind=${table}/${options.name ?? `events+0+${first}`}.json.gz`,
      table,
      compression: 'gzip',
      columns: [messageColumn('id', 'int64'), messageColumn('Name', 'string'), messageColumn('extra', 'struct')],
      metaFields: ['__partition', '__offset'],
    },
  )
}

describe('Redshift sink', { skip }, () => {
  before(async () => {
    warehouse = await WarehouseTest.open()
  })

  beforeEach(() => {
    table = warehouse.tableName()
  })

  after(() => warehouse[Symbol.asyncDispose]())

  test('statements R14, R45: creates table and ledger, loads files together, text and structures intact', async () => {
    await using task = await warehouse.startTask()
    await task.deliver(await writeFile(0, 4), await writeFile(5, 9))
    await task.settle()
    assert.deepEqual(await loadedIds(), range(0, 9))
    const [row] = await warehouse.query(`SELECT name, extra, __offset FROM ${warehouse.schema}.${table} WHERE id = 3`)
    assert.equal(row?.[0], "it's \\ 3")
    assert.deepEqual(JSON.parse(String(row?.[1])), { a: [1] })
    assert.equal(await task.committable(), 2n)
  })

  test('statements R20, R21: repeated and reordered messages, and a restart from offset 0, load each row once', async () => {
    const files = [await writeFile(0, 4), await writeFile(5, 9), await writeFile(10, 14)] as const
    await using task = await warehouse.startTask()
    await task.deliver(files[2], files[0], files[0], files[1], files[2])
    await task.settle()
    await task.deliver(...files)
    await task.settle()
    await using restarted = await warehouse.startTask()
    await restarted.deliver(...files)
    await restarted.settle()
    assert.deepEqual(await loadedIds(), range(0, 14))
    assert.deepEqual(task.reported, [])
  })

  test('statement R48: another cut of the same records loads only the rows that are missing', async () => {
    await using task = await warehouse.startTask()
    await task.deliver(await writeFile(0, 30))
    await task.settle()
    // After a crash the wall clock cuts elsewhere: the same name with more, or the next free name.
    await task.deliver(
      await writeFile(0, 50),
      await writeFile(20, 60, { name: 'events+0+21' }),
      await writeFile(61, 62),
    )
    await task.settle()
    assert.deepEqual(await loadedIds(), range(0, 62))
  })

  test('statement R48: overlap.policy=fail stops the task and names both ranges', async () => {
    await using task = await warehouse.startTask({ 'overlap.policy': 'fail' })
    await task.deliver(await writeFile(0, 30))
    await task.settle()
    await task.deliver(await writeFile(20, 40))
    await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_OVERLAP', message: /20-40.*0-30/ })
    assert.deepEqual(await loadedIds(), range(0, 30))
  })

  // Statements R23, R25, R40, R41, R42: a lost answer, a wrong ABORTED, throttling, too many statements, serialisation.
  for (const fault of [
    { kind: 'drop-response', operation: 'BatchExecuteStatement' },
    { kind: 'abort-though-committed', sqlContains: 'COPY' },
    { kind: 'fail-commit', sqlContains: 'COPY' },
    { kind: 'serializable-violation', sqlContains: 'COPY' },
    { kind: 'throttle', operation: 'DescribeStatement', count: 3 },
    { kind: 'active-statements', operation: 'BatchExecuteStatement', count: 2 },
    { kind: 'internal-error', operation: 'BatchExecuteStatement', count: 2 },
  ]) {
    test(`${fault.kind}: every row once`, async () => {
      await using task = await warehouse.startTask()
      await task.deliver(await writeFile(0, 9))
      await task.settle()
      await warehouse.arm(fault)
      await task.deliver(await writeFile(10, 19), await writeFile(20, 29))
      await task.settle()
      assert.deepEqual(await loadedIds(), range(0, 29))
      assert.deepEqual(task.reported, [])
    })
  }

  test('statement R22: two loaders with the same messages at the same time load each row once', async () => {
    const files = await Promise.all([writeFile(0, 9), writeFile(10, 19), writeFile(20, 29)])
    await using one = await warehouse.startTask()
    await using two = await warehouse.startTask()
    await Promise.all([one.deliver(...files), two.deliver(...files)])
    await Promise.all([one.settle(), two.settle()])
    assert.deepEqual(await loadedIds(), range(0, 29))
  })

  test('statements R27, R37: one bad file among many is reported, the others are loaded', async () => {
    await using task = await warehouse.startTask()
    const files = await Promise.all([
      writeFile(0, 9),
      writeFile(10, 19),
      writeFile(20, 29, { broken: true }),
      writeFile(30, 39),
    ])
    await task.deliver(...files)
    await task.settle()
    assert.deepEqual(await loadedIds(), [...range(0, 19), ...range(30, 39)])
    assert.deepEqual(task.reported, [2n])
  })

  test('statements R35, R38: a wrong count rolls back and is reported; a missing file by its policy', async () => {
    await using task = await warehouse.startTask({ 'behavior.on.missing.file': 'dlq' })
    const wrong = await writeFile(0, 4)
    const counted = { ...wrong, files: wrong.files.map((file) => ({ ...file, recordCount: 6 })) }
    const gone = await writeFile(5, 9)
    for (const file of gone.files) await warehouse.store.remove(file)
    await task.deliver(counted, gone, await writeFile(10, 14))
    await task.settle()
    assert.deepEqual(await loadedIds(), range(10, 14))
    assert.deepEqual(task.reported.toSorted(), [0n, 1n])
  })

  test('S3 sink and Redshift sink with crashes and cuts of the clock: the table is the set of events', async () => {
    const random = seededRandom(testSeed)
    const clock = new ManualClock()
    const committed = new TopicPartitionMap<bigint>()
    const sent: TopicRecord[] = []
    const log = range(0, 299).map(
      (offset) =>
        new SinkRecord({ topic: 'events', partition: 0, offset: BigInt(offset), value: { kind: table, id: offset } }),
    )
    const s3Config = {
      topics: 'events',
      's3.bucket.name': warehouse.bucket,
      'topics.dir': `chaos-${table}`,
      's3.compression.type': 'gzip',
      'partitioner.class': 'io.confluent.connect.storage.partitioner.FieldPartitioner',
      'partition.field.name': 'kind',
      'flush.size': '40',
      'rotate.schedule.interval.ms': '7000',
      timezone: 'UTC',
      'format.output.meta.fields': 'partition,offset',
      'notify.topic': 'files',
    }
    let produced = 0
    for (let life = 0; produced < log.length || life < 12; life++) {
      const sink = await SinkHarness.start({ store: warehouse.store, clock, committed, sent, config: s3Config })
      await sink.assign({ topic: 'events', partition: 0 })
      sink.append(log.slice(0, produced))
      for (let round = 0; round < 3; round++) {
        const more = log.slice(produced, produced + random.integer(1, 20))
        produced += more.length
        sink.append(more)
        clock.advance(random.integer(0, 9000))
        await sink.poll()
        if (random.integer(0, 2) === 0) await sink.commit()
      }
      // Without a last commit: what is visible or announced by now comes again, cut elsewhere.
    }
    const last = await SinkHarness.start({ store: warehouse.store, clock, committed, sent, config: s3Config })
    await last.assign({ topic: 'events', partition: 0 })
    last.append(log)
    await last.settle(20_000)
    assert.equal(last.offset('events'), 300n)
    const messages = last.messages
    assert.ok(
      messages.length > new Set(messages.map((m) => m.source.firstOffset)).size,
      `no overlap (seed ${random.seed})`,
    )
    for (let at = 0; at < messages.length; ) {
      // A loader that dies after any batch; the next one reads some messages again.
      await using task = await warehouse.startTask()
      const take = random.integer(1, 12)
      await task.deliver(...messages.slice(Math.max(0, at - random.integer(0, 3)), at + take))
      if (random.integer(0, 2) > 0 || at + take >= messages.length) {
        await task.settle()
        at += take
      }
    }
    assert.deepEqual(await loadedIds(), range(0, 299), `seed ${random.seed}`)
  })
})
