import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Decimal, Float64, type Value, valueEquals } from '../../../../worker/api/data.ts'
import {
  bigDecimalText,
  javaDouble,
  javaFloat,
  parseDecimal,
  parseJson,
  parseJsonBytes,
  quoteJson,
  stringifyJson,
} from '../../../../worker/util/json.ts'

const jsonValue = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Number.isInteger(n) ? new Float64(n) : n)),
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary-ascii' }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), tie('value'), { maxKeys: 5 }),
  ),
})).value

/** The data model has one form per integer: number within ±2^53, bigint beyond. */
function canonical(value: Value): Value {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : value
  }
  if (value === null || typeof value !== 'object' || value instanceof Float64) return Object.is(value, -0) ? 0 : value
  if (Array.isArray(value)) return value.map(canonical)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, canonical(item as Value)]))
}

describe('exact JSON', () => {
  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        const expected = canonical(value)
        assert.ok(valueEquals(parseJson(stringifyJson(value)), expected))
        assert.ok(valueEquals(parseJsonBytes(Buffer.from(stringifyJson(value))), expected))
      }),
      { numRuns: 500 },
    )
  })

  it('agrees with JSON.parse wherever that is exact', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value, null, 1)
        const plain = (v: Value): Value =>
          v instanceof Float64
            ? v.value
            : Array.isArray(v)
              ? v.map(plain)
              : v !== null && typeof v === 'object'
                ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x as Value)]))
                : typeof v === 'bigint'
                  ? Number(v)
                  : v
        // Numbers like 1e+21 are doubles to us and to JSON.parse alike.
        assert.deepEqual(plain(parseJson(text)), JSON.parse(text))
      }),
      { numRuns: 500 },
    )
  })

  const numbers: readonly (readonly [string, Value])[] = [
    ['9007199254740991', 9007199254740991],
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -9223372036854775808n],
    ['1.0', new Float64(1)],
    ['1e3', new Float64(1000)],
    ['12.50E1', new Float64(125)],
    ['1.5', 1.5],
    ['1125899906842624.5', 1125899906842624.5],
    ['9007199254740992.5', new Float64(9007199254740992)],
    ['0.1', 0.1],
    ['007', 7],
    ['-00012345678901234567890', -12345678901234567890n],
    ['00.5', 0.5],
    ['-0.0', new Float64(-0)],
    ['-1e-400', new Float64(-0)],
  ]
  for (const [text, value] of numbers) {
    it(`reads ${text}, also inside arrays and objects`, () => {
      assert.deepEqual(parseJson(text), value)
      assert.deepEqual(parseJson(` \n${text} `), value)
      assert.deepEqual(parseJson(`[${text}]`), [value])
      assert.deepEqual(parseJson(`[ ${text}]`), [value])
      assert.deepEqual(parseJson(`["a: b, c",\n\t${text} ,0]`), ['a: b, c', value, 0])
      assert.deepEqual(parseJson(`{"a":"x","b":${text}}`), { a: 'x', b: value })
    })
  }

  it('finds every number that a double does not keep, wherever its fraction and exponent begin', () => {
    const digits = (maxLength: number) =>
      fc.string({ unit: fc.constantFrom('0', '0', '1', '9'), minLength: 1, maxLength })
    const number = fc
      .tuple(fc.constantFrom('', '-'), fc.constantFrom('1', '7', '9', '0.', '90'), digits(18), fc.boolean(), digits(18))
      .chain(([sign, first, whole, hasFraction, fraction]) => {
        const mantissa = `${sign}${first}${first === '0.' ? whole : `${whole}${hasFraction ? `.${fraction}` : ''}`}`
        return fc.constantFrom('', 'e3', 'E-2', 'e+1').map((exponent) => mantissa + exponent)
      })
    const blank = fc.constantFrom('', ' ', '\r\n  ')
    fc.assert(
      fc.property(number, blank, (text, before) => {
        // The exact reader alone decides on a text that begins with a number.
        const exact = parseJson(text)
        const decimal = parseJson(text, { fractions: 'decimal' })
        assert.deepEqual(parseJson(`{"k":${before}${text}}`), { k: exact })
        assert.deepEqual(parseJson(`[${before}${text}]`), [exact])
        assert.deepEqual(parseJson(`["x",${before}${text}]`, { fractions: 'decimal' }), ['x', decimal])
      }),
      { numRuns: 2000 },
    )
  })

  it('reads a zero without its sign on request, but not what is only too small', () => {
    const zeros = parseJson('[-0.0,-00.00e7,-1e-400,{"a":-0.0}]', { negativeZero: false })
    assert.deepEqual(zeros, [new Float64(0), new Float64(0), new Float64(-0), { a: new Float64(0) }])
  })

  it('keeps the scale of decimals on request', () => {
    assert.deepEqual(parseJson('{"a":10.20,"b":1e3,"c":7}', { fractions: 'decimal' }), {
      a: new Decimal(1020n, 2),
      b: new Decimal(1n, -3),
      c: 7,
    })
    assert.deepEqual(parseDecimal('-0.050'), new Decimal(-50n, 3))
    assert.throws(() => parseDecimal('1e999999999'), /exponent/)
  })

  it('treats __proto__ as a key on both paths', () => {
    for (const text of ['{"__proto__":{"a":1}}', '{"__proto__":{"a":12345678901234567890}}']) {
      const value = parseJson(text) as { readonly [key: string]: Value }
      assert.ok(Object.hasOwn(value, '__proto__'))
      assert.equal(Object.getPrototypeOf(value), Object.prototype)
      assert.equal(stringifyJson(value), text)
    }
  })

  for (const text of [
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{"a"}',
    '01x',
    '1.',
    '.5',
    '+1',
    '"a',
    '"\u0001"',
    '"\\x"',
    'nul',
    '1 2',
    '-',
    '1e',
  ]) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseJson(text), SyntaxError)
    })
  }

  it('reads keys alike, whatever keys came before at the same place', () => {
    const big = '12345678901234567890'
    const texts = [
      `{"a":${big},"b":{"c":1}}`,
      `{"a":${big},"bb":{"c":1}}`,
      `{"b":1,"a":${big}}`,
      `{"\\u0061":${big},"a\\"":1,"a\\\\":2}`,
      `{"a\\n":${big},"":0,"__proto__":1}`,
      // More keys than are remembered.
      ...Array.from({ length: 5000 }, (_, i) => `{"k${i}":${big},"k":${i}}`),
    ]
    for (const text of [...texts, ...texts.slice(0, 5)]) {
      const expected = JSON.parse(text, (_, value: unknown) => (value === Number(big) ? BigInt(big) : value)) as Value
      assert.ok(valueEquals(parseJson(text), expected), text)
    }
  })

  it('refuses text nested too deep, numbers too long and bytes that are not UTF-8', () => {
    assert.throws(() => parseJson(`${'['.repeat(2000)}1.0${']'.repeat(2000)}`), /deeper/)
    assert.throws(() => parseJson('1'.repeat(1001)), /longer/)
    assert.throws(() => parseJsonBytes(Uint8Array.of(0x22, 0xff, 0x22)), /UTF-8/)
    // What decoding puts in the place of such bytes is an ordinary character where it was written.
    assert.equal(parseJsonBytes(Buffer.from('"a\ufffdb"')), 'a\ufffdb')
  })

  it('reads a text alike after one with inexact numbers and after one without', () => {
    const deep = `${'['.repeat(1500)}1${']'.repeat(1500)}`
    const texts = ['{"a":1}', '{"a":-0,"b":[0.5,7]}', '{"a":007}', '"x"', '5', deep, '{"a":1.0}', '[1]', '{', '01x']
    const read = (text: string): unknown => {
      try {
        return parseJson(text)
      } catch (error) {
        return String(error)
      }
    }
    const after = (before: string, text: string): unknown => {
      parseJson(before)
      return read(text)
    }
    for (const text of texts) assert.deepEqual(after('[12345678901234567890]', text), after('0', text), text)
  })

  it('does not repeat the data in an error', () => {
    assert.throws(
      () => parseJson('{"password":"secret'),
      (error: Error) => !error.message.includes('secret'),
    )
  })

  it('escapes as Jackson does', () => {
    assert.equal(
      quoteJson('a"\\\b\f\n\r\t\u001f\u0000/é\u2028😀\u007f'),
      '"a\\"\\\\\\b\\f\\n\\r\\t\\u001F\\u0000/é\u2028\\uD83D\\uDE00\u007f"',
    )
    assert.equal(quoteJson('\\u001f\u001f'), '"\\\\u001f\\u001F"')
    assert.equal(parseJson(quoteJson('\ud800')), '\ud800')
  })

  it('prints doubles and floats as Java does', () => {
    const doubles: readonly (readonly [number, string])[] = [
      [1, '1.0'],
      [-0, '-0.0'],
      [0.001, '0.001'],
      [0.0001, '1.0E-4'],
      [9999999, '9999999.0'],
      [1e7, '1.0E7'],
      [1.5e10, '1.5E10'],
      [123456789.125, '1.23456789125E8'],
      [1e21, '1.0E21'],
      [2e23, '2.0E23'],
      [Number.MIN_VALUE, '4.9E-324'],
      [Number.MAX_VALUE, '1.7976931348623157E308'],
      [Number.NaN, 'NaN'],
    ]
    for (const [value, text] of doubles) assert.equal(javaDouble(value), text)
    const floats: readonly (readonly [number, string])[] = [
      [0.1, '0.1'],
      [3.4028234663852886e38, '3.4028235E38'],
      [1.4e-45, '1.4E-45'],
      [16777216, '1.6777216E7'],
      [1.1, '1.1'],
      [0.001, '0.001'],
      [1234.5677, '1234.5677'],
    ]
    for (const [value, text] of floats) assert.equal(javaFloat(value), text)
  })

  it('prints big decimals as Java does', () => {
    assert.equal(bigDecimalText(new Decimal(1020n, 2)), '10.20')
    assert.equal(bigDecimalText(new Decimal(1n, -3)), '1E+3')
    assert.equal(bigDecimalText(new Decimal(-12n, -3)), '-1.2E+4')
    assert.equal(bigDecimalText(new Decimal(1n, 7)), '1E-7')
    assert.equal(bigDecimalText(new Decimal(1n, 6)), '0.000001')
  })
})
