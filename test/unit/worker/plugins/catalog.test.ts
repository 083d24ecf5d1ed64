/** Plugins known by name, whose manifests load one by one. */
import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Worker as Thread } from 'node:worker_threads'
import { builtinPlugins } from '../../../../worker/plugins/builtin.ts'
import { builtinNames } from '../../../../worker/plugins/builtin-index.ts'
import { type BuiltinModule, builtinModules } from '../../../../worker/plugins/builtin-modules.ts'
import { builtinPluginsOf, PluginCatalog } from '../../../../worker/plugins/catalog.ts'
import { kindOfPlugin, type PluginName } from '../../../../worker/plugins/registry.ts'

const named = ({ type, name, aliases, version }: PluginName): PluginName => ({ type, name, aliases, version })
const sorted = (names: readonly PluginName[]): readonly string[] =>
  names.map((name) => JSON.stringify(named(name))).sort()

test('the index of built-in plugins says of each module what its manifests say, and leaves out none', async () => {
  assert.deepEqual(Object.keys(builtinNames), Object.keys(builtinModules))
  for (const [module, names] of Object.entries(builtinNames)) {
    assert.deepEqual(names, (await builtinPluginsOf(module as BuiltinModule)).map(named), module)
    assert.ok(names.length > 0, module)
  }
  assert.deepEqual(sorted(Object.values(builtinNames).flat()), sorted(builtinPlugins))
})

test('a catalog answers as a registry of all manifests does, and loads the same ones', async () => {
  const catalog = new PluginCatalog([])
  const registry = await catalog.complete()
  assert.deepEqual(catalog.infos(false), registry.infos(false))
  for (const plugin of builtinPlugins) {
    const kind = kindOfPlugin(plugin)
    for (const name of [plugin.name, ...plugin.aliases]) {
      const found = await catalog.load(kind, name, plugin.version)
      assert.deepEqual(named(found), named(plugin))
      assert.equal(found.config, plugin.config)
      assert.deepEqual(named(catalog.findAny(name) ?? assert.fail(name)), named(registry.findAny(name) ?? plugin))
    }
  }
  await assert.rejects(catalog.load('connector', 'Nothing'), (error: Error) => {
    assert.throws(() => registry.get('connector', 'Nothing'), { message: error.message })
    return true
  })
})

/** A module that counts how often it is loaded. */
const source = (version: string): string => `
globalThis.catalogTestLoads = (globalThis.catalogTestLoads ?? 0) + 1
export const plugin = { type: 'predicate', name: 'org.x.Late', aliases: ['Later'], version: '${version}', config: { keys: {} }, create: async () => ({}) }`

test('a module of plugin.path loads with the first manifest that is asked of it', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'sluice-catalog-'))
  const file = join(folder.path, 'late.mjs')
  await writeFile(file, source('2'))
  const url = pathToFileURL(file).href
  const late: PluginName = { type: 'predicate', name: 'org.x.Late', aliases: ['Later'], version: '2' }
  const loads = (): unknown => Reflect.get(globalThis, 'catalogTestLoads')

  const catalog = new PluginCatalog([{ url, plugins: [late] }])
  assert.equal(catalog.get('predicate', 'Later').version, '2')
  assert.ok(catalog.infos(false).some((info) => info.class === 'org.x.Late'))
  assert.equal(loads(), undefined)
  assert.equal((await catalog.load('predicate', 'Late')).name, 'org.x.Late')
  assert.equal((await catalog.complete()).get('predicate', 'Later').version, '2')
  assert.equal(loads(), 1)

  const changed = new PluginCatalog([{ url, plugins: [{ ...late, version: '1' }] }])
  await assert.rejects(changed.load('predicate', 'Late'), {
    code: 'CONNECT_PLUGIN_LOAD',
    message: /does not hold org\.x\.Late 1 any more.*restart it/,
  })
  const gone = new PluginCatalog([{ url: pathToFileURL(join(folder.path, 'gone.mjs')).href, plugins: [late] }])
  await assert.rejects(gone.load('predicate', 'Late'), { code: 'CONNECT_PLUGIN_LOAD', message: /gone\.mjs/ })
  assert.throws(() => new PluginCatalog([{ url, plugins: [late, late] }]), { code: 'CONNECT_PLUGIN_DUPLICATE' })
})

/** Loads a source connector's plugins in a thread of its own, and tells every module that this took. */
const recordLoads = `
const { registerHooks } = require('node:module')
const { parentPort, workerData } = require('node:worker_threads')
const loaded = []
registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
import(workerData).then(async ({ PluginCatalog }) => {
  const catalog = new PluginCatalog([])
  await catalog.loadConnector({ 'connector.class': 'FileStreamSource' })
  await catalog.load('converter', 'StringConverter')
  await catalog.load('transformation', 'RegexRouter')
  parentPort.postMessage(loaded)
})`

test('a thread loads the manifests of its own plugins, and no others', async () => {
  const entry = new URL('../../../../worker/plugins/catalog.ts', import.meta.url).href
  const thread = new Thread(recordLoads, { eval: true, workerData: entry, execArgv: [] })
  const loaded = await new Promise<readonly string[]>((resolve, reject) => {
    thread.once('message', resolve)
    thread.once('error', reject)
  })
  await thread.terminate()
  const root = new URL('../../../../', import.meta.url).href
  const modules = loaded.map((url) => url.slice(root.length).replace(/(?:\/index)?\.ts$/, ''))
  assert.deepEqual(
    Object.keys(builtinModules).filter((name) => modules.includes(name)),
    ['connectors/file-stream', 'transforms/regex-router'],
  )
  const converters = modules.filter((name) => name.startsWith('worker/converters/') && name.includes('manifest'))
  assert.deepEqual(converters, ['worker/converters/connect-manifests'])
})
