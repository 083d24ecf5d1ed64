import assert from 'node:assert/strict'
import { test } from 'node:test'
import { misspeltOptions } from '../../../../worker/config/misspelt-options.ts'

const known = [
  'name',
  'topics',
  'table.include.list',
  'table.exclude.list',
  'snapshot.mode',
  'tasks.max',
  'topic.prefix',
]

test('a name that is nearly a known one is told with it', () => {
  const cases = [
    ['table.inclde.list', 'table.include.list'],
    ['table.include.lists', 'table.include.list'],
    ['talbe.include.list', 'table.include.list'],
    ['table_include_list', 'table.include.list'],
    ['snapshot.mdoe', 'snapshot.mode'],
    ['task.max', 'tasks.max'],
  ] as const
  for (const [option, meant] of cases) assert.deepEqual(misspeltOptions([option], known), [{ option, meant }])
})

test('known names, short ones, and those far from all are left alone', () => {
  const given = [...known, 'nam', 'topic', 'column.truncate.to.10.chars', 'transforms', 'table.include.schema.list']
  assert.deepEqual(misspeltOptions(given, known), [])
})

test('of two near ones the nearer', () => {
  const meant = 'table.exclude.list'
  assert.deepEqual(misspeltOptions(['table.exlude.list'], known), [{ option: 'table.exlude.list', meant }])
})
