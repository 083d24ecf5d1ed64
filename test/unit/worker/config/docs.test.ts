/** The generated reference: fresh, and complete as to error codes. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { defineConfig, oneOf } from '../../../../worker/api/config.ts'
import { allErrorCodes, sourcesBelow, updateDocuments } from '../../../../worker/cli/docs.ts'
import { optionTables, putSection } from '../../../../worker/config/config-docs.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

test('the READMEs are up to date (otherwise: npm run docs)', async () => {
  assert.deepEqual(await updateDocuments(true), [])
})

test('every error code in the sources is in the reference', async () => {
  const codes = await allErrorCodes()
  const missing = new Set<string>()
  for (const folder of ['worker', 'connectors', 'transforms']) {
    for (const path of await sourcesBelow(`${root}${folder}`)) {
      // Templates of plugins that are not ours.
      if (path.includes('/worker/cli/new/')) continue
      for (const [, code = ''] of (await readFile(path, 'utf8')).matchAll(/'(CONNECT_[A-Z0-9_]+)'/gu)) {
        if (!Object.hasOwn(codes, code)) missing.add(code)
      }
    }
  }
  assert.deepEqual([...missing], [], 'define them with defineErrorCodes beside the errors')
})

test('option tables: required, defaults, groups, columns kept', () => {
  const def = defineConfig({
    a: { type: 'STRING', importance: 'HIGH', doc: 'x | y\nz <b>' },
    b: { type: 'LIST', default: ['1', '2'], importance: 'LOW', doc: 'list', group: 'G' },
    c: {
      type: 'STRING',
      default: '',
      valid: oneOf('', 'v'),
      importance: 'LOW',
      doc: 'd',
      group: 'G',
      alternatives: ['old.c'],
    },
    secret: { type: 'PASSWORD', default: 'hunter2', importance: 'LOW', doc: 'p', internal: true },
  })
  assert.equal(
    optionTables(def, '###'),
    `| Option | Type | Default | Importance | Meaning |
|---|---|---|---|---|
| \`a\` | STRING | **required** | high | x \\| y z &lt;b> |

### G

| Option | Type | Default | Importance | Meaning |
|---|---|---|---|---|
| \`b\` | LIST | \`1,2\` | low | list |
| \`c\` or \`old.c\` | STRING | "" | low | d Valid: [, v]. |
`,
  )
})

test('what people write around the markers stays', () => {
  const section = (content: string) => ({ name: 'options', heading: '## Options', content })
  const once = putSection('# Title\n\nIntro.\n', section('table 1'))
  assert.match(once, /^# Title\n\nIntro\.\n\n## Options\n\n<!-- options -->/u)
  const more = `${once.replace('Intro.', 'Better intro.')}\nAfterword.\n`
  const twice = putSection(more, section('table 2'))
  assert.match(twice, /Better intro\.[^]*table 2[^]*Afterword\.\n$/u)
  assert.doesNotMatch(twice, /table 1/u)
  assert.equal(twice.match(/## Options/gu)?.length, 1)
  assert.equal(putSection(twice, section('table 2')), twice)
})
