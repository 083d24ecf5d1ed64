import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { differences, isOrderOfMembers, memberTexts, readJson, withChange, writeJson } from './exact-json.ts'
import { Normaliser } from './normalise.ts'
import { expectedOutcome } from './player.ts'

describe('comparison of recorded sink cases', () => {
  it('keeps integers beyond 2^53 apart and digits as written', () => {
    const [big, other] = [readJson('{"n":9007199254740993}'), readJson('{"n":9007199254740992}')]
    assert.equal(differences(big, other).length, 1)
    assert.equal(writeJson(big), '{"n":9007199254740993}')
    assert.equal(
      memberTexts('{"value": {"a": 1.50, "b": 12345678901234567890}}').get('value'),
      '{"a":1.50,"b":12345678901234567890}',
    )
    assert.deepEqual(differences(readJson('[1, 1.0]'), readJson('[1.0, 1]')), [])
  })

  it('finds every kind of difference', () => {
    const expected = readJson('{"a":1,"b":[1,2],"c":{"d":null}}')
    assert.deepEqual(differences(expected, readJson('{"c":{"d":null},"b":[1,2],"a":1}')), [])
    assert.deepEqual(
      differences(expected, readJson('{"a":2,"b":[1,2,3],"c":{}, "e":0}')).map(({ path }) => path),
      [['a'], ['b'], ['c', 'd'], ['e']],
    )
  })

  it('tells lines that differ in the order of their members from those that differ', () => {
    const path = ['final', 'objects', 0, 'lines', 0]
    const isOrder = (expected: string, actual: string) => isOrderOfMembers({ path, expected, actual })
    assert.ok(isOrder('{"a":1,"b":{"c":"é","d":2}}\n', '{"b":{"d":2,"c":"\\u00e9"},"a":1}\n'))
    assert.ok(!isOrder('{"a":[1,2]}\n', '{"a":[2,1]}\n'))
    assert.ok(!isOrder('{"a":1}\n', '{"a":1}'))
    assert.ok(!isOrder('{"a":9007199254740993}\n', '{"a":9007199254740992}\n'))
    assert.ok(!isOrder('{"a":1}\n', '{"a":1,"b":null}\n'))
    assert.ok(!isOrder('text\n', 'other\n'))
    // Elsewhere a text is what it is.
    assert.ok(!isOrderOfMembers({ path: ['final', 'dlq', 0], expected: '{"a":1,"b":2}', actual: '{"b":2,"a":1}' }))
  })

  it('refuses an expectation of our own that changes nothing', () => {
    const path = ['final', 'status', 'connector']
    const changed = expectedOutcome('s3', '001-flush-size', [{ path, value: 'FAILED' }])
    assert.deepEqual(
      differences(changed, expectedOutcome('s3', '001-flush-size', [])).map((d) => d.path),
      [path],
    )
    assert.throws(() => expectedOutcome('s3', '001-flush-size', [{ path, value: 'RUNNING' }]), /remove the change/)
    assert.deepEqual(withChange({ a: 1, b: 2 }, ['a'], undefined), { b: 2 })
  })

  it('replaces what varies between runs, in names as in values', () => {
    const addresses = new Map([['es', 'http://127.0.0.1:9200']])
    const normaliser = new Normaliser({ prefix: 'cs-a1b2c3', addresses, replace: [['took (\\d)', 'took <\\1>']] })
    assert.deepEqual(
      normaliser.json({ 'cs-a1b2c3-x': ['http://127.0.0.1:9200/CS-A1B2C3', 'at 127.0.0.1:9200', 'took 5'] }),
      {
        '${p}-x': ['${es}/${P}', 'at ${es}', 'took <5>'],
      },
    )
    assert.deepEqual(normaliser.bytes(Buffer.from([0xff])), { $hex: 'ff' })
  })
})
