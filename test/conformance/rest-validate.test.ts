/** Recorded answers of `config/validate` and `GET …/config` against our pipeline of validation (statements 19–37). */
import assert from 'node:assert/strict'
import test from 'node:test'
import { RequestError } from '../../worker/api/errors.ts'
import { ConfigProviders } from '../../worker/config/config-provider.ts'
import { pluginConfigInfos } from '../../worker/config/connector-config.ts'
import { validateConnector } from '../../worker/config/validate-connector.ts'
import { parseWorkerConfig } from '../../worker/config/worker-config.ts'
import { isBetter, type Json, loadGolden, normalBody, type RecordedStep } from './rest-golden.ts'
import { recordedPlugins } from './rest-plugins.ts'

const plugins = recordedPlugins()
const worker = parseWorkerConfig(
  {
    'group.id': 'connect-cluster',
    'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    'config.storage.topic': 'c',
    'offset.storage.topic': 'o',
    'status.storage.topic': 's',
  },
  'distributed',
)

/** Steps about bodies and paths, which the REST layer answers. */
const ofRestLayer = new Set(
  ['path-full', 'mismatch', 'unknown-path', 'nested', 'array', 'malformed', 'empty-body', 'text-plain'].map(
    (i) => `validate.${i}`,
  ),
)

async function answer(step: RecordedStep): Promise<{ status: number; body: Json }> {
  const written = JSON.parse(step.request ?? '{}') as Record<string, Json>
  const raw = Object.fromEntries(Object.entries(written).map(([k, v]) => [k, v === null ? null : String(v)]))
  try {
    const infos = await validateConnector({ raw, plugins, worker, providers: ConfigProviders.none })
    return { status: 200, body: JSON.parse(JSON.stringify(infos)) as Json }
  } catch (error) {
    if (!(error instanceof RequestError)) throw error
    return { status: error.status, body: { error_code: error.status, message: error.message } }
  }
}

for (const step of loadGolden().filter((s) => s.id.startsWith('validate.'))) {
  // Requests beyond 300 characters were cut in the recording and cannot be repeated from it.
  const cut = (step.request?.length ?? 0) >= 300
  if (ofRestLayer.has(step.id)) continue
  test(step.id, { skip: cut ? 'request cut in the recording' : false }, async () => {
    const { status, body } = await answer(step)
    if (isBetter(step, status, body)) return
    assert.equal(status, step.status)
    assert.deepEqual(normalBody(body), normalBody(step.json ?? null))
  })
}

for (const step of loadGolden().filter((s) => s.id.startsWith('plugins.config-') && Array.isArray(s.json))) {
  test(step.id, () => {
    const plugin = plugins.findAny(step.id.slice('plugins.config-'.length))
    assert.ok(plugin !== null)
    assert.deepEqual(normalBody(pluginConfigInfos(plugin) as unknown as Json), normalBody(step.json ?? null))
  })
}
