import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { describe, test } from 'node:test'

const launcher = resolve(import.meta.dirname, '../../../worker/launcher.mjs')
const lock = {
  packages: {
    '': {},
    'node_modules/a': { version: '1.0.0', integrity: 'x' },
    'node_modules/other-os': { version: '1.0.0', optional: true },
  },
}
const installed = { packages: { 'node_modules/a': { version: '1.0.0', integrity: 'x' } } }

/** A project folder with the launcher and, in place of npm, a script that notes its arguments and installs. */
class Project implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'sluice-launcher-'))
  readonly npmCalls = join(this.root, 'npm-calls')

  constructor(present: object | null) {
    mkdirSync(join(this.root, 'worker'))
    cpSync(launcher, join(this.root, 'worker', 'launcher.mjs'))
    this.write('package-lock.json', JSON.stringify(lock))
    if (present !== null) this.install(present)
    this.write(
      'npm.mjs',
      `import { appendFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
       appendFileSync(${JSON.stringify(this.npmCalls)}, process.argv[2] + '\\n')
       mkdirSync('node_modules/node/bin', { recursive: true })
       try { symlinkSync(${JSON.stringify(process.execPath)}, 'node_modules/node/bin/node') } catch {}
       writeFileSync('node_modules/.package-lock.json', ${JSON.stringify(JSON.stringify(installed))})`,
    )
  }

  install(present: object): void {
    mkdirSync(join(this.root, 'node_modules', 'node', 'bin'), { recursive: true })
    symlinkSync(process.execPath, join(this.root, 'node_modules', 'node', 'bin', 'node'))
    this.write('node_modules/.package-lock.json', JSON.stringify(present))
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.root, name), text)
  }

  get environment(): NodeJS.ProcessEnv {
    const { SLUICE_NODE: _, ...env } = process.env
    return { ...env, npm_execpath: join(this.root, 'npm.mjs') }
  }

  run(...args: string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
    const command = [join(this.root, 'worker', 'launcher.mjs'), ...args]
    return spawnSync(process.execPath, command, { encoding: 'utf8', env: this.environment })
  }

  start(...args: string[]): ChildProcessByStdio<null, Readable, null> {
    const command = [join(this.root, 'worker', 'launcher.mjs'), ...args]
    return spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'], env: this.environment })
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

describe('launcher', () => {
  test('runs a TypeScript file with its arguments and gives its exit code', () => {
    using project = new Project(installed)
    project.write(
      'script.ts',
      'const words: string[] = process.argv.slice(2)\nconsole.log(words.join("|"))\nprocess.exitCode = 7',
    )
    const result = project.run('script.ts', 'a b', '--c')
    assert.equal(result.stdout, 'a b|--c\n')
    assert.equal(result.status, 7)
    assert.ok(!existsSync(project.npmCalls), 'nothing is installed when everything is there')
  })

  for (const [name, present] of [
    ['node_modules is missing', null],
    ['a version differs', { packages: { 'node_modules/a': { version: '0.9.0', integrity: 'x' } } }],
    ['a package is left over', { packages: { ...installed.packages, 'node_modules/b': { version: '1.0.0' } } }],
  ] as const) {
    test(`installs when ${name}`, () => {
      using project = new Project(present)
      project.write('script.ts', 'console.log("ran")')
      const result = project.run('script.ts')
      assert.equal(result.stdout, 'ran\n', result.stderr)
      assert.match(result.stderr, /installing dependencies/)
      assert.ok(existsSync(project.npmCalls))
      assert.equal(project.run('script.ts').stderr, '', 'the second run finds it installed')
    })
  }

  test('two commands at once install once', async () => {
    using project = new Project(null)
    project.write('script.ts', 'console.log("ran")')
    const ended = ['script.ts', 'script.ts'].map((script) => {
      const child = project.start(script)
      return new Promise((done) => child.once('exit', done))
    })
    assert.deepEqual(await Promise.all(ended), [0, 0])
    assert.equal(readFileSync(project.npmCalls, 'utf8'), 'ci\n')
  })

  test('passes SIGTERM on and ends as the script ends', async () => {
    using project = new Project(installed)
    project.write(
      'script.ts',
      'process.on("SIGTERM", () => process.exit(42))\nconsole.log("up")\nsetInterval(() => {}, 1000)',
    )
    const child = project.start('script.ts')
    const code = await new Promise((done) => {
      child.stdout.once('data', () => child.kill('SIGTERM'))
      child.once('exit', done)
    })
    assert.equal(code, 42)
  })

  test('names a script that is not there', () => {
    using project = new Project(installed)
    const result = project.run('nowhere.ts')
    assert.equal(result.status, 1)
    assert.match(result.stderr, /nowhere\.ts is not part of this checkout/)
  })
})
