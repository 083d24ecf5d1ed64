import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Decimal, decimalSchema, type Schema, Schemas, type Value } from '../../../worker/api/data.ts'
import { changeEvent } from './change-events.ts'
import { record, transform } from './support.ts'

const open = (fields: string, options: Readonly<Record<string, string>> = {}) =>
  transform('io.debezium.transforms.partitions.PartitionRouting', {
    'partition.payload.fields': fields,
    'partition.topic.num': '1000003',
    ...options,
  })

describe('PartitionRouting', () => {
  // Hashes as java.lang computes them.
  const hashes: readonly [Schema, Value, number][] = [
    [Schemas.string, 'abc', 96354],
    [Schemas.int32, 12345, 12345],
    [Schemas.int64, 4294967297n, 0],
    [Schemas.boolean, true, 1231],
    [Schemas.float64, 1.5, 1073217536 % 1000003],
    [decimalSchema(2), new Decimal(110n, 2), 3412],
  ]
  for (const [schema, value, hash] of hashes) {
    it(`hashes ${schema.type} as Java does`, async () => {
      const smt = await open('change.v')
      const event = changeEvent({ v: schema }, { op: 'c', after: { v: value } })
      assert.equal(smt.apply(event)?.partition, hash)
    })
  }

  // Partitions as Debezium 3.7 computes them.
  const murmurs: readonly [Schema, Value, number][] = [
    [Schemas.string, 'abc', 740361],
    [Schemas.string, 'žluťoučký kůň 😀 a \ud800', 630966],
    [Schemas.int32, 12345, 652578],
    [Schemas.int64, -1n, 500474],
    [Schemas.bytes, Buffer.from('0123456789abcdef\xff\x80', 'latin1'), 467999],
  ]
  for (const [schema, value, partition] of murmurs) {
    it(`hashes ${schema.type} ${String(value)} by murmur as Debezium does`, async () => {
      const smt = await open('change.v', { 'partition.hash.function': 'murmur' })
      const event = changeEvent({ v: schema }, { op: 'c', after: { v: value } })
      assert.equal(smt.apply(event)?.partition, partition)
    })
  }

  it('takes the old row of a delete, fields of source, and sums', async () => {
    const smt = await open('change.a,source.lsn', { 'partition.topic.num': '10' })
    const event = changeEvent({ a: Schemas.int32 }, { op: 'd', before: { a: 7 } })
    assert.equal(smt.apply(event)?.partition, 2)
  })

  it('passes records without the fields, and what is no change event', async () => {
    const smt = await open('change.none')
    for (const input of [changeEvent({ a: Schemas.int32 }, { op: 'c', after: { a: 1 } }), record({ value: 'x' })]) {
      assert.equal(smt.apply(input), input)
    }
  })
})
