import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigProviders } from '../../../../worker/config/config-provider.ts'
import { restartOptions } from '../../../../worker/config/restart-options.ts'
import { validateConnector } from '../../../../worker/config/validate-connector.ts'
import { parseWorkerConfig } from '../../../../worker/config/worker-config.ts'
import { builtinPlugins } from '../../../../worker/plugins/builtin.ts'
import { PluginRegistry } from '../../../../worker/plugins/registry.ts'

const worker = {
  'bootstrap.servers': 'b:9092',
  'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
  'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
  'offset.storage.file.filename': '/tmp/offsets',
}
const source = { name: 'f', 'connector.class': 'FileStreamSource', file: 'f', topic: 't' }

async function validate(options: Readonly<Record<string, string>>) {
  return await validateConnector({
    raw: { ...source, ...options },
    plugins: new PluginRegistry(builtinPlugins),
    worker: parseWorkerConfig(worker, 'standalone'),
    providers: ConfigProviders.none,
  })
}

const shown = (infos: Awaited<ReturnType<typeof validate>>): readonly string[] =>
  infos.configs.flatMap(({ value }) => (value.name.startsWith('errors.restart.') ? [value.name] : []))

test('options of restarts stay out of a validation that does not ask for them, as Connect has none', async () => {
  assert.deepEqual(shown(await validate({})), [])
})

test('a config that names one of them is told about all, and about a wrong value', async () => {
  const right = await validate({ 'errors.restart.max.attempts': '-1' })
  assert.deepEqual([...shown(right)].sort(), Object.keys(restartOptions.keys).sort())
  assert.equal(right.error_count, 0)
  const wrong = await validate({ 'errors.restart.max.attempts': '-2', 'errors.restart.delay.ms': '0' })
  const errors = wrong.configs.filter(({ value }) => value.errors.length > 0).map(({ value }) => value.name)
  assert.deepEqual(errors.sort(), ['errors.restart.delay.ms', 'errors.restart.max.attempts'])
})
