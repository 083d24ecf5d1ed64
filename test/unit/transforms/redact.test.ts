import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCardNumber, isIban } from '../../../transforms/sensitive-text.ts'
import { makeSchema, Schemas, type Value, valueEquals } from '../../../worker/api/data.ts'
import { record, struct, transform } from './support.ts'

const name = 'sluice.transforms.Redact$Value'
const redacted = async (value: Value, options: Record<string, string> = {}): Promise<Value> =>
  (await transform(name, options)).apply(record({ valueSchema: null, value }))?.value ?? null

describe('Redact', () => {
  for (const [text, expected] of [
    ['write to ada.lovelace+x@mail.example.org, please', 'write to [email], please'],
    ['<ADA@EXAMPLE.ORG>', '<[email]>'],
    ['müller@straße.de', '[email]'],
    ['card 4111 1111 1111 1111 ok', 'card [card] ok'],
    ['4111-1111-1111-1111', '[card]'],
    ['378282246310005', '[card]'],
    ['4111111111111112 has a wrong check digit', '4111111111111112 has a wrong check digit'],
    ['1700000000000 is a time', '1700000000000 is a time'],
    ['order 94111111111111111', 'order 94111111111111111'],
    ['v4111111111111111x', 'v4111111111111111x'],
    ['IBAN DE89 3704 0044 0532 0130 00.', 'IBAN [iban].'],
    ['GB82WEST12345698765432', '[iban]'],
    ['DE89 3704 0044 0532 0130 00 EUR paid', '[iban] EUR paid'],
    ['DE89 3704 0044 0532 0130 01', 'DE89 3704 0044 0532 0130 01'],
    ['Authorization: Bearer abcdefghijklmnop1234', 'Authorization: Bearer [token]'],
    ['key AKIAIOSFODNN7EXAMPLE', 'key [token]'],
    [`eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.${'a'.repeat(43)} end`, '[token] end'],
    ['nothing to see', 'nothing to see'],
  ] as const) {
    it(text, async () => assert.equal(await redacted(text), expected))
  }

  it('looks into structs, lists and maps, and changes nothing in place (I5)', async () => {
    const inner = struct({ mail: Schemas.optionalString, n: Schemas.int64 })
    const valueSchema = struct({
      inner,
      list: makeSchema({ type: 'ARRAY', valueSchema: Schemas.string }),
      map: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.string }),
    })
    const value = {
      inner: { mail: 'a@b.org', n: 4111111111111111n },
      list: ['x', 'c@d.org'],
      map: new Map([['k', 'e@f.org']]),
    }
    const result = (await transform(name)).apply(record({ valueSchema, value }))
    const expected = {
      inner: { mail: '[email]', n: 4111111111111111n },
      list: ['x', '[email]'],
      map: new Map([['k', '[email]']]),
    }
    assert.deepEqual(result?.value, expected)
    assert.equal(result?.valueSchema, valueSchema)
  })

  it('passes the same record on when there is nothing to replace', async () => {
    const input = record({ valueSchema: null, value: { a: ['b', { c: 'd' }], n: 1n, d: new Date(0) } })
    assert.equal((await transform(name)).apply(input), input)
  })

  it('looks only at the fields it is told of, and below them', async () => {
    const value = { a: 'a@b.org', b: { c: 'a@b.org', d: ['a@b.org'] }, e: [{ f: 'a@b.org', g: 'a@b.org' }] }
    const result = await redacted(value, { fields: 'b.c,b,b.d,e.f' })
    assert.deepEqual(result, { a: 'a@b.org', b: { c: '[email]', d: ['[email]'] }, e: [{ f: '[email]', g: 'a@b.org' }] })
    assert.equal(await redacted('a@b.org', { fields: 'x' }), 'a@b.org')
  })

  it('hashes by key: equal for equal things however they are spelled, different by kind and key', async () => {
    const options = { action: 'hash', 'hash.key': '0123456789abcdef' }
    const hash = await redacted('4111 1111 1111 1111', options)
    assert.match(String(hash), /^card:[\da-f]{32}$/)
    assert.equal(await redacted('4111111111111111', options), hash)
    assert.equal(await redacted('A@B.org', options), await redacted('a@b.ORG', options))
    assert.notEqual(await redacted('4111111111111111', { ...options, 'hash.key': '0123456789abcdeg' }), hash)
    // A second run finds nothing more.
    assert.equal(await redacted(hash, options), hash)
  })

  it('refuses a hash without a key and unknown patterns', async () => {
    await assert.rejects(transform(name, { action: 'hash', 'hash.key': 'short' }), /at least 16 characters/)
    await assert.rejects(transform(name, { patterns: 'email,ssn' }), /There is no pattern ssn/)
  })

  it('takes only the patterns asked for', async () => {
    assert.equal(await redacted('a@b.org 4111111111111111', { patterns: 'card' }), 'a@b.org [card]')
  })

  it('is quick with texts made to be slow', async () => {
    // CPU, not time: a busy machine changes nothing. In proportion to the length this is below a second or two, with
    // its square it would be minutes.
    const before = process.cpuUsage()
    for (const text of [
      'a'.repeat(200_000),
      '@'.repeat(200_000),
      '4 '.repeat(100_000),
      'DE89 '.repeat(40_000),
      'a.'.repeat(100_000) + '@',
      'eyJ'.repeat(30_000),
    ]) {
      await redacted(text)
    }
    const { user } = process.cpuUsage(before)
    assert.ok(user < 10_000_000, `${user} µs`)
  })

  it('property: check digits are right for what the rules make, and wrong for any other digit', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^4\d{14}$/), (body) => {
        const valid = Array.from({ length: 10 }, (_, d) => `${body}${d}`).filter(isCardNumber)
        assert.equal(valid.length, 1)
      }),
    )
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Z0-9]{15,26}$/), (account) => {
        const valid = Array.from({ length: 98 }, (_, d) => `DE${String(d + 1).padStart(2, '0')}${account}`).filter(
          isIban,
        )
        assert.ok(valid.length >= 1 && valid.length <= 2)
      }),
    )
  })

  it('property: what has no text keeps its value (I6)', async () => {
    const transformation = await transform(name)
    const leaf = fc.oneof(fc.bigInt(), fc.double(), fc.boolean(), fc.constant(null), fc.uint8Array(), fc.date())
    fc.assert(
      fc.property(fc.array(fc.oneof(leaf, fc.array(leaf)), { maxLength: 5 }), (value) => {
        const result = transformation.apply(record({ valueSchema: null, value: value as Value }))
        assert.ok(valueEquals(result?.value ?? null, value as Value))
      }),
    )
  })
})
