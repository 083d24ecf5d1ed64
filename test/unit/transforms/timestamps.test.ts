import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DateFormat } from '../../../transforms/date-format.ts'
import { LogicalName, makeSchema, type Schema, Schemas, type Value } from '../../../worker/api/data.ts'
import { SourceRecord } from '../../../worker/api/record.ts'
import { record, shape, struct, transform } from './support.ts'

const logical = (type: 'INT32' | 'INT64', name: string, optional = false): Schema =>
  makeSchema({ type, name, version: 1, optional })
const ms = Date.UTC(2024, 1, 29, 23, 59, 58, 123)
const dayStart = Date.UTC(2024, 1, 29)

describe('TimestampRouter (statement 164)', () => {
  it('names the topic after the time in UTC', async () => {
    const router = await transform('TimestampRouter', { 'topic.format': '${timestamp}/${topic}$1' })
    assert.equal(router.apply(record({ topic: 'a$&', timestamp: ms }))?.topic, '20240229/a$&$1')
    const hourly = await transform('TimestampRouter', { 'timestamp.format': "yyyy-MM-dd'T'HH" })
    assert.equal(hourly.apply(record({ timestamp: ms }))?.topic, 'topic-2024-02-29T23')
  })

  it('needs a timestamp, and a pattern that means something', async () => {
    const router = await transform('TimestampRouter')
    assert.throws(() => router.apply(new SourceRecord({ sourcePartition: {}, sourceOffset: {}, topic: 't' })), {
      kind: 'record',
      message: /^Timestamp missing on record: /,
    })
    await assert.rejects(
      () => transform('TimestampRouter', { 'timestamp.format': 'yyyy-nn' }),
      /Illegal pattern character/,
    )
  })
})

describe('TimestampConverter (statement 163)', () => {
  const format = 'yyyy-MM-dd HH:mm:ss.SSS'
  const text = '2024-02-29 23:59:58.123'
  const sources: readonly (readonly [string, Schema, Value, number])[] = [
    ['string', Schemas.string, text, ms],
    ['unix', Schemas.int64, BigInt(ms), ms],
    ['Date', logical('INT32', LogicalName.date), new Date(dayStart), dayStart],
    ['Time', logical('INT32', LogicalName.time), new Date(ms % 86_400_000), ms % 86_400_000],
    ['Timestamp', logical('INT64', LogicalName.timestamp), new Date(ms), ms],
  ]
  const targets: readonly (readonly [string, string | null, (at: number) => Value])[] = [
    ['string', null, (at) => new Date(at).toISOString().replace('T', ' ').replace('Z', '')],
    ['unix', null, (at) => BigInt(at)],
    ['Date', LogicalName.date, (at) => new Date(at - (at % 86_400_000))],
    ['Time', LogicalName.time, (at) => new Date(at % 86_400_000)],
    ['Timestamp', LogicalName.timestamp, (at) => new Date(at)],
  ]
  for (const [from, schema, value, at] of sources) {
    for (const [to, name, expected] of targets) {
      it(`${from} to ${to}, whole value and field`, async () => {
        const convert = await transform('TimestampConverter$Value', { 'target.type': to, format })
        const out = convert.apply(record({ valueSchema: schema, value }))
        assert.deepEqual([out?.value, out?.valueSchema?.name], [expected(at), name])
        const field = await transform('TimestampConverter$Value', { 'target.type': to, format, field: 'f' })
        const typed = struct({ f: schema, other: Schemas.string })
        const changed = field.apply(record({ valueSchema: typed, value: { f: value, other: 'x' } }))
        assert.deepEqual(changed?.value, { f: expected(at), other: 'x' })
        assert.equal(changed?.valueSchema?.fieldsByName.get('f')?.schema.name, name)
      })
    }
  }

  const precisions: readonly (readonly [string, bigint, bigint])[] = [
    ['seconds', 1_709_251_198n, 1_709_251_198_000n],
    ['milliseconds', BigInt(ms), BigInt(ms)],
    ['microseconds', BigInt(ms) * 1000n + 999n, BigInt(ms)],
    ['nanoseconds', BigInt(ms) * 1_000_000n + 999_999n, BigInt(ms)],
  ]
  for (const [precision, unix, expectedMs] of precisions) {
    it(`reads and writes Unix time in ${precision}`, async () => {
      const read = await transform('TimestampConverter$Key', {
        'target.type': 'Timestamp',
        'unix.precision': precision,
      })
      assert.deepEqual(read.apply(record({ key: unix }))?.key, new Date(Number(expectedMs)))
      const write = await transform('TimestampConverter$Key', { 'target.type': 'unix', 'unix.precision': precision })
      const written = write.apply(record({ key: new Date(Number(expectedMs)) }))?.key
      const finer = { microseconds: 999n, nanoseconds: 999_999n }[precision] ?? 0n
      assert.equal(written, unix - finer)
    })
  }

  it('keeps optional fields and structs, converts defaults, passes nulls', async () => {
    const convert = await transform('TimestampConverter$Value', { 'target.type': 'unix', field: 'f' })
    const schema = makeSchema({
      type: 'STRUCT',
      optional: true,
      defaultValue: { f: new Date(5) },
      fields: [{ name: 'f', schema: logical('INT64', LogicalName.timestamp, true) }],
    })
    const out = convert.apply(record({ valueSchema: schema, value: null }))
    assert.equal(out?.value, null)
    assert.deepEqual(shape(out?.valueSchema ?? null), { f: 'INT64?' })
    assert.deepEqual([out?.valueSchema?.optional, out?.valueSchema?.defaultValue], [true, { f: 5n }])
    assert.deepEqual(convert.apply(record({ valueSchema: schema, value: { f: null } }))?.value, { f: null })
    assert.deepEqual(convert.apply(record({ value: { f: null, g: 1 } }))?.value, { f: null, g: 1 })
    assert.equal(convert.apply(record())?.value, null)
  })

  it('names what is no time (I6: nothing out of range becomes an invalid date)', async () => {
    const convert = await transform('TimestampConverter$Value', { 'target.type': 'Timestamp', format })
    const fails = (init: Parameters<typeof record>[0], message: RegExp): void =>
      assert.throws(() => void convert.apply(record(init)), { kind: 'record', message })
    fails(
      { value: 'x' },
      /^Could not parse timestamp: value \(x\) does not match pattern \(yyyy-MM-dd HH:mm:ss\.SSS\)$/,
    )
    fails({ value: true }, /^TimestampConverter does not support class java\.lang\.Boolean objects as timestamps$/)
    fails({ valueSchema: Schemas.int32, value: 1 }, /^Schema Schema\{INT32\} does not correspond to a known timestamp/)
    fails({ value: 2n ** 62n }, /beyond the year 275760/)
    await assert.rejects(
      () => transform('TimestampConverter$Value', { 'target.type': 'string' }),
      /requires format option/,
    )
    await assert.rejects(
      () => transform('TimestampConverter$Value', { 'target.type': 'string', format: 'bb' }),
      /requires a SimpleDateFormat-compatible pattern/,
    )
  })
})

describe('patterns of SimpleDateFormat', () => {
  const formats: readonly (readonly [string, string])[] = [
    ['yyyy.MM.dd G', '2024.02.29 AD'],
    ["EEE, MMM d, ''yy", "Thu, Feb 29, '24"],
    ["hh 'o''clock' a, zzzz", "11 o'clock PM, Coordinated Universal Time"],
    ['EEEE MMMM K k u F', 'Thursday February 11 23 4 5'],
    ['YYYY-ww D W', '2024-09 60 5'],
    ['yyMMddHHmmssZ', '240229235958+0000'],
    ["yyyy-MM-dd'T'HH:mm:ss.SSSXXX", '2024-02-29T23:59:58.123Z'],
    ['SSSSSS', '000123'],
  ]
  for (const [pattern, expected] of formats) {
    it(`formats ${pattern}`, () => assert.equal(new DateFormat(pattern).format(ms), expected))
  }

  const parses: readonly (readonly [string, string, number | null])[] = [
    ['yyyyMMddHHmmssSSS', '20240229235958123', ms],
    ['yyyy-MM-dd', '2024-02-29 and more', dayStart],
    ['yyyy-MM-dd', '2024-13-01', Date.UTC(2025, 0, 1)],
    ['d MMM yyyy', '29 feb 2024', dayStart],
    ['d MMMM yyyy', '29 February 2024', dayStart],
    ['hh:mm a', '12:30 AM', 30 * 60_000],
    ['hh:mm a', '12:30 PM', 12.5 * 3_600_000],
    ["yyyy-MM-dd'T'HH:mmXXX", '2024-02-29T02:00+02:00', dayStart],
    ['yyyy-MM-dd HH z', '2024-02-28 20 GMT-04:00', dayStart],
    ['yyyy-DDD', '2024-060', dayStart],
    ['yyyy-MM-dd', '2024/02/29', null],
    ['yyyyMMdd', '2024', null],
  ]
  for (const [pattern, text, expected] of parses) {
    it(`reads ${text} by ${pattern}`, () => assert.equal(new DateFormat(pattern).parse(text), expected))
  }

  it('reads what it has written', () => {
    const format = new DateFormat("yyyy-MM-dd'T'HH:mm:ss.SSSXXX")
    const times = fc.integer({ min: Date.UTC(1, 0, 1), max: Date.UTC(9999, 11, 31) })
    fc.assert(fc.property(times, (at) => format.parse(format.format(at)) === at))
  })
})
