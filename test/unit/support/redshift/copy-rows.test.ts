import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type CsvOptions, parseCopy } from '../../../support/redshift/copy-command.ts'
import { jsonMembers, memberAt, parseCsvRows, parseJsonRows } from '../../../support/redshift/copy-rows.ts'
import { convertValue, type TargetColumn, textMember } from '../../../support/redshift/copy-values.ts'

const csv: CsvOptions = {
  quote: '"',
  delimiter: ',',
  ignoreHeader: 0,
  nullAs: '\\N',
  emptyAsNull: false,
  blanksAsNull: false,
  fillRecord: false,
}
const command = parseCopy("COPY t FROM 's3://b/k' IAM_ROLE default JSON 'auto' TIMEFORMAT 'auto'")

const column = (baseType: string, extra: Partial<TargetColumn> = {}): TargetColumn => ({
  name: 'c',
  castType: baseType,
  baseType,
  maxLength: null,
  isNotNull: false,
  defaultSql: null,
  ...extra,
})

describe('rows of COPY', () => {
  test('JSON objects need no line ends between them; members keep their source', () => {
    const rows = [
      ...parseJsonRows('{"a":1}{"a": {"b" : [1,"}"]} }\n\n {"n":9007199254740993,"s":"\\u00e4\\"","x":null}'),
    ]
    assert.equal(rows.length, 3)
    assert.deepEqual(
      rows.map((row) => row.line),
      [1, 1, 3],
    )
    const [, second, third] = rows
    assert.equal(second?.kind === 'members' ? second.members.get('a')?.text : '', '{"b" : [1,"}"]}')
    assert.ok(third?.kind === 'members')
    assert.equal(third.members.get('n')?.text, '9007199254740993')
    assert.equal(third.members.get('s')?.text, 'ä"')
    assert.equal(third.members.get('x')?.text, null)
  })

  test('a broken object is one bad row, the next line is read', () => {
    const rows = [...parseJsonRows('nonsense\n{"a":1}\n{"a":tru}\n')]
    assert.deepEqual(
      rows.map((row) => row.kind),
      ['bad', 'members', 'bad'],
    )
  })

  test('members equal those of JSON.parse for any object (property)', () => {
    const json = fc.dictionary(fc.string(), fc.jsonValue())
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 2), (object, indent) => {
        const text = JSON.stringify(object, null, indent)
        const expected = JSON.parse(text) as Record<string, unknown>
        const members = jsonMembers(text)
        assert.deepEqual([...members.keys()].sort(), Object.keys(expected).sort())
        for (const [name, member] of members) assert.deepEqual(JSON.parse(member.source), expected[name])
      }),
      { verbose: true },
    )
  })

  test('paths of a jsonpaths file', () => {
    const raw = '{"a":{"b c":[10,{"d":"x"}]}}'
    assert.equal(memberAt(raw, "$.a['b c'][1].d")?.text, 'x')
    assert.equal(memberAt(raw, '$.a.none'), undefined)
  })

  test('CSV fields written by the rules are read back (property)', () => {
    const field = fc.oneof(
      fc.constant(null),
      fc.string({ unit: 'grapheme' }).filter((text) => text !== '\\N'),
    )
    fc.assert(
      fc.property(fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { minLength: 1 }), (table) => {
        const quote = (value: string | null): string => (value === null ? '\\N' : `"${value.replaceAll('"', '""')}"`)
        const text = table.map((row) => row.map(quote).join(',')).join('\n')
        const rows = [...parseCsvRows(text, csv)].map((row) => (row.kind === 'fields' ? row.fields : null))
        assert.deepEqual(rows, table)
      }),
      { verbose: true },
    )
  })
})

describe('values of COPY', () => {
  for (const [type, text, expected] of [
    ['bigint', '9223372036854775807', '9223372036854775807'],
    ['smallint', '+7', '7'],
    ['boolean', 'Yes', 'true'],
    ['date', '2024-02-29', '2024-02-29'],
    ['timestamp without time zone', '2024-06-03T16:34:21.010Z', '2024-06-03T16:34:21.010Z'],
    ['numeric', '-1.50', '-1.50'],
  ] as const) {
    test(`${type} takes ${text}`, () =>
      assert.equal(convertValue(textMember(text), column(type), { ...command, hasInvalidUtf8: false }), expected))
  }

  for (const [type, text, code] of [
    ['integer', '2147483648', 1207],
    ['integer', '1.0', 1207],
    ['integer', '', 1207],
    ['date', '2023-02-29', 1205],
    ['timestamp without time zone', 'yesterday', 1206],
    ['numeric', '1,5', 1209],
    ['double precision', '', 1208],
    ['boolean', 'maybe', 1210],
    ['character varying', 'a\u0000b', 1220],
  ] as const) {
    test(`${type} refuses ${JSON.stringify(text)} with ${code}`, () =>
      assert.throws(() => convertValue(textMember(text), column(type), { ...command, hasInvalidUtf8: false }), {
        code,
      }))
  }

  test('lengths are bytes; TRUNCATECOLUMNS cuts between characters', () => {
    const target = column('character varying', { maxLength: 3 })
    const context = { ...command, hasInvalidUtf8: false }
    assert.throws(() => convertValue(textMember('ää'), target, context), { code: 1204 })
    assert.equal(convertValue(textMember('ää'), target, { ...context, truncateColumns: true }), 'ä')
    assert.throws(() => convertValue(textMember(null), column('integer', { isNotNull: true }), context), { code: 1213 })
  })
})
