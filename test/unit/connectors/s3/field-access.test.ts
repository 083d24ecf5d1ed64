import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FieldPath, isJsonObject, type TypedValue, valueAt } from '../../../../connectors/s3/field-access.ts'
import { plainMember } from '../../../../connectors/s3/plain-member.ts'
import { PlainJson } from '../../../../worker/api/plain-json.ts'
import { SinkRecord } from '../../../../worker/api/record.ts'
import { testSeed } from '../../../support/seed.ts'

/** A text that stays in its bytes. */
function plain(text: string): PlainJson {
  const json = PlainJson.of(Buffer.from(text))
  assert.ok(json !== null, text)
  return json
}

const recordOf = (value: PlainJson) => new SinkRecord({ topic: 't', partition: 0, offset: 0n, value })

/** What was found, or the text of the error. */
function outcome(find: () => TypedValue): unknown {
  try {
    return find()
  } catch (error) {
    return String(error)
  }
}

for (const [text, dotted, value] of [
  ['{"a":1}', 'a', 1],
  ['{"a":"first","a":"second"}', 'a', 'second'],
  ['{"a":9007199254740993}', 'a', 9007199254740993n],
  ['{"a":-12.5}', 'a', -12.5],
  ['{"a":true,"b":false,"c":null}', 'b', false],
  ['{"a":null}', 'a.b.c', null],
  ['{"a":{"x":[{"b":3}],"b":{"c":"ü, €"}}}', 'a.b.c', 'ü, €'],
  ['{"":7}', '', 7],
  ['{"naïve":8}', 'naïve', 8],
  ['{"__proto__":"own"}', '__proto__', 'own'],
  ['{"aa":1,"a":2,"aaa":3}', 'a', 2],
] as const) {
  test(`${dotted} of ${text} is read from the bytes alone`, () => {
    const json = plain(text)
    assert.equal(
      plainMember(
        json.bytes,
        dotted.split('.').map((name) => Buffer.from(name)),
      ),
      value,
    )
    const record = recordOf(json)
    Object.defineProperty(record, 'value', { get: () => assert.fail('the value was read') })
    assert.deepEqual(new FieldPath(dotted).read(record), { schema: null, value })
  })
}

const name = fc.constantFrom('a', 'b', 'aa', 'ü', '', '__proto__', 'a,b', '{', '}')
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, 7, -3, 1.5, '', 'x', '}', '€', 'y'.repeat(40), 'a,"b'.replace('"', '')),
    fc.maxSafeInteger(),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.array(fc.tuple(name, tie('json')), { maxLength: 4 }).map((entries) => new Members(entries)),
  ),
}))

/** Members in their order, of one name twice if it comes to that. */
class Members {
  readonly entries: readonly (readonly [string, unknown])[]

  constructor(entries: readonly (readonly [string, unknown])[]) {
    this.entries = entries
  }
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`
  if (value instanceof Members) return `{${value.entries.map(([key, v]) => `${JSON.stringify(key)}:${textOf(v)}`)}}`
  return JSON.stringify(value)
}

test(`a field is what it is after reading the whole value, or the same error (seed ${testSeed})`, () => {
  const entries = fc.array(fc.tuple(name, json), { maxLength: 5 })
  let fast = 0
  const property = fc.property(entries, fc.array(name, { minLength: 1, maxLength: 3 }), (members, names) => {
    const value = plain(textOf(new Members(members)))
    const slow = outcome(() => valueAt(null, value.parse(), names))
    assert.deepEqual(
      outcome(() => new FieldPath(names.join('.')).read(recordOf(value))),
      slow,
    )
    const member = plainMember(
      value.bytes,
      names.map((one) => Buffer.from(one)),
    )
    if (member !== undefined) fast++
    else if (typeof slow !== 'string') assert.ok(isStructure((slow as TypedValue).value))
  })
  fc.assert(property, { seed: testSeed, numRuns: 2000 })
  assert.ok(fast > 50, `${fast}`)
})

function isStructure(value: TypedValue['value']): boolean {
  return Array.isArray(value) || isJsonObject(value)
}
