// Starts a script of this project on the project's own Node (the `node` dev dependency), whatever Node runs npm.
// Plain JavaScript that any Node ≥ 20 understands: it runs before anything is installed.
//   node worker/launcher.mjs <script.ts|script.js> [arguments …]
// SLUICE_NODE names another Node binary to run on (CI tries newer versions that way).
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const modules = join(root, 'node_modules')
const projectNode = join(modules, 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
const installLock = join(root, '.npm-install-lock')
const installLockMaxAgeMs = 15 * 60_000

/** The parsed JSON file, or null when it is missing or cut off (an interrupted install). */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return null
  }
}

/**
 * Whether node_modules holds what package-lock.json names. Contents are compared, not times: a checkout touches
 * times. npm leaves out optional packages of other platforms, so a missing optional package counts as installed.
 */
function isInstalled() {
  if (!existsSync(projectNode)) return false
  const wanted = readJson(join(root, 'package-lock.json'))?.packages
  const present = readJson(join(modules, '.package-lock.json'))?.packages
  if (!wanted || !present) return false
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '' || entry.link) continue
    const found = present[path]
    if (!found) {
      if (entry.optional || entry.peer) continue
      return false
    }
    if (found.version !== entry.version || found.integrity !== entry.integrity) return false
  }
  return Object.keys(present).every((path) => path in wanted)
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms))

/** Runs `npm ci`; when two commands start at once, one installs and the other waits for it. */
async function install() {
  for (;;) {
    try {
      mkdirSync(installLock)
      break
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
      const age = Date.now() - (statSync(installLock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
      if (age > installLockMaxAgeMs) rmSync(installLock, { recursive: true, force: true })
      else await sleep(250)
    }
  }
  try {
    if (isInstalled()) return
    process.stderr.write('sluice: installing dependencies (npm ci) …\n')
    const started = Date.now()
    const npmCli = process.env.npm_execpath
    const viaNode = npmCli !== undefined && /\.[cm]?js$/.test(npmCli)
    const result = spawnSync(
      viaNode ? process.execPath : 'npm',
      [...(viaNode ? [npmCli] : []), 'ci', '--no-audit', '--no-fund', '--loglevel=error'],
      {
        cwd: root,
        stdio: ['ignore', 2, 2],
      },
    )
    if (result.error) throw result.error
    if (result.status !== 0) {
      process.stderr.write('sluice: npm ci failed; see the lines above.\n')
      process.exit(result.status ?? 1)
    }
    if (!existsSync(projectNode)) {
      process.stderr.write(
        `sluice: npm ci did not install Node for ${process.platform}-${process.arch}. ` +
          'The install script of the package "node" must be allowed to run (ignore-scripts must be off).\n',
      )
      process.exit(1)
    }
    process.stderr.write(`sluice: installed in ${((Date.now() - started) / 1000).toFixed(1)} s\n`)
  } finally {
    rmSync(installLock, { recursive: true, force: true })
  }
}

/** Runs the script, passes signals on and ends as it ended. */
function run(script, args) {
  const node = process.env.SLUICE_NODE || projectNode
  // kafkajs arms timers with negative delays, which Node remarks upon once per process; our own client does not.
  const child = spawn(node, ['--disable-warning=TimeoutNegativeWarning', script, ...args], { stdio: 'inherit' })
  // A terminal sends Ctrl-C to the whole process group, so the child has it already.
  const forwarded = process.stdin.isTTY ? ['SIGTERM', 'SIGHUP'] : ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      if (forwarded.includes(signal)) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    process.stderr.write(`sluice: cannot start ${node}: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0))
  })
}

const [script, ...args] = process.argv.slice(2)
if (script === undefined) {
  process.stderr.write('usage: node worker/launcher.mjs <script> [arguments …]\n')
  process.exit(2)
}
const path = resolve(root, script)
if (!isInstalled()) await install()
if (!existsSync(path)) {
  process.stderr.write(`sluice: ${script} is not part of this checkout.\n`)
  process.exit(1)
}
run(path, args)
