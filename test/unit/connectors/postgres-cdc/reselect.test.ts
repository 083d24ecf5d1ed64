import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { copyTuple, TupleIndex } from '../../../../connectors/postgres-cdc/pgoutput.ts'
import { postProcessorProblems, reselectRules } from '../../../../connectors/postgres-cdc/reselect.ts'

const type = { 'r.type': 'io.debezium.processors.reselect.ReselectColumnsPostProcessor' }

suite('reselect post processor', () => {
  test('lists name columns as schema.table:column; without a list all are meant', () => {
    const rules = (own: Readonly<Record<string, string>>) =>
      reselectRules({ 'post.processors': 'r', ...type, ...own })[0]
    const column = 'public.doc:body'
    assert.equal(rules({})?.selects(column), true)
    assert.equal(rules({ 'r.reselect.columns.include.list': 'PUBLIC\\.doc:b.*' })?.selects(column), true)
    assert.equal(rules({ 'r.reselect.columns.include.list': 'public.doc.body2' })?.selects(column), false)
    assert.equal(rules({ 'r.reselect.columns.exclude.list': 'public.doc:body' })?.selects(column), false)
    const { unavailable, nulls, byEventKey, fails } = rules({}) ?? {}
    assert.deepEqual(
      { unavailable, nulls, byEventKey, fails },
      { unavailable: true, nulls: true, byEventKey: false, fails: false },
    )
  })

  test('options that cannot work are named', () => {
    const problems = (own: Readonly<Record<string, string>>) =>
      postProcessorProblems({ 'post.processors': 'r', ...own }).map(({ option }) => option)
    assert.deepEqual(problems({}), ['r.type'])
    assert.deepEqual(problems({ 'r.type': 'com.example.Other' }), ['r.type'])
    assert.deepEqual(problems(type), [])
    assert.deepEqual(problems({ ...type, 'r.reselect.error.handling.mode': 'retry' }), [
      'r.reselect.error.handling.mode',
    ])
    assert.deepEqual(problems({ ...type, 'r.reselect.columns.include.list': '(' }), ['r.reselect.columns.include.list'])
    const both = { 'r.reselect.columns.include.list': 'a', 'r.reselect.columns.exclude.list': 'b' }
    assert.deepEqual(problems({ ...type, ...both }), ['r.reselect.columns.exclude.list'])
  })

  test('a copied tuple has the new texts in their columns and the old ones elsewhere', () => {
    const cell = (text: string) =>
      Buffer.concat([Buffer.from([0x74, 0, 0, 0, Buffer.byteLength(text)]), Buffer.from(text)])
    const tuple = Buffer.concat([
      Buffer.from([9, 9, 0, 4]),
      cell('a'),
      Buffer.from([0x75]),
      Buffer.from([0x6e]),
      cell('žd'),
    ])
    const texts = new Map<number, string | null>([
      [1, 'žluť'],
      [2, ''],
      [3, null],
    ])
    const copy = copyTuple(tuple, 2, texts)
    const index = new TupleIndex()
    index.load(copy, 0)
    const read = (column: number) =>
      index.start(column) < 0 ? index.start(column) : copy.toString('utf8', index.start(column), index.end(column))
    assert.deepEqual([0, 1, 2, 3].map(read), ['a', 'žluť', '', -1])
    assert.deepEqual(copyTuple(tuple, 2, new Map()), tuple.subarray(2))
  })
})
