import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { atLeast, defineConfig, nonEmptyList, oneOf, Password } from '../../../../worker/api/config.ts'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { javaTrim, parseConfig, renderValue, validateConfig } from '../../../../worker/config/config-def.ts'
import { testSeed } from '../../../support/seed.ts'

const def = defineConfig(
  {
    name: { type: 'STRING', importance: 'HIGH', doc: 'n' },
    size: { type: 'INT', default: 5, valid: atLeast(1), importance: 'LOW', doc: 's', dependents: ['mode'] },
    mode: { type: 'STRING', default: 'a', valid: oneOf('a', 'b'), importance: 'LOW', doc: 'm' },
    list: { type: 'LIST', default: [], importance: 'LOW', doc: 'l' },
    secret: { type: 'PASSWORD', default: null, importance: 'LOW', doc: 'p' },
    flag: { type: 'BOOLEAN', default: false, importance: 'LOW', doc: 'f' },
    ratio: { type: 'DOUBLE', default: 1, importance: 'LOW', doc: 'd' },
    long: { type: 'LONG', default: 0, importance: 'LOW', doc: 'g', alternatives: ['old.long'] },
  },
  {
    validate: (config) => (config.size > 100 && !config.flag ? [{ option: 'size', message: 'large needs flag' }] : []),
  },
)

function problems(raw: Record<string, string | null>): string[] {
  try {
    parseConfig(def, raw)
    return []
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.problems.map((p) => `${p.option}: ${p.message}`)
  }
}

test('values are typed and trimmed, lists split, defaults filled in', () => {
  const config = parseConfig(def, {
    name: ' x ',
    size: ' +7 ',
    list: ' a , b,c',
    secret: 'pw',
    flag: 'TRUE',
    ratio: '1e3',
    'old.long': '9',
  })
  assert.deepEqual(
    { ...config, secret: config.secret?.reveal() },
    { name: 'x', size: 7, mode: 'a', list: ['a', 'b', 'c'], secret: 'pw', flag: true, ratio: 1000, long: 9 },
  )
  assert.equal(`${config.secret}`, '[hidden]')
  assert.deepEqual(parseConfig(def, { name: 'x', list: '' }).list, [])
})

test("all problems at once, with Kafka's texts", () => {
  assert.deepEqual(problems({ size: 'many', mode: 'c', flag: 'yes', ratio: 'x' }), [
    'name: Missing required configuration "name" which has no default value.',
    'size: Invalid value many for configuration size: Not a number of type INT',
    'size: Invalid value null for configuration size: Value must be non-null',
    'mode: Invalid value c for configuration mode: String must be one of: a, b',
    'flag: Invalid value yes for configuration flag: Expected value to be either true or false',
    'ratio: Invalid value x for configuration ratio: Not a number of type DOUBLE',
  ])
  assert.deepEqual(problems({ name: 'x', size: '0' }), [
    'size: Invalid value 0 for configuration size: Value must be at least 1',
  ])
  assert.deepEqual(problems({ name: 'x', size: '2147483648' }), [
    'size: Invalid value 2147483648 for configuration size: Not a number of type INT',
    'size: Invalid value null for configuration size: Value must be non-null',
  ])
})

test('rules between options run only when each option by itself is fine', () => {
  assert.deepEqual(problems({ name: 'x', size: '101' }), ['size: large needs flag'])
  assert.deepEqual(problems({ size: '101' }), [
    'name: Missing required configuration "name" which has no default value.',
  ])
})

test('REST form: defaults rendered, secrets hidden, a LONG beyond 2^53 as it was written', () => {
  const infos = validateConfig(def, { name: 'x', secret: 'pw', long: '9223372036854775807', list: 'a, b' })
  const values = Object.fromEntries(infos.map((info) => [info.value.name, info.value.value]))
  assert.deepEqual(values, {
    name: 'x',
    size: '5',
    mode: 'a',
    list: 'a,b',
    secret: '[hidden]',
    flag: 'false',
    ratio: '1.0',
    long: '9223372036854775807',
  })
  assert.equal(infos[0]?.definition?.required, true)
  assert.equal(infos[1]?.definition?.default_value, '5')
  assert.equal(renderValue('DOUBLE', 1e7), '1.0E7')
  assert.equal(renderValue('PASSWORD', new Password('x')), '[hidden]')
})

test('a definition that refers to a dependent it does not have says so', () => {
  const broken = defineConfig({
    a: { type: 'LIST', default: null, valid: nonEmptyList, importance: 'LOW', doc: '', dependents: ['nowhere'] },
  })
  const infos = validateConfig(broken, { a: 'x' })
  assert.deepEqual(infos[1]?.value.errors, ['nowhere is referred in the dependents, but not defined.'])
  assert.equal(infos[1]?.value.visible, false)
})

test('whatever text is given, validation answers and agrees with parsing', () => {
  const seed = testSeed
  const options = fc.dictionary(fc.constantFrom(...Object.keys(def.keys), 'other'), fc.option(fc.string()))
  fc.assert(
    fc.property(options, (raw) => {
      const invalid = validateConfig(def, raw).some((info) => info.value.errors.length > 0)
      assert.equal(problems(raw).length > 0, invalid)
    }),
    { seed, verbose: 1 },
  )
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.equal(javaTrim(text), text.replaceAll(/^[\0- ]+|[\0- ]+$/gu, ''))
    }),
    { seed },
  )
})
