/** Several versions of one plugin side by side (KIP-891): two packages of the same classes on `plugin.path`. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadRegistry, type UsablePlugins, usablePlugins } from '../../../../worker/plugins/load.ts'
import type { PluginRegistry } from '../../../../worker/plugins/registry.ts'
import { converterConfig, loadConverters } from '../../../../worker/runtime/converters.ts'
import { pluginAttributes } from '../../../../worker/runtime/plugin-attributes.ts'
import { createTransformationChain } from '../../../../worker/runtime/transformation-chain.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { openWorker, type WorkerHarness } from '../../../support/runtime/worker-harness.ts'

/** A package of one class of each kind; each knows its version, and calls its option as no other version does. */
function module(version: string): string {
  return `
    const key = { type: 'STRING', default: 'none', importance: 'LOW', doc: 'Known to ${version} only.' }
    const config = { keys: { 'option.of.${version}': key }, validate: () => [] }
    const manifest = (type, name) => ({ type, name: 'org.acme.' + name, aliases: [], version: '${version}', config })
    const connector = {
      start: async (_, context) => void context,
      taskConfigs: async () => [{ 'made.by': '${version}' }],
      stop: async () => {},
    }
    const task = {
      start: async () => {},
      poll: async () => { throw new Error('polled in version ${version}') },
      stop: async () => {},
    }
    const converter = { configure() {}, fromConnectData: () => null, toConnectData: () => ({ schema: null, value: null }) }
    export const plugins = [
      { ...manifest('source', 'AcmeSource'), taskName: 'org.acme.AcmeTask', createConnector: async () => connector, createTask: async () => task },
      { ...manifest('transformation', 'Acme$Value'), create: async () => ({ configure() {}, apply: (record) => record }) },
      { ...manifest('predicate', 'IsAcme'), create: async () => ({ configure() {}, test: () => true }) },
      { ...manifest('converter', 'AcmeConverter'), create: async () => converter },
      { ...manifest('header_converter', 'AcmeConverter'), create: async () => converter },
    ]`
}

interface Packages extends AsyncDisposable {
  readonly found: UsablePlugins
  readonly modules: readonly string[]
  readonly registry: PluginRegistry
}

/** Folders sort as texts, so 1.10.0 is found before 1.9.0, and is newer. */
async function openPackages(versions: readonly string[] = ['1.9.0', '1.10.0', '2.0.0-rc1']): Promise<Packages> {
  const path = await mkdtemp(join(tmpdir(), 'sluice-versions-'))
  for (const [i, version] of versions.entries()) {
    const folder = join(path, `acme-${version}-${i}`)
    await mkdir(folder)
    const manifest = { name: 'acme', version, type: 'module', sluice: { plugins: ['./index.js'] } }
    await writeFile(join(folder, 'package.json'), JSON.stringify(manifest))
    await writeFile(join(folder, 'index.js'), module(version))
  }
  const found = await usablePlugins([path], { discovery: 'hybrid_fail', create: true })
  const modules = found.modules.map(({ url }) => url)
  const registry = await loadRegistry(modules)
  return { found, modules, registry, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

const none = (wanted: string, name = 'org.acme.AcmeSource'): string =>
  `Plugin ${name} not found that matches the version range ${wanted}, available versions: [1.9.0, 1.10.0, 2.0.0-rc1]`

test('KIP-891: all versions of a class are here, and are listed; a range chooses the newest that it holds', async () => {
  await using packages = await openPackages()
  const { found, registry } = packages
  assert.deepEqual(found.problems, [])
  assert.deepEqual(
    registry
      .infos(false)
      .flatMap((info) => (info.class.startsWith('org.acme.Acme') ? [`${info.type} ${info.version}`] : [])),
    ['source', 'converter', 'header_converter', 'transformation'].flatMap((type) =>
      ['1.9.0', '1.10.0', '2.0.0-rc1'].map((version) => `${type} ${version}`),
    ),
  )
  for (const [wanted, version] of [
    [null, '2.0.0-rc1'],
    ['latest', '2.0.0-rc1'],
    ['1.9.0', '1.9.0'],
    ['1.9', '1.9.0'],
    ['(,2.0.0-alpha)', '1.10.0'],
    ['[1.0,1.10)', '1.9.0'],
    ['[1.0,1.9],[3,)', '1.9.0'],
  ] as const) {
    for (const name of ['org.acme.AcmeSource', 'AcmeSource']) {
      assert.equal(registry.get('connector', name, wanted).version, version, `${name} ${wanted}`)
    }
    assert.equal(registry.get('transformation', 'org.acme.Acme$Value', wanted).version, version, String(wanted))
    assert.equal(registry.getAny('org.acme.IsAcme', wanted).version, version, String(wanted))
  }
  assert.equal(registry.find('connector', 'AcmeSource', '3.0'), null)
  assert.equal(registry.find('connector', 'AcmeSource', '['), null)
  const code = 'CONNECT_PLUGIN_VERSION'
  assert.throws(() => registry.get('connector', 'AcmeSource', '3.0'), { code, message: none('[3.0,3.0]') })
  // A class of two kinds is listed with each, as Connect does.
  assert.throws(() => registry.getAny('AcmeConverter', '[3,)'), {
    code,
    message: /: \[1\.9\.0, 1\.9\.0, 1\.10\.0, 1\.10\.0, 2/,
  })
  assert.equal(registry.getAny('AcmeConverter', null).type, 'converter')
  assert.throws(() => registry.getAny('AcmeSource', '[1'), { code, message: 'Unbounded range: [1' })
})

test('the same version of a class twice is one too many, and the first one found stays', async () => {
  await using packages = await openPackages(['1.0', '2.0', '1.0'])
  const { found, registry } = packages
  assert.deepEqual(
    found.problems.map(({ code, message }) => `${code}: ${message}`),
    [
      'CONNECT_PLUGIN_DUPLICATE: connector org.acme.AcmeSource 1.0, transformation org.acme.Acme$Value 1.0, ' +
        'predicate org.acme.IsAcme 1.0, converter org.acme.AcmeConverter 1.0, header_converter org.acme.AcmeConverter 1.0: ' +
        'a plugin of this name is there already; remove one of them from plugin.path',
    ],
  )
  assert.deepEqual(
    registry.versions('connector', 'AcmeSource').map(({ version }) => version),
    ['1.0', '2.0'],
  )
  await assert.rejects(loadRegistry([...packages.modules, ...packages.modules]), { code: 'CONNECT_PLUGIN_DUPLICATE' })
})

test('KIP-891: transforms, predicates and converters are those of the versions that the config asks for', async () => {
  await using packages = await openPackages()
  const { registry } = packages
  const connector = {
    'connector.class': 'AcmeSource',
    'connector.plugin.version': '[1.9.0]',
    transforms: 'old,new',
    'transforms.old.type': 'org.acme.Acme$Value',
    'transforms.old.plugin.version': '[1,1.10)',
    'transforms.old.predicate': 'p',
    'transforms.new.type': 'org.acme.Acme$Value',
    predicates: 'p',
    'predicates.p.type': 'IsAcme',
    'predicates.p.plugin.version': '1.10.0',
    'key.converter': 'org.acme.AcmeConverter',
    'key.converter.plugin.version': '1.9.0',
  }
  const worker = {
    'key.converter.plugin.version': '2.0.0-rc1',
    'value.converter': 'org.acme.AcmeConverter',
    'value.converter.plugin.version': '1.10.0',
    'header.converter': 'org.acme.AcmeConverter',
  }
  const chain = await createTransformationChain(connector, registry)
  assert.deepEqual(
    chain.links.map(({ alias, version, predicate }) => [alias, version, predicate?.version ?? null]),
    [
      ['old', '1.9.0', '1.10.0'],
      ['new', '2.0.0-rc1', null],
    ],
  )
  const converters = await loadConverters(connector, worker, registry)
  assert.deepEqual(
    [converters.key, converters.value, converters.header].map(({ version }) => version),
    ['1.9.0', '1.10.0', '2.0.0-rc1'],
  )
  const { texts, transforms, predicates } = pluginAttributes(
    registry.getConnector(connector),
    { connector, worker },
    registry,
  )
  assert.equal(texts['connector-version'], '1.9.0')
  assert.equal(texts['key-converter-version'], '1.9.0')
  assert.equal(texts['value-converter-version'], '1.10.0')
  assert.deepEqual(
    [...transforms, ...predicates].map(({ version }) => version),
    ['1.9.0', '2.0.0-rc1', '1.10.0'],
  )

  const code = 'CONNECT_PLUGIN_VERSION'
  await assert.rejects(createTransformationChain({ ...connector, 'transforms.new.plugin.version': '7' }, registry), {
    code,
    message: none('[7,7]', 'org.acme.Acme$Value'),
  })
  const wrong = { ...connector, 'key.converter.plugin.version': '7' }
  assert.equal(converterConfig('key', wrong, worker).wanted, '7')
  await assert.rejects(loadConverters(wrong, worker, registry), {
    code,
    message: none('[7,7]', 'org.acme.AcmeConverter'),
  })
})

/** Options of plugins' own, errors, and the versions that are recommended where there is a choice. */
async function validated({ worker }: WorkerHarness, raw: Readonly<Record<string, string>>) {
  const infos = await worker.validate({ name: 'v', 'connector.class': 'AcmeSource', ...raw })
  const names = infos.configs.map(({ value }) => value.name)
  return {
    options: names.filter((name) => name.includes('option.of.')),
    errors: infos.configs.flatMap(({ value }) => value.errors.map((error) => `${value.name}: ${error}`)),
    versions: infos.configs.flatMap(({ definition, value }) =>
      value.name.endsWith('plugin.version') && value.recommended_values.length > 1
        ? [`${value.name} ${definition?.default_value} of ${value.recommended_values.join(' ')}`]
        : [],
    ),
  }
}

test('KIP-891: validation, plugin configs and running connectors are of the version that is asked for', async () => {
  await using packages = await openPackages()
  await using harness = await openWorker({ bootstrap: '127.0.0.1:9', pluginModules: packages.modules })
  const { worker } = harness

  const all = '2.0.0-rc1 of 1.9.0 1.10.0 2.0.0-rc1'
  const transform = { transforms: 't', 'transforms.t.type': 'org.acme.Acme$Value' }
  assert.deepEqual(await validated(harness, transform), {
    options: ['transforms.t.option.of.2.0.0-rc1', 'option.of.2.0.0-rc1'],
    errors: [],
    versions: [`connector.plugin.version ${all}`, `transforms.t.plugin.version ${all}`],
  })
  const converter = { 'key.converter': 'org.acme.AcmeConverter', 'key.converter.plugin.version': '[1,1.10)' }
  const older = {
    ...transform,
    ...converter,
    'connector.plugin.version': '1.9',
    'transforms.t.plugin.version': '[,1.10.0]',
  }
  assert.deepEqual(await validated(harness, older), {
    options: ['transforms.t.option.of.1.10.0', 'option.of.1.9.0', 'key.converter.option.of.1.9.0'],
    errors: [],
    versions: [
      `connector.plugin.version ${all}`,
      `key.converter.plugin.version ${all}`,
      `transforms.t.plugin.version ${all}`,
    ],
  })
  const { errors } = await validated(harness, { ...transform, 'transforms.t.plugin.version': '[3,4)' })
  const missing = none('[3,4)', 'org.acme.Acme$Value')
  for (const option of ['transforms.t.type', 'transforms.t.plugin.version']) {
    assert.ok(
      errors.some((error) => error.startsWith(`${option}: `) && error.includes(missing)),
      `${option} in ${errors}`,
    )
  }
  assert.deepEqual((await validated(harness, { 'connector.plugin.version': '[3,4)' })).errors, [
    `connector.class: ${none('[3,4)')}`,
    `connector.plugin.version: ${none('[3,4)')}`,
  ])

  const keys = async (version: string | null): Promise<readonly string[]> =>
    (await worker.pluginConfig('AcmeSource', version)).flatMap(({ name, default_value: value }) =>
      name.startsWith('option.of.') || name === 'connector.plugin.version' ? [`${name} ${value}`] : [],
    )
  assert.deepEqual(await keys(null), ['option.of.2.0.0-rc1 none', 'connector.plugin.version 2.0.0-rc1'])
  assert.deepEqual(await keys('[1,2)'), ['option.of.2.0.0-rc1 none', 'connector.plugin.version 2.0.0-rc1'])
  assert.deepEqual(await keys('(,1.9]'), ['option.of.1.9.0 none', 'connector.plugin.version 2.0.0-rc1'])
  await assert.rejects(worker.pluginConfig('AcmeSource', '3'), { message: none('[3,3]') })
  await assert.rejects(worker.pluginConfig('Nothing', '3'), { status: 404 })

  // Side by side in one worker, and in threads of their own.
  for (const version of ['1.9.0', '1.10.0']) {
    const config = { name: version, 'connector.class': 'AcmeSource', 'connector.plugin.version': version }
    await harness.run(version, config)
    assert.deepEqual(await worker.taskConfigs(version, config), [
      { 'made.by': version, 'task.class': 'org.acme.AcmeTask' },
    ])
    await eventually(() =>
      assert.match(harness.state(`${version}-0`)?.trace ?? '', new RegExp(`polled in version ${version}`)),
    )
  }
  assert.equal(worker.connectorType({ 'connector.class': 'AcmeSource', 'connector.plugin.version': '1.9.0' }), 'source')
  const gone = { name: 'gone', 'connector.class': 'AcmeSource', 'connector.plugin.version': '[3,4)' }
  assert.equal(worker.connectorType(gone), 'unknown')
  await assert.rejects(worker.startConnector('gone', gone, 'STARTED'))
  assert.ok(harness.state('gone')?.trace?.includes(none('[3,4)')), String(harness.state('gone')?.trace))
})
