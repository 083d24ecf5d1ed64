import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { ConfigProviders, envProvider, reverseTransform } from '../../../../worker/config/config-provider.ts'
import { resolveWorkerConfig } from '../../../../worker/config/worker-config.ts'
import { openWorker } from '../../../support/runtime/worker-harness.ts'

async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'providers-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

test('file and directory references are resolved in one pass, unknown ones stay', async () => {
  await using dir = await folder()
  const file = join(dir.path, 'secrets.properties')
  await writeFile(file, 'password=${file:x:y}\nuser=me\n')
  await writeFile(join(dir.path, 'token'), 'abc')
  const providers = await ConfigProviders.fromWorkerConfig({
    'config.providers': 'file, dir',
    'config.providers.file.class': 'org.apache.kafka.common.config.provider.FileConfigProvider',
    'config.providers.dir.class': 'DirectoryConfigProvider',
  })
  const { config, ttlMs } = await providers.resolve({
    a: `\${file:${file}:user}-\${file:${file}:password}`,
    b: `\${dir:${dir.path}:token}`,
    c: `\${file:${file}:absent} \${none:x:y}`,
    d: null,
  })
  assert.equal(config.a, 'me-${file:x:y}')
  assert.equal(config.b, 'abc')
  assert.equal(config.c, `\${file:${file}:absent} \${none:x:y}`)
  assert.equal(config.d, null)
  assert.equal(ttlMs, null)
  await assert.rejects(providers.resolve({ x: `\${file:${dir.path}/no:y}` }), (error: unknown) => {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.problems[0]?.option, 'x')
    return true
  })
})

test('allowed paths hold, also against symbolic links', async () => {
  await using dir = await folder()
  await mkdir(join(dir.path, 'in'))
  await writeFile(join(dir.path, 'out.properties'), 'k=secret')
  await writeFile(join(dir.path, 'in', 'ok.properties'), 'k=fine')
  await symlink(join(dir.path, 'out.properties'), join(dir.path, 'in', 'link.properties'))
  const providers = await ConfigProviders.fromWorkerConfig({
    'config.providers': 'f',
    'config.providers.f.class': 'FileConfigProvider',
    'config.providers.f.param.allowed.paths': join(dir.path, 'in'),
  })
  const raw = {
    ok: `\${f:${dir.path}/in/ok.properties:k}`,
    out: `\${f:${dir.path}/out.properties:k}`,
    link: `\${f:${dir.path}/in/link.properties:k}`,
    up: `\${f:${dir.path}/in/../out.properties:k}`,
  }
  const { config } = await providers.resolve(raw)
  assert.deepEqual(config, { ...raw, ok: 'fine' })
})

test('environment: allow-list, no paths', async () => {
  const provider = envProvider({ 'allowlist.pattern': 'APP_.*' }, { APP_A: '1', HOME: '/root' })
  const keys = new Set(['APP_A', 'HOME', 'APP_NONE'])
  assert.deepEqual((await provider.get('', keys)).values, { APP_A: '1' })
  assert.deepEqual((await provider.get('path', keys)).values, {})
})

test('a provider that is not here is named together with those that are', async () => {
  const make = (): Promise<ConfigProviders> =>
    ConfigProviders.fromWorkerConfig({ 'config.providers': 'v', 'config.providers.v.class': 'com.example.Vault' })
  await assert.rejects(make, /com\.example\.Vault could not be found; config providers here: .*FileConfigProvider/u)
})

test('a provider that a module of plugin.path exports, with its parameters and a time to live', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-provider-'))
  t.after(() => rm(folder, { recursive: true }))
  const module = join(folder, 'vault.mjs')
  await writeFile(
    module,
    `export const configProviders = [{
      name: 'com.example.Vault', version: '1',
      create: ({ suffix }) => ({
        get: async (path, keys) => ({ values: Object.fromEntries([...keys].map((k) => [k, path + k + suffix])), ttlMs: 5000 }),
      }),
    }]`,
  )
  for (const name of ['com.example.Vault', 'Vault']) {
    const providers = await ConfigProviders.fromWorkerConfig({
      'plugin.path': module,
      'config.providers': 'v',
      'config.providers.v.class': name,
      'config.providers.v.param.suffix': '!',
    })
    assert.deepEqual(await providers.resolve({ a: '${v:db/:pw}', b: 'plain' }), {
      config: { a: 'db/pw!', b: 'plain' },
      ttlMs: 5000,
    })
  }
})

test('providers are closed once, whatever one of them throws; also those made before one that cannot be made', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-provider-'))
  t.after(() => rm(folder, { recursive: true }))
  const module = join(folder, 'vaults.mjs')
  const log = join(folder, 'log')
  await writeFile(
    module,
    `import { appendFileSync } from 'node:fs'
    const get = async () => ({ values: {}, ttlMs: null })
    const vault = (name, close) => ({ name, version: '1', create: () => ({ get, close }) })
    const note = (text) => appendFileSync(${JSON.stringify(log)}, text)
    export const configProviders = [
      vault('Fine', async () => note('fine ')),
      vault('Bad', () => { note('bad '); throw new Error('will not close') }),
      vault('Plain'),
      { name: 'Broken', version: '1', create: () => { throw new Error('cannot be made') } },
    ]`,
  )
  const raw = {
    'plugin.path': module,
    'config.providers.a.class': 'Bad',
    'config.providers.b.class': 'Plain',
    'config.providers.c.class': 'Fine',
    'config.providers.d.class': 'Broken',
  }
  const providers = await ConfigProviders.fromWorkerConfig({ ...raw, 'config.providers': 'a,b,c' })
  for (let i = 0; i < 2; i++) {
    await assert.rejects(providers.close(), (error) => {
      assert.ok(error instanceof AggregateError)
      assert.match(String(error.errors), /^Error: will not close$/)
      return true
    })
  }
  assert.equal(await readFile(log, 'utf8'), 'bad fine ')
  await assert.rejects(ConfigProviders.fromWorkerConfig({ ...raw, 'config.providers': 'c,d' }), /cannot be made/)
  assert.equal(await readFile(log, 'utf8'), 'bad fine fine ')
  // A worker whose config cannot be used does not start, and keeps none open.
  await assert.rejects(resolveWorkerConfig({ ...raw, 'config.providers': 'c' }, 'distributed'), {
    code: 'CONNECT_CONFIG_INVALID',
  })
  assert.equal(await readFile(log, 'utf8'), 'bad fine fine fine ')
})

test('a provider that the host of the connectors has opened is closed with it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-provider-'))
  t.after(() => rm(folder, { recursive: true }))
  const [module, log] = [join(folder, 'vault.mjs'), join(folder, 'log')]
  await writeFile(
    module,
    `import { appendFileSync } from 'node:fs'
    import { isMainThread } from 'node:worker_threads'
    export const configProviders = [{ name: 'Vault', version: '1', create: () => ({
      get: async (path, keys) => ({ values: Object.fromEntries([...keys].map((key) => [key, 'value'])), ttlMs: null }),
      close: () => appendFileSync(${JSON.stringify(log)}, isMainThread ? 'main' : 'host'),
    }) }]`,
  )
  {
    const settings = { 'plugin.path': module, 'config.providers': 'v', 'config.providers.v.class': 'Vault' }
    await using harness = await openWorker({ bootstrap: '127.0.0.1:9', settings })
    const config = { name: 'c', 'connector.class': 'FileStreamSink', topics: '${v:a}' }
    const { configs } = await harness.worker.validate(config)
    assert.equal(configs.find(({ value }) => value.name === 'topics')?.value.value, 'value')
  }
  // That of the main thread is whose process it is: the harness keeps it.
  assert.equal(await readFile(log, 'utf8'), 'host')
})

test('references return into task configs, other values stay', () => {
  const connector = { password: '${env:PW}', url: 'db', other: '${env:X}' }
  assert.deepEqual(reverseTransform(connector, { password: 'secret', url: 'db2', task: '0' }), {
    password: '${env:PW}',
    url: 'db2',
    task: '0',
  })
})
