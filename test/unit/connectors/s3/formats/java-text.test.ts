import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  inHashMapOrder,
  javaBigDecimal,
  javaDouble,
  javaFloat,
  twosComplement,
} from '../../../../../connectors/s3/formats/java-text.ts'
import { Decimal } from '../../../../../worker/api/data.ts'

const seed = Math.floor(Math.random() * 2 ** 31)

test('Double.toString', () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0.0'],
    [-0, '-0.0'],
    [1, '1.0'],
    [0.001, '0.001'],
    [0.00099, '9.9E-4'],
    [9999999, '9999999.0'],
    [10000000, '1.0E7'],
    [1e21, '1.0E21'],
    [-1.5e-7, '-1.5E-7'],
    [Number.NaN, '"NaN"'],
    [Number.NEGATIVE_INFINITY, '"-Infinity"'],
  ]
  for (const [value, text] of cases) assert.equal(javaDouble(value), text)
})

test(`the text of a double or float reads back as the same number (seed ${seed})`, () => {
  const finite = { noNaN: true, noDefaultInfinity: true }
  fc.assert(
    fc.property(fc.double(finite), (value) => assert.ok(Object.is(Number(javaDouble(value)), value))),
    { seed },
  )
  fc.assert(
    fc.property(fc.float(finite), (value) => assert.ok(Object.is(Math.fround(Number(javaFloat(value))), value))),
    { seed },
  )
})

test('BigDecimal.toString turns to exponents below 1E-6', () => {
  const cases: readonly (readonly [bigint, number, string])[] = [
    [12345n, 2, '123.45'],
    [-1n, 2, '-0.01'],
    [1n, 6, '0.000001'],
    [1n, 7, '1E-7'],
    [12n, 9, '1.2E-8'],
    [12n, -3, '1.2E+4'],
    [5n, 0, '5'],
  ]
  for (const [unscaled, scale, text] of cases) assert.equal(javaBigDecimal(new Decimal(unscaled, scale)), text)
})

test(`two's complement is as short as it can be and reads back (seed ${seed})`, () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }), (value) => {
      const bytes = twosComplement(value)
      const read = BigInt.asIntN(bytes.length * 8, BigInt(`0x${Buffer.from(bytes).toString('hex')}`))
      assert.equal(read, value)
      if (bytes.length > 1) assert.notEqual(BigInt.asIntN(bytes.length * 8 - 8, value), value)
    }),
    { seed },
  )
})

test('HashMap order of numbers and colliding strings', () => {
  const order = (keys: readonly (string | number | bigint)[]) =>
    inHashMapOrder(keys.map((k) => [k, k] as const)).map(([k]) => k)
  assert.deepEqual(order([17, 1, 16]), [16, 17, 1])
  assert.deepEqual(order(['BB', 'Aa']), ['BB', 'Aa'])
  assert.deepEqual(order([-1n, 0n]), [-1n, 0n])
})
