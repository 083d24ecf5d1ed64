/** Which of the numbered statements (`test/conformance/statements.md`) tests cite. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectRoot } from '../../support/project-root.ts'

const namespaces = ['', 'P', 'E', 'S', 'R'] as const
type Namespace = (typeof namespaces)[number]
const titles: Readonly<Record<Namespace, string>> = {
  '': 'Connect',
  P: 'Postgres',
  E: 'Elasticsearch',
  S: 'S3',
  R: 'Redshift',
}

/** Numbers of the list, e.g. `12`, `E30`. */
function listed(): ReadonlySet<string> {
  const text = readFileSync(join(projectRoot, 'test/conformance/statements.md'), 'utf8')
  return new Set(Array.from(text.matchAll(/^- ([PESR]?\d+) /gmu), (match) => match[1] ?? ''))
}

/** A number, or a span of them: `12`, `E30`, `38–40`, `28 to 30`. */
const span = /([PESR]?)(\d+)(?:\s*(?:–|to)\s*[PESR]?(\d+))?/gu
const citation = /\bstatements? ((?:[PESR]?\d+(?:\s*(?:–|to)\s*[PESR]?\d+)?(?:, (?:and )?| and )?)+)/giu
/** Sink statements are also cited by themselves, in brackets at the end of a title; "S3" alone is the service. */
const bracketed = /\(((?:[PESR]\d+(?:–[PESR]?\d+)?(?:, | and |; )?)+)\)/gu

/** Numbers that a text cites. */
export function citedIn(text: string): readonly string[] {
  const lists = [...text.matchAll(citation), ...text.matchAll(bracketed)].map((match) => match[1] ?? '')
  return lists.filter((list) => list !== 'S3').flatMap(expand)
}

function expand(list: string): readonly string[] {
  return Array.from(list.matchAll(span)).flatMap(([, namespace = '', first = '', last = first]) => {
    const count = Number(last) - Number(first) + 1
    return Array.from({ length: Math.max(count, 1) }, (_, i) => `${namespace}${Number(first) + i}`)
  })
}

const patterns = ['test/**/*.test.ts', 'test/conformance/*.ts', 'test/chaos/*.ts']

test('citations are read in every form in use', () => {
  assert.deepEqual(citedIn('// statements 38–40, 54: x'), ['38', '39', '40', '54'])
  assert.deepEqual(citedIn('(statement 93, 150 and 151) statement P7, 3 times'), ['93', '150', '151', 'P7', '3'])
  assert.deepEqual(citedIn('nulls (E30, E56) in the S3 sink (S3), Statements 28 to 30'), [
    '28',
    '29',
    '30',
    'E30',
    'E56',
  ])
  assert.deepEqual(citedIn('a statement of 3 words'), [])
})

test('every cited statement exists', (t) => {
  const known = listed()
  const cited = new Set<string>()
  const unknown: string[] = []
  for (const file of globSync(patterns, { cwd: projectRoot })) {
    if (file === join('test', 'unit', 'conformance', 'statements.test.ts')) continue
    for (const number of citedIn(readFileSync(join(projectRoot, file), 'utf8'))) {
      cited.add(number)
      if (!known.has(number)) unknown.push(`${file}: statement ${number}`)
    }
  }
  for (const namespace of namespaces) {
    const all = [...known].filter((number) => number.replace(/\d+$/u, '') === namespace)
    const covered = all.filter((number) => cited.has(number))
    const missing = all.filter((number) => !cited.has(number))
    const rest = missing.length === 0 ? '' : `; not cited: ${missing.join(' ')}`
    t.diagnostic(`statements of ${titles[namespace]}: covered ${covered.length} of ${all.length}${rest}`)
  }
  assert.deepEqual(unknown, [])
})

test('numbers of the list have no gap', () => {
  const known = listed()
  for (const namespace of namespaces) {
    const numbers = [...known]
      .filter((n) => n.replace(/\d+$/u, '') === namespace)
      .map((n) => Number(n.slice(namespace.length)))
    assert.deepEqual(
      numbers,
      numbers.map((_, i) => i + 1),
    )
  }
})
