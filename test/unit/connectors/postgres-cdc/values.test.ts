import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { adjustFieldName, adjustSchemaName, sanitizeTopic } from '../../../../connectors/postgres-cdc/names.ts'
import { PatternList } from '../../../../connectors/postgres-cdc/pattern-list.ts'
import {
  dateOf,
  daysOf,
  intervalMicros,
  isoInterval,
  ParsedMoment,
  parseInterval,
  parseMoment,
} from '../../../../connectors/postgres-cdc/values/calendar.ts'
import {
  bitsToBytes,
  parseArray,
  parseBytea,
  parseDecimal,
  parseHstore,
  parseMoney,
  rescale,
  twosComplement,
} from '../../../../connectors/postgres-cdc/values/text-formats.ts'

function moment(text: string): ParsedMoment | null {
  const into = new ParsedMoment()
  const bytes = Buffer.from(text)
  return parseMoment(bytes, 0, bytes.length, into) ? into : null
}

suite('calendar', () => {
  test('days and dates invert each other, and agree with Date', () => {
    fc.assert(
      fc.property(fc.integer({ min: -3_000_000, max: 3_000_000 }), (days) => {
        const { year, month, day } = dateOf(days)
        assert.equal(daysOf(year, month, day), days)
        const date = new Date(days * 86_400_000)
        assert.deepEqual([year, month, day], [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()])
      }),
      { verbose: true },
    )
  })

  test('timestamps parse to the microsecond, with zone and era', () => {
    const parsed = moment('0044-03-15 12:00:00.000001+05:30:10 BC')
    assert.deepEqual([parsed?.days, parsed?.micros], [daysOf(-43, 3, 15), 43_200_000_001])
    assert.deepEqual([parsed?.offsetSeconds, parsed?.offsetHasSeconds], [19_810, true])
    assert.equal(moment('-infinity')?.infinity, -1)
    assert.equal(moment('20000-02-29')?.days, daysOf(20_000, 2, 29))
    for (const text of ['', 'x', '2020-1-1', '2020-01-01T', '10:00', '2020-01-01 25']) assert.equal(moment(text), null)
  })

  test('intervals', () => {
    const parsed = parseInterval('1 year 2 mons 3 days 04:05:06.78')
    assert.ok(parsed !== null)
    assert.equal(intervalMicros(parsed), 37_091_106_780_000n)
    assert.equal(isoInterval(parsed), 'P1Y2M3DT4H5M6.78S')
    const far = parseInterval('2147483647 days')
    assert.ok(far !== null)
    assert.equal(intervalMicros(far), 2n ** 63n - 1n)
    assert.equal(parseInterval('@ 1 minute'), null)
  })
})

suite('text formats', () => {
  test('two’s complement is the shortest that keeps the sign', () => {
    fc.assert(
      fc.property(fc.bigInt(), (value) => {
        const bytes = twosComplement(value)
        assert.equal(BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`)), value)
        if (bytes.length > 1) {
          const shorter = BigInt.asIntN((bytes.length - 1) * 8, value)
          assert.notEqual(shorter, value)
        }
      }),
      { verbose: true },
    )
  })

  test('arrays', () => {
    const texts = (text: string) => parseArray(text)?.map((item) => item.text)
    assert.deepEqual(texts('{a,NULL,"NULL","q\\"uote","b,c",""}'), ['a', null, 'NULL', 'q"uote', 'b,c', ''])
    assert.deepEqual(texts('[0:1]={1,2}'), ['1', '2'])
    assert.deepEqual(texts('{{1,2},{"}",4}}'), ['{1,2}', '{"}",4}'])
    assert.deepEqual(texts('{}'), [])
    assert.equal(parseArray('x'), null)
  })

  test('hstore, bits, bytea, money, decimals', () => {
    assert.deepEqual(
      [...parseHstore('"a \\"b\\""=>"x, y", "k"=>NULL')],
      [
        ['a "b"', 'x, y'],
        ['k', null],
      ],
    )
    assert.deepEqual([...bitsToBytes('000000110000001000000001')], [1, 2, 3])
    assert.deepEqual([...bitsToBytes('0000')], [])
    assert.deepEqual([...parseBytea('\\x00ff')], [0, 255])
    assert.deepEqual([...parseBytea('a\\\\\\001')], [97, 92, 1])
    assert.equal(parseMoney('-$92,233,720,368,547,758.08')?.toString(), '-92233720368547758.08')
    assert.equal(parseMoney('($1.00)')?.toString(), '-1.00')
    assert.equal(parseDecimal('NaN'), null)
    const decimal = parseDecimal('-0.005')
    assert.ok(decimal !== null)
    assert.equal(rescale(decimal, 2).toString(), '-0.01')
    assert.equal(rescale(decimal, 5).toString(), '-0.00500')
  })
})

suite('Java patterns', () => {
  test('match whole identifiers in any case', () => {
    const list = new PatternList('public.orders, inv\\..*,a\\,b')
    assert.deepEqual(
      ['PUBLIC.ORDERS', 'public.orders2', 'inv.x', 'a,b'].map((id) => list.matches(id)),
      [true, false, true, true],
    )
  })
})

suite('names', () => {
  test('topics and schema names', () => {
    assert.equal(sanitizeTopic('p.Sales Dept.Ořder'), 'p.Sales_Dept.O_der')
    assert.equal(sanitizeTopic('..'), '__')
    assert.equal(adjustSchemaName('1-a.b c', 'avro'), '_1_a.b_c')
    assert.equal(adjustFieldName('d.e', 'avro'), 'd_e')
    assert.equal(adjustFieldName('a_b', 'avro_unicode'), 'a_u005fb')
    assert.deepEqual(
      ['1', '-1', 'x1'].map((name) => adjustFieldName(name, 'avro')),
      ['_1', '_1', 'x1'],
    )
    assert.deepEqual(
      ['1', '1a', 'ı', '東'].map((name) => adjustFieldName(name, 'avro_unicode')),
      ['_u0031', '_u0031a', '_u131', '_u6771'],
    )
    assert.equal(adjustSchemaName('.a', 'avro'), '_a')
    assert.equal(adjustSchemaName('_a.b', 'avro_unicode'), '_u005fa.b')
  })
})
