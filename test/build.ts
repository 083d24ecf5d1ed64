// npm run build: dist/ with worker, connectors and transforms as JavaScript.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

// tsc leaves files of deleted sources behind.
rmSync(dist, { recursive: true, force: true })
const compiler = join(root, 'node_modules/typescript/bin/tsc')
const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'worker/tsconfig.build.json')], {
  cwd: root,
  stdio: 'inherit',
})
const entry = join(dist, 'worker/main.js')
if (existsSync(entry)) chmodSync(entry, 0o755)
process.exitCode = status ?? 1
