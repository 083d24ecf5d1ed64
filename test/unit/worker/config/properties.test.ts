import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { decodeProperties, parseProperties } from '../../../../worker/config/properties.ts'
import { testSeed } from '../../../support/seed.ts'

test('separators, comments, continuations, escapes', () => {
  const text = [
    '# comment',
    '! another \\',
    'a=1',
    '  b : 2',
    'c 3 = 4',
    'd=x\\',
    '   y\\',
    '# not a comment',
    'e\\=f\\ g=h\\tt\\u0041\\\\',
    'empty',
    'odd=\\\\\\',
    'z',
    'a=last',
  ].join('\n')
  assert.deepEqual(parseProperties(text), {
    a: 'last',
    b: '2',
    c: '3 = 4',
    d: 'xy# not a comment',
    'e=f g': 'h\ttA\\',
    empty: '',
    odd: '\\z',
  })
  assert.throws(() => parseProperties('ok=1\nx=\\u12'), /line 2: malformed/u)
})

test('UTF-8, or Latin-1 where the bytes are not UTF-8', () => {
  assert.equal(decodeProperties(Buffer.from('a=é', 'utf8')), 'a=é')
  assert.equal(decodeProperties(Buffer.from('a=é', 'latin1')), 'a=é')
})

test('what is written with all escapes is read back', () => {
  const escape = (text: string): string =>
    Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
  const key = fc.string({ minLength: 1 }).filter((k) => k !== '__proto__')
  fc.assert(
    fc.property(fc.dictionary(key, fc.string()), (config) => {
      const text = Object.entries(config)
        .map(([k, v]) => `${escape(k)}=${escape(v)}`)
        .join('\n')
      assert.deepEqual(parseProperties(text), { ...config })
    }),
    { seed: testSeed, verbose: 1 },
  )
})
