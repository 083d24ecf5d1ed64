import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { expandReplacement, type JavaMatch, JavaRegex } from '../../../../worker/api/java-regex.ts'
// What `java.util.regex` (Java 25) answered: start and groups of `matches()` and of the first `find()`, or its error.
import cases from './java-regex-cases.json' with { type: 'json' }

/** As recorded: start, then each group. */
function recorded(match: JavaMatch | null): readonly (number | string | null)[] | null {
  return match === null ? null : [match.index, ...match.groups]
}

suite('Java regular expressions', () => {
  for (const { pattern, ignoreCase = false, texts, error } of cases) {
    test(`${JSON.stringify(pattern)}${ignoreCase ? ' in any case' : ''} answers as Java`, () => {
      if (error !== undefined) {
        assert.throws(() => new JavaRegex(pattern), { name: 'SyntaxError', message: error })
        return
      }
      const regex = new JavaRegex(pattern, { ignoreCase })
      for (const { text, match, find } of texts) {
        assert.deepEqual(recorded(regex.match(text)), match, `matches ${JSON.stringify(text)}`)
        assert.deepEqual(recorded(regex.find(text)), find, `find in ${JSON.stringify(text)}`)
        assert.equal(regex.matches(text), match !== null)
        assert.equal(regex.whole.test(text), match !== null)
      }
    })
  }

  test('what JavaScript cannot do is an error that says so', () => {
    for (const pattern of ['\\Ga', '\\X', '\\N{LATIN SMALL LETTER A}', '\\p{InGreek}', '(?U)a']) {
      assert.throws(() => new JavaRegex(pattern), SyntaxError, pattern)
    }
  })

  test('replacements: groups by number and name, escapes, and only where the whole matches', () => {
    const regex = new JavaRegex('(?<first>\\w++)-(x)?(\\d+)')
    assert.equal(regex.replaceWhenWhole('ab-12', '$3_${first}_$2_\\$1'), '12_ab__$1')
    assert.equal(regex.replaceWhenWhole('ab-12.', '$1'), null)
    assert.equal(regex.replaceWhenWhole('ab-12', '$15'), 'ab5', 'there is no group 15')
    assert.equal(new JavaRegex('a|ab').replaceWhenWhole('ab', 'X'), 'Xb')
    const match = regex.find('ab-12')
    assert.ok(match !== null)
    assert.throws(() => expandReplacement('$4', match), { name: 'RangeError', message: 'No group 4' })
    assert.throws(() => expandReplacement('${last}', match), { message: 'No group with name {last}' })
    assert.throws(() => expandReplacement('$x', match), { message: 'Illegal group reference' })
    assert.throws(() => expandReplacement('x\\', match), { message: 'character to be escaped is missing' })
  })
})
