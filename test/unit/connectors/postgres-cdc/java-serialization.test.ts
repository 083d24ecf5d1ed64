import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type JavaValue, readKey, writeKey } from '../../../../connectors/postgres-cdc/java-serialization.ts'

const head = 'aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c0200007870'
const integer =
  '737200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565787200106a6176612e6c616e672e4e756d626572' +
  '86ac951d0b94e08b0200007870'
const long = '7372000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c7565'

describe('keys in the form of Java serialisation', () => {
  // Bytes as java.io.ObjectOutputStream writes them.
  const known: readonly [string, readonly JavaValue[] | null, string][] = [
    ['null', null, 'aced000570'],
    ['[5]', [{ type: 'int', value: 5 }], `${head}00000001${integer}00000005`],
    ['["abc"]', [{ type: 'string', value: 'abc' }], `${head}00000001740003616263`],
    [
      '[5, 6]',
      [
        { type: 'int', value: 5 },
        { type: 'int', value: 6 },
      ],
      `${head}00000002${integer}000000057371007e000200000006`,
    ],
    [
      '[5, 7L, null]',
      [{ type: 'int', value: 5 }, { type: 'long', value: 7n }, null],
      `${head}00000003${integer}00000005${long}7871007e0003000000000000000770`,
    ],
  ]
  for (const [name, value, text] of known) {
    it(`writes and reads ${name} as Java does`, () => {
      assert.equal(writeKey(value), text)
      assert.deepEqual(readKey(writeKey(value)), value)
    })
  }

  it('reads what it wrote', () => {
    const element = fc.oneof(
      fc.integer().map((value): JavaValue => ({ type: 'int', value })),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value): JavaValue => ({ type: 'long', value })),
      fc.string({ unit: 'binary' }).map((value): JavaValue => ({ type: 'string', value })),
      fc.uuid().map((value): JavaValue => ({ type: 'uuid', value })),
      fc.constant<JavaValue>(null),
    )
    fc.assert(
      fc.property(fc.array(element), (key) => {
        assert.deepEqual(readKey(writeKey(key)), key)
      }),
      { verbose: true },
    )
  })

  it('says that it cannot read other classes, damage and other text', () => {
    for (const text of ['', 'zz', head, `${head}00000001`, `${head}0000000173`, `${head}7fffffff`]) {
      assert.equal(readKey(text), undefined)
    }
  })
})
