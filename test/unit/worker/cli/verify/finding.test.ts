import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agreedOn, differencesOf, findingOf, type Look } from '../../../../../worker/cli/verify/finding.ts'

const look = (what: string, rows: number, found: Readonly<Record<string, readonly string[] | bigint>>): Look => ({
  what,
  figures: { rows },
  differences: differencesOf(found),
  notes: [],
})

test('what was on its way in each look is no difference, what all looks found is', () => {
  const first = [look('files → t', 1, { 'rows are missing': ['0-7', '0-8'], 'rows are too many': ['0-100'] })]
  const second = [look('files → t', 2, { 'rows are missing': ['0-7', '0-300'], 'rows are too many': ['0-200'] })]
  assert.deepEqual(agreedOn(first, second).map(findingOf), [
    { what: 'files → t', figures: { rows: 2 }, differences: ['1 rows are missing: 0-7'], notes: [] },
  ])
  const third = [look('files → t', 3, { 'rows are missing': ['0-400'] })]
  assert.deepEqual(agreedOn(agreedOn(first, second), third)[0]?.differences, [])
})

test('numbers of things without names count when all looks found some', () => {
  const [more, none] = [look('ledger → t', 1, { 'rows more': 5n }), look('ledger → t', 1, { 'rows more': 0n })]
  assert.deepEqual(agreedOn([look('ledger → t', 1, { 'rows more': 2n })], [more]).map(findingOf)[0]?.differences, [
    '5 rows more',
  ])
  assert.deepEqual(agreedOn([none], [more])[0]?.differences, [])
  assert.deepEqual(agreedOn([more], [none])[0]?.differences, [])
  assert.deepEqual(agreedOn([look('ledger → other', 1, { 'rows more': 5n })], [more])[0]?.differences, [])
})

test('of many items some are named', () => {
  const items = Array.from({ length: 23 }, (_, i) => `0-${i}`)
  const [line] = findingOf(look('files → t', 1, { 'rows are missing': items })).differences
  assert.match(line ?? '', /^23 rows are missing: 0-0, .*, 0-19 and 3 more$/)
})
