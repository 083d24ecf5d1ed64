import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { defineConfig } from '../../../../worker/api/config.ts'
import { definePredicate, defineSourceConnector } from '../../../../worker/api/plugin.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { loadRegistry, pluginModules } from '../../../../worker/plugins/load.ts'
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
    [module, inner, other, inner].map((file) => pathToFileURL(file).href),
  )
  const registry = await loadRegistry([...new Set(urls)])
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
