import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compileExpression } from '../../../../transforms/expression/compile.ts'
import { Decimal, decimalSchema, makeSchema, Schemas, type Struct, type Value } from '../../../../worker/api/data.ts'
import { ConnectError } from '../../../../worker/api/errors.ts'
import { record as sinkRecord, struct } from '../support.ts'

const row = struct({
  id: Schemas.int64,
  name: Schemas.optionalString,
  price: decimalSchema(2, { optional: true }),
  tags: makeSchema({ type: 'ARRAY', valueSchema: Schemas.string, optional: true }),
  country: makeSchema({ type: 'STRING', optional: true, defaultValue: 'CZ' }),
  attributes: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.int64, optional: true }),
})
const optionalRow = makeSchema({ ...row, optional: true })
const envelope = struct({ before: optionalRow, after: optionalRow, op: Schemas.string }, { name: 's.t.Envelope' })
const after: Struct = {
  id: 7n,
  name: 'Ada',
  price: new Decimal(1050n, 2),
  tags: ['new', 'vip'],
  country: null,
  attributes: new Map([['size', 12n]]),
}
const event = sinkRecord({
  topic: 's.t',
  keySchema: struct({ id: Schemas.int64 }),
  key: { id: 7n },
  valueSchema: envelope,
  value: { before: null, after, op: 'u' },
  headers: [
    { key: 'tenant', schema: Schemas.string, value: 'a' },
    { key: 'tenant', schema: Schemas.string, value: 'b' },
  ],
})

const evaluate = (source: string): unknown => compileExpression(source)(event)

describe('expressions of Filter and ContentBasedRouter', () => {
  for (const [source, expected] of [
    ["value.op == 'u' && value.after.id == 7", true],
    ['value.after.id === 7 && key.id === 7n', true],
    ['value.before?.id ?? -1', -1],
    ['value.before?.name.length', undefined],
    ["value.after['name'].startsWith('A')", true],
    ['value.after.price > 10.4 && value.after.price < 10.6', true],
    ["value.after.tags.includes('vip')", true],
    ["value.after.tags.some(t => t.toUpperCase() === 'NEW')", true],
    ['value.after.tags.every((t) => value.after.tags.some(u => u == t))', true],
    ['value.after.tags.length + 1', 3],
    ['value.after.attributes.size', 12],
    ["value.after.country == 'CZ' ? 'eu' : 'other'", 'eu'],
    ['header.tenant.value', 'b'],
    ["header['none']?.value", undefined],
    ["valueSchema.name + '/' + topic", 's.t.Envelope/s.t'],
    ['valueSchema.fields.includes("op")', true],
    ['/^s\\.[a-z]+$/.test(topic)', true],
    ["'a-b-c'.split('-').at(-1)", 'c'],
    ['typeof value.after.id', 'number'],
    ['!value.before', true],
    ['1 + 2 * 3 - 4 % 3', 6],
    ['-(2 - 5)', 3],
    ['"1" == 1', true],
    ['null == undefined && null !== undefined', true],
    ['Math.max(1, value.after.id, 3)', 7],
    ["['u', 'c'].includes(value.op)", true],
    ['Number("12") / 4', 3],
    ['/* a */ true // b', true],
    ['value.get("op")', 'u'],
  ] as const) {
    it(source, () => assert.equal(evaluate(source), expected))
  }

  it('keeps integers beyond 2^53 exact (I6)', () => {
    const large = sinkRecord({ valueSchema: Schemas.int64, value: 9007199254740993n })
    const of = (source: string): unknown => compileExpression(source)(large)
    assert.equal(of('value == 9007199254740993n'), true)
    assert.equal(of('value == 9007199254740992n'), false)
    assert.equal(of('value - 9007199254740990n === 3'), true)
    assert.throws(() => compileExpression('value == 9007199254740993'), /beyond what a number holds exactly/)
    assert.throws(() => of('value + 0.5'), /goes together with integers only/)
  })

  for (const [source, message] of [
    ['process.exit(1)', /There is no/],
    ['value.constructor.constructor("return 1")()', /no method constructor|Unexpected/],
    ['new Date()', /'new' is not allowed/],
    ['this', /'this' is not allowed/],
    ['globalThis', /There is no globalThis/],
    ['import("fs")', /'import' is not allowed/],
    ['value.op = 1', /'=' is not part/],
    ['a => a', /There is no a|Unexpected/],
    ['`x`', /is not part/],
    ['(function () {})', /is not part/],
    ['"a".repeat(1e9)', /no method repeat/],
    ['"a".padStart(1e9)', /no method padStart/],
    ['/(a+)+$/.test(topic)', /repeated group/],
    ['/(?:a|b(c*))*$/.test(topic)', /repeated group/],
    ['/(a?){30}/.test(topic)', /repeated group/],
    ['/(a)\\1/.test(topic)', /Back references/],
    ['/a/g.test(topic)', /flags/],
    ['1 +', /Unexpected the end/],
    ['"a', /Unterminated text/],
    [`${'('.repeat(500)}1${')'.repeat(500)}`, /nested too deeply/],
    [`${'!'.repeat(5000)}1`, /nested too deeply/],
  ] as const) {
    it(`refuses ${source.slice(0, 60)} when it is compiled`, () => {
      assert.throws(() => compileExpression(source), message)
    })
  }

  it('gives nothing of the prototypes of JavaScript', () => {
    for (const name of ['constructor', '__proto__', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']) {
      for (const holder of [
        'value',
        'key',
        'value.after.tags',
        'value.after.attributes',
        'header',
        'topic',
        '/a/',
        '1',
      ]) {
        assert.equal(evaluate(`(${holder})['${name}']`), undefined, `${holder}.${name}`)
      }
    }
  })

  it('fails like JavaScript for members of null', () => {
    assert.throws(() => evaluate('value.before.id'), /Cannot read id of null/)
    assert.throws(() => evaluate('(value.before?.x).y'), /Cannot read y of undefined/)
  })

  it('stops what would run for ever', () => {
    const list = Array.from({ length: 400 }, (_, i) => BigInt(i))
    const long = sinkRecord({ valueSchema: makeSchema({ type: 'ARRAY', valueSchema: Schemas.int64 }), value: list })
    const nested = compileExpression('value.every(a => value.every(b => value.every(c => a + b + c >= 0)))')
    assert.throws(() => nested(long), /stopped after 100000 function calls/)
  })

  it('stops a regular expression that takes the length of a text to a high power', () => {
    const slow = compileExpression('/a*a*a*a*a*a*b/.test(value)')
    const of = (value: string) => slow(sinkRecord({ value }))
    assert.equal(of('aaab'), true)
    assert.throws(() => of('a'.repeat(5000)), { kind: 'record', message: /stopped after 1000 ms on a text of 5000/ })
    // Long texts are no offence by themselves.
    assert.equal(compileExpression('/x.*y/.test(value)')(sinkRecord({ value: `x${'a'.repeat(100_000)}y` })), true)
  })

  it('stops texts, lists and integers that grow without end', () => {
    const nested = (operator: string) =>
      Array.from({ length: 40 }, (_, i) => i).reduceRight(
        (body, i) =>
          `[${i === 0 ? 'value' : `a${i - 1}`}${operator}${i === 0 ? 'value' : `a${i - 1}`}].some(a${i} => ${body})`,
        'a39 == 1',
      )
    const of = (source: string, value: Value) => compileExpression(source)(sinkRecord({ value }))
    assert.throws(() => of(nested('+'), 'text'), /text became longer/)
    assert.throws(() => of(nested('*'), 2n ** 62n), /integer became larger than 1024 bits/)
    assert.throws(() => of("value.split('').length", 'a'.repeat(200_000)), /more than 100000 pieces/)
    assert.equal(of("(value + '').length", 'a'.repeat(20_000_000)), 20_000_000)
  })

  it('stops calls that each take long', () => {
    const text = 'ab'.repeat(400_000)
    const slow = compileExpression('value.parts.some(part => value.text.includes(part))')
    const parts = Array.from({ length: 90_000 }, () => 'bb')
    assert.throws(() => slow(sinkRecord({ value: { parts, text } })), /stopped after 2000 ms/)
  })

  it('property: whatever the text, it compiles or is refused, and never runs anything else', () => {
    const pieces = [
      'value',
      '.',
      'op',
      '(',
      ')',
      '[',
      ']',
      "'x'",
      '1',
      '+',
      '&&',
      '?',
      ':',
      '=>',
      'a',
      '!',
      '?.',
      ',',
      '/',
      'test',
      'x.some',
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (words) => {
        let compiled: ReturnType<typeof compileExpression>
        try {
          compiled = compileExpression(words.join(' '))
        } catch (error) {
          assert.ok(error instanceof ConnectError, String(error))
          assert.equal(error.code, 'CONNECT_TRANSFORM_EXPRESSION')
          return
        }
        try {
          compiled(event)
        } catch (error) {
          assert.ok(error instanceof ConnectError, String(error))
        }
      }),
      { numRuns: 3000 },
    )
  })
})
