import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Schemas } from '../../../worker/api/data.ts'
import { changeEvent } from './change-events.ts'
import { record, shape, struct, transform } from './support.ts'

const name = 'io.debezium.transforms.HeaderToValue'
const headers = [
  { key: 'h', schema: Schemas.string, value: 'x' },
  { key: 'other', schema: Schemas.string, value: 'y' },
]

describe('HeaderToValue', () => {
  it('moves a header to the end of the value', async () => {
    const smt = await transform(name, { headers: 'h,absent', fields: 'f,g', operation: 'move' })
    const input = record({ valueSchema: struct({ id: Schemas.int32 }), value: { id: 1 }, headers })
    const out = smt.apply(input)
    assert.deepEqual(out?.value, { id: 1, f: 'x' })
    assert.deepEqual(shape(out?.valueSchema ?? null), { id: 'INT32', f: 'STRING' })
    assert.deepEqual(out?.headers, [headers[1]])
    assert.equal(smt.apply(input)?.valueSchema, out?.valueSchema)
  })

  it('copies into a nested struct and leaves a null one alone', async () => {
    const smt = await transform(name, { headers: 'h', fields: 'after.f', operation: 'copy' })
    const out = smt.apply(changeEvent({ id: Schemas.int32 }, { op: 'c', after: { id: 1 } }, { headers }))
    assert.deepEqual((out?.value as { after: unknown } | undefined)?.after, { id: 1, f: 'x' })
    assert.equal(out?.headers.length, 2)
    const removed = smt.apply(changeEvent({ id: Schemas.int32 }, { op: 'd', before: { id: 1 } }, { headers }))
    assert.equal((removed?.value as { after: unknown } | undefined)?.after, null)
  })

  it('replaces a field that is there, passes tombstones and other records, works without schemas', async () => {
    const smt = await transform(name, { headers: 'h', fields: 'id', operation: 'copy' })
    const out = smt.apply(record({ value: { id: 1, z: 2 }, headers }))
    assert.deepEqual(Object.entries(out?.value ?? {}), [
      ['id', 'x'],
      ['z', 2],
    ])
    const tombstone = record({ headers })
    assert.equal(smt.apply(tombstone), tombstone)
    const bare = record({ value: { id: 1 } })
    assert.equal(smt.apply(bare), bare)
  })

  it('refuses lists of different lengths', async () => {
    await assert.rejects(
      transform(name, { headers: 'a,b', fields: 'c', operation: 'copy' }),
      /headers and fields must have the same number/,
    )
  })
})
