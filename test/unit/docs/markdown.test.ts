import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { suite, test } from 'node:test'
import { builtinPlugins } from '../../../worker/plugins/builtin.ts'
import { projectRoot } from '../../support/project-root.ts'

const exclude = (path: string) => /(^|\/)(node_modules|dist|\.stack|\.git|\.venv)$/.test(path)
const pages = globSync('**/*.md', { cwd: projectRoot, exclude })

const textOf = (page: string) => readFileSync(join(projectRoot, page), 'utf8')

/** Without blocks of code, where brackets before parentheses are no links. */
const proseOf = (page: string) => textOf(page).replaceAll(/```[\s\S]*?```/gu, '')

/** Anchors of a page as GitHub makes them of its headings. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = [...text.matchAll(/^#{1,6} +(.*)$/gmu)].map(([, heading = '']) => heading.trim().toLowerCase())
  return new Set(headings.map((heading) => heading.replaceAll(/[^\p{L}\p{N}\- _]/gu, '').replaceAll(' ', '-')))
}

/** Why a link of `page` leads nowhere; null when it does not, or to another site. */
function fault(page: string, target: string): string | null {
  if (/^[a-z]+:/u.test(target)) return null
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? join(projectRoot, page) : resolve(projectRoot, dirname(page), path)
  if (!existsSync(file)) return `${page}: there is no ${target}`
  if (anchor === undefined || !statSync(file).isFile()) return null
  return anchorsOf(readFileSync(file, 'utf8')).has(anchor) ? null : `${page}: no heading for ${target}`
}

suite('pages', () => {
  test('links within the repository lead to files and headings that are there', () => {
    const links = pages.flatMap((page) =>
      [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/gu)].map(([, target = '']) => ({ page, target })),
    )
    assert.ok(links.length > 30, `only ${links.length} links were found`)
    assert.deepEqual(
      links.flatMap(({ page, target }) => fault(page, target) ?? []),
      [],
    )
    assert.notEqual(fault('README.md', 'worker/no-such-page.md'), null)
    assert.notEqual(fault('README.md', '#no-such-heading'), null)
  })

  test('npm scripts that they name exist', () => {
    const { scripts } = JSON.parse(textOf('package.json')) as { scripts: Readonly<Record<string, string>> }
    const named = pages.flatMap((page) =>
      [...textOf(page).matchAll(/npm run (?:--silent )?([a-z:-]+)/gu)].map(([, script = '']) => ({ page, script })),
    )
    assert.ok(named.length > 20, `only ${named.length} were found`)
    assert.deepEqual(
      named.filter(({ script }) => !Object.hasOwn(scripts, script)),
      [],
    )
  })

  test('classes that the guide of migration and the README name are names of plugins', () => {
    const known = new Set(builtinPlugins.flatMap(({ name, aliases }) => [name, ...aliases]))
    for (const page of ['README.md', 'worker/migration.md']) {
      const rows = textOf(page)
        .split('\n')
        .filter((line) => line.startsWith('| '))
      const classes = rows.flatMap((row) => row.match(/(?:io|org)\.[a-z.]+\.[A-Z]\w+/gu) ?? [])
      assert.ok(classes.length >= 3, page)
      assert.deepEqual(
        classes.filter((name) => !known.has(name)),
        [],
        page,
      )
    }
  })
})
