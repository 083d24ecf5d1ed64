import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { javaJson } from '../../../../worker/cluster/java-json.ts'

test('escapes are those of Jackson: capitals, and two for a character beyond the BMP', () => {
  assert.equal(javaJson('a\u001f😀é\u2028\u007f/\t"\\'), '"a\\u001F\\uD83D\\uDE00é\u2028\u007f/\\t\\"\\\\"')
  // A backslash before a u is no escape.
  assert.equal(javaJson('\\u001f \\\u001f'), '"\\\\u001f \\\\\\u001F"')
})

test('it is read back as what was written', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      assert.deepEqual(JSON.parse(javaJson(value)), JSON.parse(JSON.stringify(value)))
    }),
  )
})
