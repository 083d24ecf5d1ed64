import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { defineConfig } from '../../../../worker/api/config.ts'
import { definePredicate, defineSourceConnector } from '../../../../worker/api/plugin.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { loadRegistry, pluginModules, usablePlugins } from '../../../../worker/plugins/load.ts'
import { probeModule } from '../../../../worker/plugins/probe.ts'
import { PluginRegistry } from '../../../../worker/plugins/registry.ts'
import { sourceTaskContext } from '../../../support/contexts.ts'
import { projectRoot } from '../../../support/project-root.ts'

async function openFolder() {
  const path = await mkdtemp(join(tmpdir(), 'sluice-plugins-'))
  const write = async (name: string, text: string): Promise<string> => {
    const file = join(path, name)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, text)
    return file
  }
  return { path, write, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

const manifest = (name: string): string =>
  `({ type: 'predicate', name: '${name}', aliases: [], version: '1', config: {} })`

test('plugin.path: a module, a package folder, and a folder of either', async () => {
  await using folder = await openFolder()
  const module = await folder.write('one.mjs', `export const plugin = ${manifest('org.x.One')}`)
  const inner = await folder.write('many/a/index.js', `export const plugins = [${manifest('org.x.A')}]`)
  const other = await folder.write('many/b.mjs', `export const plugin = ${manifest('org.x.B')}`)
  await folder.write('many/notes.txt', 'no module')
  await folder.write('many/a/package.json', '{"type":"module"}')
  const urls = await pluginModules([module, join(folder.path, 'many'), join(folder.path, 'many/a')])
  assert.deepEqual(
    urls,
    [module, inner, other].map((file) => pathToFileURL(file).href),
  )
  const registry = await loadRegistry(urls)
  for (const name of ['org.x.One', 'A', 'org.x.B']) assert.notEqual(registry.find('predicate', name), null, name)
})

test('what cannot be loaded is refused with its name and a remedy', async () => {
  await using folder = await openFolder()
  await assert.rejects(pluginModules([join(folder.path, 'missing')]), { code: 'CONNECT_PLUGIN_PATH' })
  const broken = await folder.write('broken.mjs', 'throw new Error("at import")')
  await assert.rejects(loadRegistry([pathToFileURL(broken).href]), {
    code: 'CONNECT_PLUGIN_LOAD',
    message: /broken\.mjs: at import/,
  })
  const empty = await folder.write('empty.mjs', 'export const other = 1')
  await assert.rejects(loadRegistry([pathToFileURL(empty).href]), {
    code: 'CONNECT_PLUGIN_LOAD',
    message: /exports neither/,
  })
})

const working = (name: string): string =>
  `export const plugin = { type: 'predicate', name: '${name}', aliases: [], version: '1', config: { keys: {} }, create: async () => ({}) }`

const declares = (name: string, ...plugins: readonly string[]): string =>
  JSON.stringify({ name, version: '2.0.0', type: 'module', sluice: { plugins } })

test('npm packages that declare plugins are found, by their folder and by their name; others are passed over', async () => {
  await using folder = await openFolder()
  await folder.write('node_modules/one/package.json', declares('one', './lib/plugin.js'))
  const one = await folder.write('node_modules/one/lib/plugin.js', working('org.x.One'))
  await folder.write('node_modules/@acme/two/package.json', declares('@acme/two', 'a.js', 'b.js'))
  const two = await folder.write('node_modules/@acme/two/a.js', working('org.x.TwoA'))
  const more = await folder.write('node_modules/@acme/two/b.js', working('org.x.TwoB'))
  await folder.write('node_modules/other/package.json', JSON.stringify({ name: 'other', version: '1.0.0' }))
  await folder.write('node_modules/other/index.js', 'throw new Error("no plugin at all")')
  const { modules, problems } = await usablePlugins([join(folder.path, 'node_modules')])
  assert.deepEqual(problems, [])
  assert.deepEqual(
    modules.map(({ url, origin, declared }) => ({ url, origin, declared })),
    [
      { url: pathToFileURL(two).href, origin: '@acme/two@2.0.0', declared: true },
      { url: pathToFileURL(more).href, origin: '@acme/two@2.0.0', declared: true },
      { url: pathToFileURL(one).href, origin: 'one@2.0.0', declared: true },
    ],
  )
})

test('ways of discovery show what they should (statement 152)', async () => {
  await using folder = await openFolder()
  await folder.write('old/index.js', working('org.x.Old'))
  await folder.write('new/package.json', declares('new', './index.js'))
  await folder.write('new/index.js', working('org.x.New'))
  for (const [discovery, expected] of [
    ['only_scan', ['org.x.New', 'org.x.Old']],
    ['hybrid_warn', ['org.x.New', 'org.x.Old']],
    // The worker then refuses to start; see test/integration/bad-input.test.ts.
    ['hybrid_fail', ['org.x.New', 'org.x.Old']],
    ['service_load', ['org.x.New']],
  ] as const) {
    const { modules, undeclared, problems } = await usablePlugins([folder.path], { discovery })
    assert.deepEqual(
      modules.flatMap(({ plugins }) => plugins.map(({ name }) => name)),
      expected,
      discovery,
    )
    assert.deepEqual(undeclared, discovery === 'service_load' ? [] : [join(folder.path, 'old/index.js')])
    assert.deepEqual(problems, [])
  }
})

test('broken plugins are told, each with its reason, and cost the others nothing', async () => {
  await using folder = await openFolder()
  await folder.write('plugins/fine.mjs', working('org.x.Fine'))
  await folder.write('plugins/throws.mjs', 'throw new Error("at import")')
  await folder.write('plugins/exits.mjs', 'process.exit(3)')
  await folder.write(
    'plugins/rejects.mjs',
    `void Promise.reject(new Error('later')); ${working('org.x.R')}; await new Promise((r) => setTimeout(r, 100))`,
  )
  await folder.write('plugins/empty.mjs', 'export const other = 1')
  await folder.write(
    'plugins/untyped.mjs',
    `export const plugin = { type: 'sink', name: 'org.x.Untyped', aliases: 'x' }`,
  )
  await folder.write('plugins/twin.mjs', working('org.x.Fine'))
  await folder.write(
    'plugins/builtin.mjs',
    working('org.x.Other').replace(
      'aliases: []',
      `aliases: ['org.apache.kafka.connect.transforms.predicates.TopicNameMatches']`,
    ),
  )
  await folder.write('plugins/notbuilt/package.json', declares('notbuilt', './dist/index.js'))
  await folder.write('plugins/json/package.json', '{ "name": ')
  const { modules, problems } = await usablePlugins([join(folder.path, 'plugins'), join(folder.path, 'nowhere')])
  assert.deepEqual(
    modules.flatMap(({ plugins }) => plugins.map(({ name }) => name)),
    ['org.x.Fine'],
  )
  const reasons = problems.map(
    ({ origin, code, message }) => `${origin.slice(folder.path.length + 1)}: ${code}: ${message}`,
  )
  for (const expected of [
    /throws\.mjs: CONNECT_PLUGIN_LOAD: at import/,
    /exits\.mjs: CONNECT_PLUGIN_LOAD: ended the process while it was loaded, with code 3/,
    /rejects\.mjs: CONNECT_PLUGIN_LOAD: ended its thread: later/,
    /empty\.mjs: CONNECT_PLUGIN_LOAD: .*exports neither/,
    /untyped\.mjs: CONNECT_PLUGIN_LOAD: org\.x\.Untyped: "version" must be a text/,
    /untyped\.mjs: CONNECT_PLUGIN_LOAD: org\.x\.Untyped: "createTask" must be a function/,
    /twin\.mjs: CONNECT_PLUGIN_DUPLICATE: predicate org\.x\.Fine 1: a plugin of this name is there already/,
    /builtin\.mjs: CONNECT_PLUGIN_DUPLICATE: predicate org\.apache\.kafka\.connect\.transforms\.predicates\.TopicNameMatches/,
    /CONNECT_PLUGIN_PATH: notbuilt@2\.0\.0 declares \.\/dist\/index\.js, which is not there; build the package first/,
    /plugins\/json: CONNECT_PLUGIN_PATH: .*package\.json cannot be used/,
    /CONNECT_PLUGIN_PATH: plugin\.path names .*nowhere, which cannot be read/,
  ]) {
    assert.ok(
      reasons.some((reason) => expected.test(reason)),
      `${expected} in ${reasons.join('\n')}`,
    )
  }
})

test('a module that never finishes loading is given up', async () => {
  await using folder = await openFolder()
  for (const [name, text] of [
    ['waits.mjs', 'setInterval(() => {}, 1000); await new Promise(() => {})'],
    ['spins.mjs', 'for (;;) {}'],
  ] as const) {
    const url = pathToFileURL(await folder.write(name, text)).href
    const { problems } = await probeModule({ url, create: false }, 300)
    assert.deepEqual(problems, ['did not finish loading within 300 ms'], name)
  }
})

test('check creates one of everything, and tells what does not come', async () => {
  await using folder = await openFolder()
  const broken = working('org.x.NoDriver').replace('async () => ({})', `async () => import('no-such-driver')`)
  await folder.write('driver.mjs', broken)
  const { modules, problems } = await usablePlugins([folder.path], { discovery: 'hybrid_warn', create: true })
  assert.deepEqual(modules, [])
  assert.match(problems[0]?.message ?? '', /^org\.x\.NoDriver: cannot be created: .*no-such-driver/)
})

test('1.7: a plugin is found by its name, its simple name, and the name without its kind', () => {
  const config = defineConfig({})
  const source = defineSourceConnector({
    name: 'org.x.FancySourceConnector',
    aliases: ['com.old.Fancy'],
    taskName: 'org.x.FancyTask',
    version: '1',
    config,
    createConnector: async () => assert.fail(),
    createTask: async () => assert.fail(),
  })
  const predicate = definePredicate({
    name: 'org.x.Odd',
    aliases: [],
    version: '1',
    config,
    create: async () => assert.fail(),
  })
  const registry = new PluginRegistry([source, predicate])
  for (const name of ['org.x.FancySourceConnector', 'FancySourceConnector', 'FancySource', 'com.old.Fancy']) {
    assert.equal(registry.find('connector', name), source, name)
  }
  assert.equal(registry.find('predicate', 'Odd'), predicate)
  assert.equal(registry.find('connector', 'Odd'), null)
  assert.equal(registry.find('connector', 'Unknown'), null)
  assert.throws(() => registry.get('connector', 'Unknown'), /Unknown/)
})

test('the example of worker/api/README.md loads and counts on from its offset', async () => {
  await using folder = await openFolder()
  const readme = await readFile(join(projectRoot, 'worker/api/README.md'), 'utf8')
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(readme) ?? []
  const api = pathToFileURL(join(projectRoot, 'worker/api/index.ts')).href
  const file = await folder.write('counter/index.ts', example.replaceAll("'sluice'", `'${api}'`))
  const registry = await loadRegistry(await pluginModules([join(file, '..')]))
  const plugin = registry.find('connector', 'CounterSource')
  assert.equal(plugin?.type, 'source')
  if (plugin?.type !== 'source') return
  const context = sourceTaskContext()
  context.setOffset({ counter: 'main' }, { next: 41 })
  const task = await plugin.createTask()
  await task.start(parseConfig(plugin.config, { topic: 't', 'interval.ms': '1' }), context)
  const records = await task.poll(new AbortController().signal)
  assert.deepEqual(
    records.map(({ value }) => value),
    [41n],
  )
  await task.stop()
})
