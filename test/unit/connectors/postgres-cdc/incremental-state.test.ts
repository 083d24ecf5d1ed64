/** What an offset says of an incremental snapshot that is to go on. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { offsetMembers, stateOf } from '../../../../connectors/postgres-cdc/incremental-state.ts'
import { writeKey } from '../../../../connectors/postgres-cdc/java-serialization.ts'

const collections = [{ id: 'public.t', condition: '', surrogateKey: '', correlationId: 's' }]
const five = writeKey([{ type: 'int', value: 5 }])

suite('stored state of incremental snapshots', () => {
  test('rows that were counted when the table began are not counted again', () => {
    const offset = {
      ...offsetMembers(collections, null, 's'),
      incremental_snapshot_primary_key: five,
      incremental_snapshot_maximum_key: five,
    }
    assert.deepEqual(stateOf({ ...offset, incremental_snapshot_total_rows: '13' }), {
      collections,
      correlationId: 's',
      last: ['5'],
      maximum: ['5'],
      totalRows: 13,
    })
    assert.equal(stateOf(offset)?.totalRows, null)
    // Without its maximum key, the table starts over.
    const { incremental_snapshot_maximum_key: _key, ...unknown } = offset
    const started = stateOf({ ...unknown, incremental_snapshot_total_rows: '13' })
    assert.deepEqual([started?.totalRows, started?.last], [null, null])
  })
})
