// npm run build: dist/ with worker, connectors and transforms as JavaScript.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

/**
 * Comments are for whoever reads the types: a thread keeps the text of each module that it has loaded, and one character
 * of a comment that is not Latin-1 doubles all of it.
 */
const passes = [
  ['--declaration', '--emitDeclarationOnly', '--sourceMap', 'false'],
  ['--declaration', 'false', '--removeComments'],
]

// tsc leaves files of deleted sources behind.
rmSync(dist, { recursive: true, force: true })
const compiler = join(root, 'node_modules/typescript/bin/tsc')
const project = ['-p', join(root, 'worker/tsconfig.build.json')]
for (const options of passes) {
  const { status } = spawnSync(process.execPath, [compiler, ...project, ...options], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = status ?? 1
}
const entry = join(dist, 'worker/main.js')
if (existsSync(entry)) chmodSync(entry, 0o755)
