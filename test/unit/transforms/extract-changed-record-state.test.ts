import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Schemas, type Value } from '../../../worker/api/data.ts'
import { lastHeader, SourceRecord } from '../../../worker/api/record.ts'
import { changeEvent } from './change-events.ts'
import { record, transform } from './support.ts'

const columns = { id: Schemas.int32, a: Schemas.optionalString, b: Schemas.optionalInt64 }
const open = () =>
  transform('io.debezium.transforms.ExtractChangedRecordState', {
    'header.changed.name': 'C',
    'header.unchanged.name': 'U',
  })

describe('ExtractChangedRecordState', () => {
  const cases: readonly { event: Parameters<typeof changeEvent>[1]; changed: Value; unchanged: Value }[] = [
    {
      event: { op: 'u', before: { id: 1, a: 'x', b: 1n }, after: { id: 1, a: 'y', b: 1n } },
      changed: ['a'],
      unchanged: ['id', 'b'],
    },
    { event: { op: 'u', after: { id: 1, a: 'y', b: 1n } }, changed: [], unchanged: [] },
    { event: { op: 'c', after: { id: 1, a: 'y', b: 1n } }, changed: [], unchanged: [] },
    { event: { op: 'd', before: { id: 1, a: 'y', b: 1n } }, changed: [], unchanged: [] },
  ]
  for (const { event, changed, unchanged } of cases) {
    it(`lists columns of ${event.op} ${event.before === undefined ? 'without' : 'with'} the old row`, async () => {
      const out = (await open()).apply(changeEvent(columns, event))
      assert.deepEqual(lastHeader(out?.headers ?? [], 'C')?.value, changed)
      assert.deepEqual(lastHeader(out?.headers ?? [], 'U')?.value, unchanged)
    })
  }

  it('gives tombstones of a source the empty lists of their delete, and passes what is no event', async () => {
    const smt = await open()
    const source = new SourceRecord({ sourcePartition: {}, sourceOffset: {}, topic: 't', key: 'k' })
    assert.deepEqual(lastHeader(smt.apply(source)?.headers ?? [], 'C')?.value, [])
    const tombstone = record()
    assert.equal(smt.apply(tombstone), tombstone)
    const other = record({ valueSchema: Schemas.string, value: 'x' })
    assert.equal(smt.apply(other), other)
  })
})
