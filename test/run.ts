// npm test, npm run test:unit, npm run test:integration.
//   node worker/launcher.mjs test/run.ts [all|unit|integration] [file or folder …]
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { down, environment, up, withFreePorts } from '../compose/stack/lifecycle.ts'
import { step } from '../compose/stack/progress.ts'
import { defaultServices, type ServiceName } from '../compose/stack/settings.ts'
import { loadSettings, runningServices } from '../compose/stack/state.ts'
import { endProcessesWith } from './support/left-behind.ts'
import { shareSeed, testSeed } from './support/seed.ts'
import type { ServiceUse } from './support/service-use.ts'
import { serviceVariables, type TestService } from './support/services.ts'

const root = resolve(import.meta.dirname, '..')
/** A file that takes longer hangs. */
const fileTimeoutMs = 10 * 60_000
/** Test files at a time; each is a process and most wait for servers. */
const concurrency = 2

const modes = ['all', 'unit', 'integration'] as const
type Mode = (typeof modes)[number]

const patterns: Readonly<Record<Mode, readonly string[]>> = {
  unit: ['test/unit/**/*.test.ts', 'test/conformance/**/*.test.ts'],
  integration: ['test/conformance/**/*.test.ts', 'test/integration/**/*.test.ts'],
  all: [
    'test/unit/**/*.test.ts',
    'test/conformance/**/*.test.ts',
    'test/integration/**/*.test.ts',
    'test/chaos/sample.test.ts',
  ],
}

function testFiles(mode: Mode, named: readonly string[]): readonly string[] {
  const chosen = named.flatMap((path) => {
    if (!existsSync(path)) throw new Error(`no such test file or folder: ${path}`)
    return statSync(path).isDirectory() ? globSync(join(path, '**/*.test.ts')) : [path]
  })
  const files = chosen.length > 0 ? chosen : patterns[mode].flatMap((pattern) => globSync(pattern, { cwd: root }))
  return [...new Set(files.map((file) => resolve(root, file)))].sort()
}

function hasAllServices(env: NodeJS.ProcessEnv): boolean {
  return defaultServices.every((name) => serviceVariables[name].every((variable) => (env[variable] ?? '') !== ''))
}

/** Starts what is missing of the local stack and exports its addresses; gives what this run has to stop again. */
async function prepareServices(): Promise<readonly ServiceName[]> {
  if (hasAllServices(process.env)) {
    step('stack', 'servers are given by the environment')
    return []
  }
  // Another checkout's stack may hold the default ports; this run must not use it, nor fail because of it.
  const settings = withFreePorts(loadSettings())
  const running = runningServices(settings)
  try {
    const started = await up(settings, defaultServices)
    Object.assign(process.env, environment(settings))
    return started
  } catch (error) {
    // A service that failed leaves the others up; they are this run's to stop.
    const left = runningServices(settings).filter((name) => !running.includes(name))
    await down(settings, left)
    throw error
  }
}

/** Counts of the run that the runner itself does not give. */
class RunCounts {
  readonly #testsByFile = new Map<string, number>()

  /** Notes one finished test, not counting suites, skipped tests and the files themselves. */
  add(file: string | undefined): void {
    if (file !== undefined) this.#testsByFile.set(file, (this.#testsByFile.get(file) ?? 0) + 1)
  }

  /** "kafka: 41 tests in 5 files" per server that a test process connected to. */
  lines(folder: string): readonly string[] {
    const filesByService = new Map<TestService, Set<string>>()
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const use = JSON.parse(readFileSync(join(folder, name), 'utf8')) as ServiceUse
      for (const service of use.services) {
        const files = filesByService.get(service) ?? new Set()
        filesByService.set(service, files.add(use.file))
      }
    }
    return [...filesByService].sort().map(([service, files]) => {
      const tests = [...files].reduce((sum, file) => sum + (this.#testsByFile.get(file) ?? 0), 0)
      return `against the real ${service}: ${tests} tests in ${files.size} files`
    })
  }
}

/** The test file of the process that ran a test; an exported suite is defined in another. */
function entryFileOf(event: { readonly file?: string; readonly entryFile?: string }): string | undefined {
  return event.entryFile ?? event.file
}

async function runTests(files: readonly string[], useFolder: string, signal: AbortSignal): Promise<boolean> {
  const preloads = ['service-use', 'property-seed'].map((name) => new URL(`support/${name}.ts`, import.meta.url).href)
  process.env['SLUICE_SERVICE_USE'] = useFolder
  shareSeed(process.env)
  const events = run({
    files: [...files],
    signal,
    concurrency,
    timeout: fileTimeoutMs,
    execArgv: preloads.flatMap((url) => ['--import', url]),
    cwd: root,
  })
  const counts = new RunCounts()
  const closing: string[] = []
  let failures = 0
  events.on('test:fail', (event) => {
    if (event.todo === undefined) failures += 1
    if (event.details.type !== 'suite') counts.add(entryFileOf(event))
  })
  events.on('test:pass', (event) => {
    if (event.details.type !== 'suite' && event.skip === undefined) counts.add(entryFileOf(event))
  })
  // The runner's totals are held back so that they are the last lines, behind the list of failures.
  async function* withoutTotals() {
    for await (const event of events) {
      if (event.type === 'test:diagnostic' && event.data.nesting === 0 && event.data.file === undefined)
        closing.push(event.data.message)
      else yield event
    }
  }
  await pipeline(Readable.from(withoutTotals()), new spec(), process.stdout, { end: false })
  for (const { pid, command } of endProcessesWith('SLUICE_SERVICE_USE', useFolder))
    step('test', `ended what a test left running: ${pid} ${command}`)
  for (const line of [...counts.lines(useFolder), `random data from seed ${testSeed}`, ...closing])
    process.stdout.write(`ℹ ${line}\n`)
  return failures === 0 && !signal.aborted
}

/** Runs the body with the servers up, and stops those that this run started. */
async function withServices(body: () => Promise<boolean>): Promise<boolean> {
  const started = await prepareServices()
  try {
    process.env['TEST_REQUIRE_SERVICES'] = '1'
    return await body()
  } finally {
    if (started.length > 0) await down(loadSettings(), started)
  }
}

/** Aborts when the run is told to end: the runner then ends its test processes, and the servers are stopped after it. */
function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort())
  return controller.signal
}

async function main(words: readonly string[]): Promise<boolean> {
  const mode = modes.find((candidate) => candidate === words[0]) ?? 'all'
  const named = words[0] === mode ? words.slice(1) : words
  const files = testFiles(mode, named)
  if (files.length === 0) throw new Error(`no test files for ${mode}`)
  step('test', `${files.length} files, ${relative(process.cwd(), files[0] ?? '')} …`)
  const signal = interruption()
  const useFolder = mkdtempSync(join(tmpdir(), 'sluice-service-use-'))
  try {
    if (mode !== 'unit') return await withServices(() => runTests(files, useFolder, signal))
    for (const variables of Object.values(serviceVariables))
      for (const variable of variables) delete process.env[variable]
    delete process.env['TEST_REQUIRE_SERVICES']
    return await runTests(files, useFolder, signal)
  } finally {
    rmSync(useFolder, { recursive: true, force: true })
  }
}

try {
  process.exitCode = (await main(process.argv.slice(2))) ? 0 : 1
} catch (error) {
  console.error(error instanceof Error ? `test: ${error.message}` : error)
  process.exitCode = 1
}
