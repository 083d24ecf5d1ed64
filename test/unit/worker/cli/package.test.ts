/** The package as users get it: packed, installed in another folder, with the plugins that `sluice new` begins. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { projectRoot } from '../../../support/project-root.ts'

interface Outcome {
  readonly code: number
  readonly output: string
}

function run(executable: string, args: readonly string[], cwd: string): Promise<Outcome> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const path = `${dirname(process.execPath)}:${env['PATH'] ?? ''}`
  return new Promise((resolve) => {
    execFile(executable, [...args], { cwd, env: { ...env, PATH: path } }, (error, stdout, stderr) => {
      const code = typeof error?.code === 'number' ? error.code : error === null ? 0 : 1
      resolve({ code, output: stdout + stderr })
    })
  })
}

async function succeeds(executable: string, args: readonly string[], cwd: string): Promise<string> {
  const { code, output } = await run(executable, args, cwd)
  assert.equal(code, 0, `${executable} ${args.join(' ')}: ${output.slice(-4000)}`)
  return output
}

suite('the package, packed and installed elsewhere', () => {
  let folder = ''
  /** Where it is installed. */
  let app = ''
  const sluice = (args: readonly string[], cwd = app) =>
    run(process.execPath, [join(app, 'node_modules/sluice/dist/worker/main.js'), ...args], cwd)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sluice-package-'))
    const source = join(folder, 'source')
    app = join(folder, 'app')
    await mkdir(source)
    for (const file of ['package.json', 'README.md', 'LICENSE']) await cp(join(projectRoot, file), join(source, file))
    const compiler = join(projectRoot, 'node_modules/typescript/bin/tsc')
    const build = ['-p', join(projectRoot, 'worker/tsconfig.build.json'), '--outDir', join(source, 'dist')]
    // Type errors are found elsewhere; here they would hide what this is about.
    await run(process.execPath, [compiler, ...build], projectRoot)
    const [{ filename, files }] = JSON.parse(
      await succeeds('npm', ['pack', '--json', '--silent', '--pack-destination', folder], source),
    ) as readonly [{ filename: string; files: readonly { path: string }[] }]
    // Source maps without sources would be a third of it.
    assert.deepEqual(
      files.filter(({ path }) => path.endsWith('.map')),
      [],
    )
    const modules = join(app, 'node_modules')
    await mkdir(join(modules, 'sluice'), { recursive: true })
    await succeeds(
      'tar',
      ['-xzf', join(folder, filename), '-C', join(modules, 'sluice'), '--strip-components=1'],
      folder,
    )
    // What npm would fetch is there already.
    for (const name of await readdir(join(projectRoot, 'node_modules'))) {
      if (!name.startsWith('.')) await symlink(join(projectRoot, 'node_modules', name), join(modules, name))
    }
  })

  after(() => rm(folder, { recursive: true, force: true }))

  test('sluice tells how it is used, and lists what is built in', async () => {
    const help = await sluice(['--help'])
    assert.equal(help.code, 0)
    for (const command of ['distributed', 'standalone', 'plugins', 'new'])
      assert.match(help.output, new RegExp(command))
    const list = await sluice(['plugins', 'list'])
    assert.equal(list.code, 0, list.output)
    assert.match(list.output, /source +org\.apache\.kafka\.connect\.file\.FileStreamSourceConnector +4\.3\.0 +built in/)
  })

  const kinds = [
    { args: ['connector', '@acme/feed-in'], name: 'feed-in', className: 'org.example.FeedInSourceConnector' },
    {
      args: ['connector', 'feed-out', '--kind', 'sink'],
      name: 'feed-out',
      className: 'org.example.FeedOutSinkConnector',
    },
    { args: ['transform', 'tag', '--class', 'com.acme.Tag'], name: 'tag', className: 'com.acme.Tag' },
  ]
  for (const { args, name, className } of kinds) {
    test(`sluice new ${args.join(' ')}: compiles, passes the conformance suites, is found when built`, async () => {
      const made = await sluice(['new', ...args])
      assert.equal(made.code, 0, made.output)
      const plugin = join(app, name)
      const again = await sluice(['new', ...args])
      assert.equal(again.code, 1)
      assert.match(again.output, /is not empty/)

      const compiler = join(projectRoot, 'node_modules/typescript/bin/tsc')
      await succeeds(process.execPath, [compiler, '--noEmit'], plugin)
      const tests = await succeeds(process.execPath, ['--test', 'test/**/*.test.ts'], plugin)
      assert.match(tests, /conformance/)
      assert.match(tests, /ℹ fail 0/)
      assert.ok(Number(/ℹ pass (\d+)/.exec(tests)?.[1]) >= 8, tests)

      const unbuilt = await sluice(['plugins', 'check', plugin])
      assert.equal(unbuilt.code, 1)
      assert.match(unbuilt.output, /build the package first/)
      await succeeds(process.execPath, [compiler, '-p', 'tsconfig.build.json'], plugin)
      const checked = await sluice(['plugins', 'check', plugin])
      assert.equal(checked.code, 0, checked.output)
      assert.ok(checked.output.includes(className), checked.output)
      const { name: packageName, peerDependenciesMeta } = JSON.parse(
        await readFile(join(plugin, 'package.json'), 'utf8'),
      ) as { name: string; peerDependenciesMeta: unknown }
      // npm install must not fetch a package of that name from a registry.
      assert.deepEqual(peerDependenciesMeta, { sluice: { optional: true } })
      await mkdir(dirname(join(app, 'node_modules', packageName)), { recursive: true })
      await symlink(plugin, join(app, 'node_modules', packageName))
      // By the name of the package, as one installed beside the worker.
      const listed = await sluice(['plugins', 'list', '--json', '--plugin-path', packageName])
      assert.equal(listed.code, 0, listed.output)
      const { plugins } = JSON.parse(listed.output) as { plugins: readonly { name: string; origin: string }[] }
      assert.equal(plugins.find((p) => p.name === className)?.origin, `${packageName}@0.1.0`)
    })
  }
})
