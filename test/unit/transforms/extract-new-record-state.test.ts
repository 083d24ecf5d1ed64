import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { makeSchema, type Schema, Schemas, type Struct, StructView, type Value } from '../../../worker/api/data.ts'
import { type Headers, noHeaders, type SinkRecord, SourceRecord } from '../../../worker/api/record.ts'
import { record, shape, struct, transform } from './support.ts'

const row = struct(
  { id: Schemas.int32, name: makeSchema({ type: 'STRING', optional: true, defaultValue: 'none' }) },
  { name: 'db.t.Value', optional: true },
)
const source = struct({ table: Schemas.string, lsn: Schemas.optionalInt64 }, { name: 'Source' })
const transaction = struct({ id: Schemas.string, total_order: Schemas.int64 }, { name: 'event.block', optional: true })
const envelope = struct(
  { before: row, after: row, source, op: Schemas.string, ts_ms: Schemas.optionalInt64, transaction },
  { name: 'db.t.Envelope' },
)

function event(op: string, before: Value, after: Value, headers: SinkRecord['headers'] = []): SinkRecord {
  const value = { before, after, source: { table: 't', lsn: 5n }, op, ts_ms: 9n, transaction: null }
  return record({ keySchema: Schemas.string, key: 'k', valueSchema: envelope, value, headers })
}
const update = event('u', { id: 1, name: 'old' }, { id: 1, name: 'new' })
const removal = event('d', { id: 1, name: 'old' }, null)
const tombstone = record({ keySchema: Schemas.string, key: 'k' })
const unwrap = (options: Readonly<Record<string, string>> = {}) =>
  transform('io.debezium.transforms.ExtractNewRecordState', options)

describe('ExtractNewRecordState', () => {
  const kept = { value: null, schema: row }
  const rewritten = { value: { id: 1, name: 'old', __deleted: 'true' } }
  const modes: Readonly<Record<string, { del: { value: Value; schema?: Schema | null } | null; tombstone: boolean }>> =
    {
      drop: { del: null, tombstone: false },
      tombstone: { del: kept, tombstone: false },
      rewrite: { del: rewritten, tombstone: false },
      'rewrite-with-tombstone': { del: rewritten, tombstone: true },
      'delete-to-tombstone': { del: { value: null, schema: null }, tombstone: false },
    }
  for (const [mode, expected] of Object.entries(modes)) {
    it(`handles deletes and tombstones in mode ${mode}`, async () => {
      const smt = await unwrap({ 'delete.tombstone.handling.mode': mode })
      const deleted = smt.apply(removal)
      if (expected.del === null) assert.equal(deleted, null)
      else {
        assert.deepEqual(deleted?.value, expected.del.value)
        if (expected.del.schema !== undefined) assert.equal(deleted?.valueSchema, expected.del.schema)
      }
      assert.equal(smt.apply(tombstone) !== null, expected.tombstone)
      const rewrite = mode.startsWith('rewrite')
      assert.deepEqual(smt.apply(update)?.value, { id: 1, name: 'new', ...(rewrite && { __deleted: 'false' }) })
      assert.equal(smt.apply(event('t', null, null)), null)
    })
  }

  it('gives a required schema under the name of the row, one per input schema', async () => {
    const smt = await unwrap()
    const first = smt.apply(update)
    assert.equal(first?.valueSchema?.name, 'db.t.Value')
    assert.equal(first?.valueSchema?.optional, false)
    assert.equal(first?.valueSchema, smt.apply(event('c', null, { id: 2, name: null }))?.valueSchema)
  })

  it('reads nulls as defaults in the rewrite modes only, and there unless told not to', async () => {
    const created = event('c', null, { id: 2, name: null })
    const rewrite = { 'delete.tombstone.handling.mode': 'rewrite' }
    const name = async (options: Record<string, string>): Promise<unknown> =>
      ((await unwrap(options)).apply(created)?.value as { name: unknown } | undefined)?.name
    assert.equal(await name({}), null)
    assert.equal(await name(rewrite), 'none')
    assert.equal(await name({ ...rewrite, 'replace.null.with.default': 'false' }), null)
  })

  it('adds metadata as fields and headers', async () => {
    const smt = await unwrap({
      'add.fields': 'op,source.table,table,lsn:pos,transaction.total_order',
      'add.headers': 'op,ts_ms',
      'add.headers.prefix': 'h.',
    })
    const out = smt.apply(update)
    assert.deepEqual(out?.value, {
      id: 1,
      name: 'new',
      __op: 'u',
      __source_table: 't',
      __table: 't',
      __pos: 5n,
      __transaction_total_order: null,
    })
    assert.deepEqual(shape(out?.valueSchema ?? null), {
      id: 'INT32',
      name: 'STRING?',
      __op: 'STRING?',
      __source_table: 'STRING?',
      __table: 'STRING?',
      __pos: 'INT64?',
      __transaction_total_order: 'INT64?',
    })
    assert.deepEqual(
      out?.headers.map((h) => [h.key, h.value]),
      [
        ['h.op', 'u'],
        ['h.ts_ms', 9n],
      ],
    )
    const unknown = await unwrap({ 'add.fields': 'nothing', 'add.headers': 'source.nothing' })
    assert.deepEqual(unknown.apply(update)?.value, { id: 1, name: 'new' })
    assert.deepEqual(unknown.apply(update)?.headers, [])
    // A part that no event has is a mistake in the name, as Debezium takes it; the data would silently be missing (I6).
    for (const name of ['transaction.nothing', 'sourec.lsn']) {
      for (const option of ['add.fields', 'add.headers']) {
        const missing = await unwrap({ [option]: name })
        assert.throws(() => missing.apply(update), new RegExp(`Unexpected field name: ${name}`))
      }
    }
  })

  it('marks emitted tombstones with the operation', async () => {
    const smt = await unwrap({ 'delete.tombstone.handling.mode': 'rewrite-with-tombstone', 'add.headers': 'op' })
    assert.deepEqual(
      smt.apply(tombstone)?.headers.map((h) => [h.key, h.value]),
      [['__op', 'd']],
    )
    const direct = await unwrap({ 'delete.tombstone.handling.mode': 'delete-to-tombstone', 'add.headers': 'op' })
    assert.deepEqual(
      direct.apply(removal)?.headers.map((h) => [h.key, h.value]),
      [['__op', 'd']],
    )
  })

  it('extends a tombstone that shares its headers with the deletion by what that got', async () => {
    const options = { 'delete.tombstone.handling.mode': 'rewrite-with-tombstone', 'add.headers': 'table,op' }
    const smt = await unwrap(options)
    const names = (out: { readonly headers: Headers } | null) => out?.headers.map(({ key }) => key)
    const own = { key: 'own', schema: Schemas.string, value: 'o' }
    for (const headers of [[], [own]] satisfies Headers[]) {
      const before = headers.map(({ key }) => key)
      assert.deepEqual(names(smt.apply(event('d', { id: 1, name: 'old' }, null, headers))), [
        ...before,
        '__table',
        '__op',
      ])
      const shared = record({ keySchema: Schemas.string, key: 'k', headers })
      assert.deepEqual(names(smt.apply(shared)), [...before, '__table', '__op', '__op'])
      // Once, and where the headers are the deletion's: not of a tombstone of its own, nor where a record has none.
      assert.deepEqual(names(smt.apply(shared)), [...before, '__op'])
      smt.apply(event('d', { id: 1, name: 'old' }, null, headers))
      assert.deepEqual(names(smt.apply(shared.with({ headers: [...headers] }))), [...before, '__op'])
      assert.deepEqual(headers.length, before.length)
    }
    smt.apply(event('d', { id: 1, name: 'old' }, null, noHeaders))
    assert.deepEqual(names(smt.apply(record({ keySchema: Schemas.string, key: 'k', headers: noHeaders }))), ['__op'])
    const without = await unwrap({ ...options, 'add.headers': 'table' })
    const headers: Headers = [own]
    without.apply(event('d', { id: 1, name: 'old' }, null, headers))
    assert.deepEqual(names(without.apply(record({ keySchema: Schemas.string, key: 'k', headers }))), ['own', '__table'])
  })

  it('routes by a field of the row that counts', async () => {
    const smt = await unwrap({ 'route.by.field': 'name', 'delete.tombstone.handling.mode': 'rewrite' })
    assert.equal(smt.apply(update)?.topic, 'new')
    assert.equal(smt.apply(removal)?.topic, 'old')
    assert.equal(smt.apply(event('c', null, { id: 2, name: '' }))?.topic, update.topic)
    const number = await unwrap({ 'route.by.field': 'id' })
    assert.throws(() => number.apply(update), /holds no topic name: id/)
  })

  it('drops the fields that a header lists', async () => {
    const headers = [{ key: 'drop', schema: null, value: ['id', 'name'] }]
    const keep = await unwrap({ 'drop.fields.header.name': 'drop' })
    const one = keep.apply(event('u', null, { id: 1, name: 'n' }, headers))
    assert.deepEqual(one?.value, { id: 1 })
    assert.equal(one?.valueSchema, keep.apply(event('u', null, { id: 2, name: 'n' }, headers))?.valueSchema)
    const all = await unwrap({ 'drop.fields.header.name': 'drop', 'drop.fields.keep.schema.compatible': 'false' })
    assert.deepEqual(all.apply(event('u', null, { id: 1, name: 'n' }, headers))?.value, {})
  })

  it('passes what is no change event', async () => {
    const smt = await unwrap()
    for (const other of [
      record({
        valueSchema: struct({ ts_ms: Schemas.int64 }, { name: 'io.debezium.connector.common.Heartbeat' }),
        value: { ts_ms: 1n },
      }),
      record({ value: { op: 'u' } }),
      record({ valueSchema: Schemas.string, value: 'x' }),
    ]) {
      assert.equal(smt.apply(other), other)
    }
  })
})

describe('MaybeTombstone', () => {
  const maybe = (options: Readonly<Record<string, string>>) => transform('sluice.transforms.MaybeTombstone', options)
  const closed = record({ key: 'k', value: { closed_at: 5, state: { name: 'finished' } } })
  const open = record({ key: 'k', value: { closed_at: null, state: { name: 'open' } } })

  it('nulls the value and keeps the rest', async () => {
    const smt = await maybe({ field: 'closed_at' })
    const out = smt.apply(closed)
    assert.deepEqual([out?.value, out?.valueSchema, out?.key, out?.offset], [null, null, 'k', closed.offset])
    assert.equal(smt.apply(open), open)
    assert.equal(smt.apply(tombstone), tombstone)
  })

  it('knows equals, matches and null, in nested fields and structs', async () => {
    assert.equal(
      (await maybe({ field: 'state.name', condition: 'equals', operand: 'finished' })).apply(closed)?.value,
      null,
    )
    assert.equal(
      (await maybe({ field: 'state.name', condition: 'matches', operand: 'fin.*' })).apply(closed)?.value,
      null,
    )
    assert.equal((await maybe({ field: 'state.name', condition: 'matches', operand: 'fin' })).apply(closed), closed)
    assert.equal((await maybe({ field: 'closed_at', condition: 'null' })).apply(open)?.value, null)
    const typed = record({ valueSchema: row, value: { id: 1, name: null } })
    assert.equal((await maybe({ field: 'id', condition: 'equals', operand: '1' })).apply(typed)?.value, null)
    assert.equal((await maybe({ field: 'name' })).apply(typed), typed, 'a default is no value')
    await assert.rejects(() => maybe({ field: 'a', condition: 'equals' }), /needs an operand/)
  })

  it('makes of a view what it makes of the struct, and asks a view only for what it needs', async () => {
    for (const options of [{}, { 'add.fields': 'op,table', 'delete.tombstone.handling.mode': 'rewrite' }]) {
      const smt = await unwrap(options as Record<string, string>)
      for (const event of [update, removal]) {
        const view = new CountingView(event.valueSchema as Schema, event.value as Struct)
        const source = new SourceRecord({
          sourcePartition: {},
          sourceOffset: {},
          topic: event.topic,
          valueSchema: event.valueSchema,
          value: view,
        })
        const [seen, expected] = [smt.apply(source), smt.apply(event)]
        assert.deepEqual(seen?.value, expected?.value)
        assert.equal(seen?.valueSchema, expected?.valueSchema)
        assert.equal(view.materialized, 'add.fields' in options ? 1 : 0)
      }
    }
  })
})

/** Gives rows and operation by themselves, as the Postgres source's do. */
class CountingView extends StructView {
  readonly schema: Schema
  materialized = 0
  readonly #struct: Struct

  constructor(schema: Schema, struct: Struct) {
    super()
    this.schema = schema
    this.#struct = struct
  }

  writeTo(): void {
    assert.fail('a transform does not write')
  }

  materialize(): Struct {
    this.materialized++
    return this.#struct
  }

  override member(name: string): Value | undefined {
    return ['before', 'after', 'op'].includes(name) ? (this.#struct[name] ?? null) : undefined
  }
}
