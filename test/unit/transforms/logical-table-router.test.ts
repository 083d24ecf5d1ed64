import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Schemas } from '../../../worker/api/data.ts'
import { changeEvent } from './change-events.ts'
import { record, struct, transform } from './support.ts'

const old = 'io.debezium.transforms.ByLogicalTableRouter'
const route = { 'topic.regex': '(.*)shard_(\\d)', 'topic.replacement': '$1all' }
const insert = () => changeEvent({ id: Schemas.int32 }, { op: 'c', after: { id: 1 } }, { topic: 'shop.public.shard_2' })

describe('ByLogicalTableRouter', () => {
  it('renames topic and schemas and adds the physical table to the key', async () => {
    const smt = await transform(old, route)
    const out = smt.apply(insert())
    assert.equal(out?.topic, 'shop.public.all')
    assert.deepEqual(out?.key, { id: 1, __dbz__physicalTableIdentifier: 'shop.public.shard_2' })
    assert.equal(out?.keySchema?.name, 'shop.public.all.Key')
    assert.equal(out?.valueSchema?.name, 'shop.public.all.Envelope')
    assert.equal(out?.valueSchema?.fieldsByName.get('after')?.schema.name, 'shop.public.all.Value')
    assert.equal(out?.valueSchema?.fieldsByName.get('source')?.schema.name, 'Source')
  })

  it('derives the key field by its own expression, under the name of the newer transform too', async () => {
    const smt = await transform('io.debezium.transforms.ToLogicalTopicRouter', {
      ...route,
      'key.field.regex': '.*shard_(\\d)',
      'key.field.replacement': 's$1',
    })
    assert.deepEqual(smt.apply(insert())?.key, { id: 1, __dbz__sourceIdentifier: 's2' })
  })

  it('leaves keys alone without uniqueness, tombstones without value, other topics as they are', async () => {
    const smt = await transform(old, { ...route, 'key.enforce.uniqueness': 'false' })
    assert.deepEqual(smt.apply(insert())?.key, { id: 1 })
    const key = { keySchema: struct({ id: Schemas.int32 }), key: { id: 1 } }
    const tombstone = smt.apply(record({ topic: 'p.shard_1', ...key }))
    assert.equal(tombstone?.topic, 'p.all')
    assert.equal(tombstone?.value, null)
    const other = record({ topic: 'elsewhere', ...key })
    assert.equal(smt.apply(other), other)
    assert.equal(smt.apply(record({ topic: 'p.shard_1' }))?.key, null)
  })

  it('refuses one half of the key expression, and an empty one', async () => {
    await assert.rejects(transform(old, { ...route, 'topic.regex': '' }), /topic\.regex: .*non-empty/)
    await assert.rejects(transform(old, { ...route, 'key.field.regex': 'x' }), /key.field.replacement/)
  })

  it('refuses keys that cannot be told apart, and a key field that is there already', async () => {
    const smt = await transform(old, route)
    const text = record({ topic: 'p.shard_1', keySchema: Schemas.string, key: 'k' })
    assert.throws(
      () => smt.apply(text),
      /Only Struct objects supported for \[Updating schema\], found: java.lang.String/,
    )
    const taken = await transform(old, { ...route, 'key.field.name': 'id' })
    assert.throws(() => taken.apply(insert()), /duplication id/)
  })
})
