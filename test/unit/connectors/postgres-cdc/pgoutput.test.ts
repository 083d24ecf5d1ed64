import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  decodeBegin,
  decodeCommit,
  decodeRelation,
  decodeRowChange,
  isAbsent,
  isNull,
  isUnchanged,
  postgresEpochUs,
  RowChange,
  skipTuple,
  TupleIndex,
} from '../../../../connectors/postgres-cdc/pgoutput.ts'
import { begin, type CellText, commit, insert, relation, remove, tuple, update } from './pgoutput-messages.ts'

const cell: fc.Arbitrary<CellText> = fc.oneof(
  fc.constant(null),
  fc.constant(undefined),
  fc.string({ unit: 'grapheme' }),
)
const row = fc.array(cell, { maxLength: 100 })

function read(bytes: Buffer, at: number): readonly CellText[] {
  const index = new TupleIndex()
  index.load(bytes, at)
  return Array.from({ length: index.columnCount }, (_, i) => {
    const start = index.start(i)
    if (start === isNull) return null
    return start === isUnchanged ? undefined : bytes.toString('utf8', start, index.end(i))
  })
}

suite('pgoutput', () => {
  test('a tuple gives back its cells, and its end', () => {
    fc.assert(
      fc.property(row, fc.nat(20), (cells, shift) => {
        const bytes = Buffer.concat([Buffer.alloc(shift), tuple(cells), Buffer.from('rest')])
        assert.deepEqual(read(bytes, shift), cells)
        assert.equal(skipTuple(bytes, shift), bytes.length - 4)
      }),
      { verbose: true },
    )
  })

  test('row changes name their tuples', () => {
    fc.assert(
      fc.property(row, row, fc.constantFrom('K' as const, 'O' as const), fc.nat(0xffff_ffff), (old, now, kind, oid) => {
        const change = new RowChange()
        const inserted = insert(oid, now)
        decodeRowChange(inserted, 0, change)
        assert.deepEqual([change.relationOid, change.oldTuple, read(inserted, change.newTuple)], [oid, -1, now])
        const updated = update(oid, { kind, row: old }, now)
        decodeRowChange(updated, 0, change)
        assert.equal(change.oldIsFull, kind === 'O')
        assert.deepEqual([read(updated, change.oldTuple), read(updated, change.newTuple)], [old, now])
        const plain = update(oid, null, now)
        decodeRowChange(plain, 0, change)
        assert.deepEqual([change.oldTuple, change.oldIsFull, read(plain, change.newTuple)], [-1, false, now])
        const removed = remove(oid, kind, old)
        decodeRowChange(removed, 0, change)
        assert.deepEqual([change.newTuple, read(removed, change.oldTuple)], [-1, old])
      }),
      { verbose: true },
    )
  })

  test('a column that the tuple does not have is absent', () => {
    const index = new TupleIndex()
    index.load(tuple(['a']), 0)
    assert.deepEqual([index.start(1), index.start(-1)], [isAbsent, isAbsent])
  })

  test('transaction ids and relation ids are unsigned', () => {
    const message = begin(2n ** 63n + 5n, 0xffff_fffe, 10n)
    assert.deepEqual(decodeBegin(message, 0), {
      finalLsn: 2n ** 63n + 5n,
      xid: 0xffff_fffe,
      commitTimeUs: postgresEpochUs + 10n,
    })
    assert.deepEqual(decodeCommit(commit(7n, 9n), 0), { commitLsn: 7n, endLsn: 9n })
  })

  test('a relation keeps names, types, modifiers and key flags; no schema means pg_catalog', () => {
    const columns = [
      { name: 'id', oid: 23, key: true },
      { name: 'č "x"', oid: 1043, typmod: 24 },
    ]
    const decoded = decodeRelation(relation(4_000_000_000, '', 't', columns), 0)
    assert.deepEqual([decoded.oid, decoded.schema, decoded.table], [4_000_000_000, 'pg_catalog', 't'])
    assert.deepEqual(decoded.columns, [
      { name: 'id', key: true, typeOid: 23, typmod: -1 },
      { name: 'č "x"', key: false, typeOid: 1043, typmod: 24 },
    ])
  })

  test('a malformed message is refused', () => {
    assert.throws(() => skipTuple(Buffer.from([0, 1, 0x78]), 0), { code: 'CONNECT_POSTGRES_PROTOCOL' })
    assert.throws(() => decodeRowChange(Buffer.from('I\0\0\0\x01X'), 0, new RowChange()), {
      code: 'CONNECT_POSTGRES_PROTOCOL',
    })
  })
})
