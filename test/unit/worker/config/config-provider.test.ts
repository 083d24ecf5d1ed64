import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { ConfigError } from '../../../../worker/api/errors.ts'
import { ConfigProviders, envProvider, reverseTransform } from '../../../../worker/config/config-provider.ts'

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

test('references return into task configs, other values stay', () => {
  const connector = { password: '${env:PW}', url: 'db', other: '${env:X}' }
  assert.deepEqual(reverseTransform(connector, { password: 'secret', url: 'db2', task: '0' }), {
    password: '${env:PW}',
    url: 'db2',
    task: '0',
  })
})
