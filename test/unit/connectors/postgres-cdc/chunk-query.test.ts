import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chunkSql, countSql, maximumKeySql } from '../../../../connectors/postgres-cdc/chunk-query.ts'

const table = { schema: 's', table: 't"x', columns: ['a', 'b'], condition: '' }
const single = { ...table, key: [{ name: 'a', nullable: false, literalType: null }] }
const composite = { ...table, key: [...single.key, { name: 'b', nullable: false, literalType: null }] }
const nullable = { ...table, key: [...single.key, { name: 'b', nullable: true, literalType: null }] }

describe('chunk queries (statements 122, 126)', () => {
  it('begins without a lower bound and ends at the maximum', () => {
    assert.equal(
      chunkSql(single, { lower: null, upper: ['9'] }, 10),
      `SELECT "a", "b" FROM "s"."t""x" WHERE (NOT ("a" > '9')) ORDER BY "a" LIMIT 10`,
    )
  })

  it('compares composite keys as rows and keeps the condition apart', () => {
    const sql = chunkSql({ ...composite, condition: 'a = 1 OR b = 2' }, { lower: ['1', "o'x"], upper: ['2', 'z'] }, 5)
    assert.match(sql, /WHERE \(ROW\("a", "b"\) > ROW\('1', 'o''x'\)\) AND \(NOT \(.*\)\) AND \(a = 1 OR b = 2\) ORDER/)
  })

  it('lets nulls come last where a key column may be null', () => {
    const sql = chunkSql(nullable, { lower: ['1', null], upper: ['2', 'z'] }, 5)
    assert.match(sql, /\(\("a" > '1'\) OR \("a" = '1' AND FALSE\)\)/)
    assert.match(sql, /\("a" = '2' AND \("b" > 'z' OR "b" IS NULL\)\)/)
  })

  it('gives literals a type where the server finds none for them', () => {
    const typed = { ...table, key: [...single.key, { name: 'b', nullable: false, literalType: 's."Pair"' }] }
    const bounds = { lower: ['1', '(1,x)'], upper: ['2', '(2,y)'] }
    assert.match(chunkSql(typed, bounds, 5), /ROW\("a", "b"\) > ROW\('1', '\(1,x\)'::s\."Pair"\)/)
    const last = { name: 'c', nullable: true, literalType: null }
    const sql = chunkSql(
      { ...typed, key: [...typed.key, last] },
      { lower: ['1', '(1,x)', 'z'], upper: bounds.upper },
      5,
    )
    assert.match(sql, /"b" > '\(1,x\)'::s\."Pair"\) OR \("a" = '1' AND "b" = '\(1,x\)'::s\."Pair" AND/)
  })

  it('asks for the greatest key and the number of rows', () => {
    assert.equal(maximumKeySql(composite), `SELECT "a", "b" FROM "s"."t""x" ORDER BY "a" DESC, "b" DESC LIMIT 1`)
    assert.equal(countSql({ ...single, condition: 'a > 3' }), `SELECT count(*) AS rows FROM "s"."t""x" WHERE (a > 3)`)
  })
})
