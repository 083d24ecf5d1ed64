import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { type MetadataMessage, messageId } from '../../connectors/common/metadata-message.ts'
import { messageColumn, WarehouseTest } from '../support/redshift-sink.ts'
import { requireService, skipUnless } from '../support/services.ts'

const skip = skipUnless(requireService('redshift'), requireService('s3'))

const upsert = { 'insert.mode': 'upsert', 'pk.fields': 'id', 'delete.enabled': 'true' }

/** A change of a row: its key, and its name, or null when it is deleted. */
type Change = readonly [id: number, name: string | null]

let warehouse: WarehouseTest
let table: string

/** A file of changes, one offset each. */
function writeChanges(
  first: number,
  changes: readonly Change[],
  { partition = 0, name = `events+${partition}+${first}` }: { partition?: number; name?: string } = {},
): Promise<MetadataMessage> {
  const lines = changes.map(([id, text], i) => {
    const row = text === null ? { id, __op: 'd' } : { id, name: text, __op: 'u' }
    return `${JSON.stringify({ ...row, __partition: partition, __offset: first + i })}\n`
  })
  const last = first + Math.max(changes.length, 1) - 1
  return warehouse.write(
    Buffer.from(lines.join('')),
    { first, last, records: lines.length },
    {
      key: `topics/events/kind=${table}/${name}.json`,
      table,
      partition,
      columns: [messageColumn('id', 'int64'), messageColumn('name', 'string')],
      metaFields: ['__partition', '__offset', '__op'],
    },
  )
}

async function rows(): Promise<readonly string[]> {
  const found = await warehouse.query(`SELECT id, name FROM ${warehouse.schema}.${table} ORDER BY id, name`)
  return found.map(([id, name]) => `${id} ${name}`)
}

describe('Redshift sink, insert.mode=upsert', { skip }, () => {
  before(async () => {
    warehouse = await WarehouseTest.open()
  })

  beforeEach(() => {
    table = warehouse.tableName()
  })

  after(() => warehouse[Symbol.asyncDispose]())

  test('statements R31, R33: the newest row of a key wins, within a file and across batches; deletes remove', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(
      await writeChanges(0, [
        [1, 'a'],
        [2, 'b'],
        [1, 'c'],
        [3, 'd'],
        [3, null],
      ]),
    )
    await task.settle()
    assert.deepEqual(await rows(), ['1 c', '2 b'])
    // A delete followed by an insert leaves the row, also in one batch.
    await task.deliver(
      await writeChanges(5, [
        [2, null],
        [1, 'e'],
      ]),
      await writeChanges(7, [
        [2, 'f'],
        [4, 'g'],
      ]),
    )
    await task.settle()
    assert.deepEqual(await rows(), ['1 e', '2 f', '4 g'])
    await task.deliver(
      await writeChanges(9, [
        [1, null],
        [4, null],
        [9, null],
      ]),
    )
    await task.settle()
    assert.deepEqual(await rows(), ['2 f'])
    assert.deepEqual(task.reports, [])
  })

  test('statement R32: a file that comes after a newer one of its partition changes nothing', async () => {
    await using task = await warehouse.startTask(upsert)
    const older = await writeChanges(0, [
      [1, 'old'],
      [2, 'b'],
    ])
    await task.deliver(await writeChanges(2, [[1, 'new']]))
    await task.settle()
    await task.deliver(older)
    await task.settle()
    assert.deepEqual(await rows(), ['1 new', '2 b'])
  })

  test('without the fence the file that is loaded last wins', async () => {
    await using task = await warehouse.startTask({ ...upsert, 'upsert.fence': 'false' })
    const older = await writeChanges(0, [[1, 'old']])
    await task.deliver(await writeChanges(1, [[1, 'new']]))
    await task.settle()
    await task.deliver(older)
    await task.settle()
    assert.deepEqual(await rows(), ['1 old'])
  })

  test('statement R34: a key that the table has twice becomes one row', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(await writeChanges(0, [[1, 'a']]))
    await task.settle()
    await warehouse.run(`INSERT INTO ${warehouse.schema}.${table} (id, name) VALUES (1, 'by hand')`)
    await task.deliver(await writeChanges(1, [[1, 'b']]))
    await task.settle()
    assert.deepEqual(await rows(), ['1 b'])
  })

  test('statement R32: a second topic needs its name in the rows, or no fence', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(await writeChanges(100, [[1, 'old topic']]))
    await task.settle()
    // Offset 0 of the new topic is no older version of the row.
    const message = await writeChanges(0, [[1, 'new topic']])
    const source = { ...message.source, topic: 'events.v2' }
    const change = { ...message, source, id: messageId(message.files, source, message.role) }
    await using next = await warehouse.startTask(upsert)
    await next.deliver(change)
    const refusal = { code: 'CONNECT_REDSHIFT_UPSERT_COLUMNS', message: /events, events\.v2.*__topic/ }
    await assert.rejects(next.settle(), refusal)
    assert.deepEqual(await rows(), ['1 old topic'])
    await using unfenced = await warehouse.startTask({ ...upsert, 'upsert.fence': 'false' })
    await unfenced.deliver(change)
    await unfenced.settle()
    assert.deepEqual(await rows(), ['1 new topic'])
  })

  test('a change of another source partition replaces the row', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(await writeChanges(100, [[1, 'a']]))
    await task.settle()
    await task.deliver(await writeChanges(0, [[1, 'b']], { partition: 1 }))
    await task.settle()
    assert.deepEqual(await rows(), ['1 b'])
  })

  test('delete.enabled=false passes deletes over', async () => {
    await using task = await warehouse.startTask({ ...upsert, 'delete.enabled': 'false' })
    await task.deliver(
      await writeChanges(0, [
        [1, 'a'],
        [1, null],
        [2, null],
      ]),
    )
    await task.settle()
    assert.deepEqual(await rows(), ['1 a'])
  })

  test('a message of deletes removes every key of its files', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(
      await writeChanges(0, [
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ]),
    )
    await task.settle()
    const deletes = await writeChanges(3, [
      [1, 'x'],
      [3, 'x'],
    ])
    await task.deliver({ ...deletes, role: 'tombstone', op: 'delete' })
    await task.settle()
    assert.deepEqual(await rows(), ['2 b'])
  })

  test('another cut of the same changes does not bring a deleted row back', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(
      await writeChanges(0, [
        [1, 'a'],
        [2, 'b'],
        [1, null],
      ]),
    )
    await task.settle()
    await task.deliver(
      await writeChanges(
        0,
        [
          [1, 'a'],
          [2, 'b'],
          [1, null],
          [3, 'c'],
        ],
        { name: 'events+0+0-again' },
      ),
    )
    await task.settle()
    assert.deepEqual(await rows(), ['2 b', '3 c'])
  })

  test('statement R35: a wrong count rolls the upsert back and is reported', async () => {
    await using task = await warehouse.startTask(upsert)
    await task.deliver(await writeChanges(0, [[1, 'a']]))
    await task.settle()
    const wrong = await writeChanges(1, [
      [1, 'b'],
      [2, 'c'],
    ])
    await task.deliver({ ...wrong, files: wrong.files.map((file) => ({ ...file, recordCount: 3 })) })
    await task.settle()
    assert.deepEqual(await rows(), ['1 a'])
    assert.deepEqual(task.reported, [1n])
  })

  test('a table without the columns of the fence stops the task with the remedy', async () => {
    await warehouse.run(`CREATE TABLE ${warehouse.schema}.${table} (id BIGINT, name VARCHAR(100))`)
    await using task = await warehouse.startTask({ ...upsert, 'auto.create': 'false' })
    await task.deliver(await writeChanges(0, [[1, 'a']]))
    await assert.rejects(task.settle(), { code: 'CONNECT_REDSHIFT_UPSERT_COLUMNS', message: /__partition, __offset/ })
    await using unfenced = await warehouse.startTask({ ...upsert, 'auto.create': 'false', 'upsert.fence': 'false' })
    await unfenced.deliver(
      await writeChanges(0, [
        [1, 'a'],
        [1, 'b'],
      ]),
    )
    await unfenced.settle()
    assert.deepEqual(await rows(), ['1 b'])
  })

  for (const kind of ['abort-though-committed', 'fail-commit', 'serializable-violation']) {
    test(`${kind}: the table is the fold of the changes`, async () => {
      await using task = await warehouse.startTask(upsert)
      await task.deliver(
        await writeChanges(0, [
          [1, 'a'],
          [2, 'b'],
        ]),
      )
      await task.settle()
      await warehouse.arm({ kind, sqlContains: 'COPY' })
      await task.deliver(
        await writeChanges(2, [
          [1, null],
          [2, 'c'],
          [3, 'd'],
        ]),
      )
      await task.settle()
      assert.deepEqual(await rows(), ['2 c', '3 d'])
    })
  }
})
