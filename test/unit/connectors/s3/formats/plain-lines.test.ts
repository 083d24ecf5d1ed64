import { equal, notEqual } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BlockBuffer } from '../../../../../connectors/s3/block-buffer.ts'
import { JsonFormat } from '../../../../../connectors/s3/formats/json.ts'
import { MemoryBudget } from '../../../../../connectors/s3/memory-budget.ts'
import { parseJsonBytes } from '../../../../../worker/api/json.ts'
import { PlainJson } from '../../../../../worker/api/plain-json.ts'
import { SinkRecord } from '../../../../../worker/api/record.ts'
import { testSeed } from '../../../../support/seed.ts'

class Target {
  readonly name = 'k'
  readonly buffer = new BlockBuffer(new MemoryBudget(1e9), 16)

  text = (text: string) => this.buffer.text(text)
  bytes = (bytes: Uint8Array) => this.buffer.bytes(bytes)
  slice = (bytes: Buffer, start: number, end: number) => this.buffer.slice(bytes, start, end)
  mark = () => this.buffer.length
  rollback = (mark: number) => this.buffer.truncate(mark)
  account = () => undefined

  get written(): string {
    return this.buffer.view().toString('utf8')
  }
}

const format = new JsonFormat({ numericDecimals: false, metaFields: [] })

/** The line as objects are printed. */
function slowLine(text: string): string {
  const out = new Target()
  const value = parseJsonBytes(Buffer.from(text))
  const record = new SinkRecord({ topic: 't', partition: 0, offset: 0n, value })
  format.open(out).write({ schema: null, value, record })
  return out.written
}

/** The line as bytes are copied, null when they are not. Other lines around it must stay as they are. */
function fastLine(text: string): string | null {
  const json = PlainJson.of(Buffer.from(text))
  if (json === null) return null
  const out = new Target()
  const encoder = format.open(out)
  out.text('before\n')
  const taken = encoder.writePlain?.(json) === true
  out.text('after')
  const lines = out.written
  equal(lines.startsWith('before\n') && lines.endsWith('after'), true)
  const line = lines.slice('before\n'.length, -'after'.length)
  if (taken) return line
  equal(line, '', 'nothing is left of a line that was given up')
  return null
}

// What producers write day by day must not miss the fast lane unnoticed.
for (const text of [
  '{}',
  '{"a":1}',
  '{"id":17,"name":"record 17","amount":4.25,"active":true,"text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}',
  '{"zebra":{"b":[{"y":1,"x":[]},{}],"a":null},"apple":"Zürich – 東京","n":-12.5}',
  '{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}',
  '{"big":123456789012345678,"small":0.001,"zero":0.5,"whole":7.0}',
  `{${Array.from({ length: 60 }, (_, i) => `"member ${i}":${i}`).join()}}`,
]) {
  test(`copies ${text.slice(0, 60)} as it would be printed (statement S54)`, () => {
    equal(fastLine(text), slowLine(text))
  })
}

// Each would come out differently, or is none of ours to judge.
for (const text of [
  '[1]',
  '"text"',
  'null',
  '1',
  '',
  '{',
  '{"a":1',
  '{"a"}',
  '{"a":}',
  '{"a":1,}',
  '{,"a":1}',
  '{"a":1}}',
  '{"a":1} ',
  ' {"a":1}',
  '{"a": 1}',
  '{"a":01}',
  '{"a":-}',
  '{"a":1.}',
  '{"a":.5}',
  '{"a":+1}',
  '{"a":-0}',
  '{"a":-0.0}',
  '{"a":0.0}',
  '{"a":1.50}',
  '{"a":1e3}',
  '{"a":1.5e3}',
  '{"a":0.0001}',
  '{"a":12345678.5}',
  '{"a":1.234567890123456789}',
  '{"a":9223372036854775808}',
  '{"a":tru}',
  '{"a":nul}',
  '{"a":NaN}',
  '{"a":"\\u0041"}',
  '{"a":"\\n"}',
  '{"a":"\u0001"}',
  '{"a":"😀"}',
  '\ufeff{"a":1}',
  '{"a":[1,]}',
  '{"a":[,1]}',
  '{"a":[1}',
  `${'{"a":'.repeat(70)}1${'}'.repeat(70)}`,
]) {
  test(`leaves ${JSON.stringify(text.slice(0, 40))} to the ordinary way`, () => equal(fastLine(text), null))
}

test('leaves bytes that are not UTF-8 to the ordinary way, which refuses them', () => {
  equal(PlainJson.of(Buffer.from('{"a":"\u00fc"}', 'latin1')), null)
})

// The last of equal names counts; names whose hashes collide may be equal for all the copier knows.
for (const text of [
  '{"a":1,"b":2,"a":3}',
  '{"Aa":1,"BB":2}',
  '{"é":1}',
  `{"a":${'{"a":'.repeat(9)}1${'}'.repeat(10)}`,
]) {
  test(`gives ${text.slice(0, 40)} up after a look at its members`, () => {
    notEqual(PlainJson.of(Buffer.from(text)), null)
    equal(fastLine(text), null)
  })
}

const seed = testSeed
const name = fc.oneof(fc.string({ maxLength: 6 }), fc.constantFrom('id', 'name', 'Aa', 'BB', 'user_uid', 'é'))
const numberText = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.integer({ min: -99_999_999, max: 99_999_999 }), fc.nat(99_999)).map(([a, b]) => `${a}.${b}`),
  fc.bigInt({ min: -(2n ** 66n), max: 2n ** 66n }).map(String),
)
const texts = fc.letrec<{ value: string; object: string }>((tie) => ({
  object: fc
    .array(fc.tuple(name, tie('value')), { maxLength: 20 })
    .map((members) => `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join()}}`),
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(
      numberText,
      fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
      fc.string({ maxLength: 90 }).map((text) => JSON.stringify(text)),
      fc.constantFrom('true', 'false', 'null'),
    ),
    tie('object'),
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join()}]`),
  ),
}))

test(`what is copied is what would be printed, seed ${seed} (statement S54)`, () => {
  let copied = 0
  fc.assert(
    fc.property(texts.object, (text) => {
      const line = fastLine(text)
      if (line === null) return
      copied++
      equal(line, slowLine(text))
    }),
    { seed, numRuns: 3000 },
  )
  notEqual(copied, 0)
})

test(`a changed byte is never copied where it would be refused, seed ${seed}`, () => {
  fc.assert(
    fc.property(
      texts.object,
      fc.nat(),
      fc.constantFrom('{', '}', '[', ']', '"', ',', ':', '.', '0', '-', 'e', '\\', ' ', 'x'),
      (text, at, put) => {
        const position = at % text.length
        const changed = text.slice(0, position) + put + text.slice(position + 1)
        const line = fastLine(changed)
        if (line !== null) equal(line, slowLine(changed))
      },
    ),
    { seed, numRuns: 3000 },
  )
})
