import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nextScheduledRotation, TimePattern, TimeZone } from '../../../../connectors/s3/time-pattern.ts'
import { testSeed } from '../../../support/seed.ts'

const seed = testSeed
const hour = 3_600_000

test('days of 23 and 25 hours begin at local midnight', () => {
  const zone = new TimeZone('America/Los_Angeles')
  const springDay = Date.UTC(2024, 2, 10, 20)
  assert.equal(zone.startOfDay(springDay), Date.UTC(2024, 2, 10, 8))
  assert.equal(zone.startOfDay(springDay, 1) - zone.startOfDay(springDay), 23 * hour)
  const autumnDay = Date.UTC(2024, 10, 3, 20)
  assert.equal(zone.startOfDay(autumnDay, 1) - zone.startOfDay(autumnDay), 25 * hour)
})

test(`a rotation lies after now, within the period, and never past midnight (seed ${seed})`, () => {
  const zones = ['UTC', 'Europe/Berlin', 'America/Los_Angeles', 'Asia/Kolkata', 'Australia/Lord_Howe'].map(
    (id) => new TimeZone(id),
  )
  const instant = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2035, 0, 1) })
  fc.assert(
    fc.property(fc.constantFrom(...zones), instant, fc.integer({ min: 1000, max: 30 * hour }), (zone, now, period) => {
      const next = nextScheduledRotation(now, period, zone)
      assert.ok(next > now && next - now <= period)
      assert.ok(next <= zone.startOfDay(now, 1))
    }),
    { seed },
  )
})

test('the years 0 to 99 are not those of the 20th century', () => {
  const format = (pattern: string, zone: string) => new TimePattern(pattern, new TimeZone(zone), 'en').format(at)
  const at = Date.parse('0001-01-01T12:00:00Z')
  assert.equal(format('YYYY-MM-dd/DDD', 'UTC'), '0001-01-01/001')
  assert.equal(format('YYYY-MM-dd/HH', 'Etc/GMT+1'), '0001-01-01/11')
})

test('letters, quotes and names', () => {
  const zone = new TimeZone('Asia/Kolkata')
  const at = Date.UTC(2024, 11, 29, 20, 5, 6, 7)
  const format = (pattern: string, locale = 'en') => new TimePattern(pattern, zone, locale).format(at)
  assert.equal(format("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"), 'year=2024/month=12/day=30/hour=01')
  assert.equal(format("''yy x ww e D h K k a mm:ss.SSS Z ZZ"), "'24 2025 01 1 365 1 1 1 AM 35:06.007 +0530 +05:30")
  assert.equal(format('MMMM EEEE', 'de'), 'Dezember Montag')
  assert.equal(format('MMMM EEEE', 'de-DE'), 'Dec Mon')
  assert.throws(() => format('Q'), RangeError)
})

// As Joda-Time writes them with the names of Java 17.
for (const [pattern, locale, expected] of [
  ['MMMM', 'ru', 'июня'],
  ['MMMM', 'pl', 'czerwca'],
  ['MMMM', 'fi', 'kesäkuuta'],
  ['MMMM', 'ca', 'de juny'],
  ['MMMM', 'fa', 'ژوئن'],
  ['MMM', 'cs', 'čvn'],
  ['MMM', 'ja', '6月'],
  ['MMMM', 'zh', '六月'],
  ['E', 'de', 'Mo.'],
  ['E', 'DE', 'Mo.'],
  ['EEEE', 'fi', 'maanantaina'],
  ['EEEE', 'th', 'วันจันทร์'],
  ['a', 'ja', '午後'],
  ['a', 'el', 'μ.μ.'],
  ['a', 'xx', 'PM'],
  ['MMMM EEEE G', 'xx', 'Jun Mon CE'],
  ['C G', 'en', '20 AD'],
  ['G', 'de', 'n. Chr.'],
] as const) {
  test(`${pattern} of a Monday in June in '${locale}' is ${expected} (S27)`, () => {
    const at = Date.UTC(2024, 5, 3, 15, 53, 20)
    assert.equal(new TimePattern(pattern, new TimeZone('UTC'), locale).format(at), expected)
  })
}
