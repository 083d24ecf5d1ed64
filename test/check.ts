// npm run check: types, lint, format, generated documentation. Writes nothing.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')

/** One check: a script of node_modules or of this project, run on this Node. */
interface Check {
  readonly name: string
  readonly script: string
  readonly args: readonly string[]
}

const checks: readonly Check[] = [
  { name: 'types', script: 'node_modules/typescript/bin/tsc', args: ['--noEmit', '-p', '.'] },
  { name: 'lint', script: 'node_modules/oxlint/bin/oxlint', args: ['--type-aware'] },
  { name: 'format', script: 'node_modules/@biomejs/biome/bin/biome', args: ['check', '.'] },
  { name: 'docs', script: 'worker/cli/docs.ts', args: ['--check'] },
]

const failed: string[] = []
for (const { name, script, args } of checks) {
  if (!existsSync(join(root, script))) {
    console.log(`- ${name}: ${script} is not there, skipped`)
    continue
  }
  const started = Date.now()
  const { status, error } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' })
  const isGood = status === 0
  if (!isGood) failed.push(name)
  console.log(
    `${isGood ? '✔' : '✖'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)${error === undefined ? '' : ` ${error.message}`}`,
  )
}
if (failed.length > 0) console.log(`check failed: ${failed.join(', ')}`)
process.exitCode = failed.length === 0 ? 0 : 1
