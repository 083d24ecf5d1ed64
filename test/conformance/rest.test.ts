/**
 * Recorded requests whose answers follow from the REST layer alone, sent to our server with a herder in memory.
 * The rest of the recording needs connectors that run; it is compared against a real worker.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { parseWorkerConfig } from '../../worker/config/worker-config.ts'
import { createRestServer } from '../../worker/rest/server.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { requestHeaders } from '../parity/rest/requests.ts'
import { compareAnswer, type Json, loadGolden, type RecordedStep } from './rest-golden.ts'
import { fakeHerder } from './rest-herder.ts'
import { recordedPlugins } from './rest-plugins.ts'

const none = (): void => {}
const logger = { trace: none, debug: none, info: none, warn: none, error: none }
const config = parseWorkerConfig(
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

const sections = new Set(['root', 'plugins', 'validate', 'names', 'loggers'])
/** Errors and refusals of the other sections that need no running connector. */
const stateless =
  /-missing|-post$|-put$|-get$|create\.(no-|empty|malformed|null$|array|string|unknown|config-|name-number|invalid|text-)/u
/** Needs a session key, or a connector with state. */
const stateful =
  /^(internal|offsets\.(source|sink)|delete\.recreate|read\.|state\.stopped|config\.(put|patch)-(create|get)|create\.(trimmed|numbers))/u

function isReplayable(step: RecordedStep): boolean {
  // Requests beyond 300 characters were cut in the recording.
  if ((step.request?.length ?? 0) >= 300) return false
  if (sections.has(step.id.split('.')[0] ?? '')) return !step.id.startsWith('names.') || step.status === 404
  return stateless.test(step.id) && !stateful.test(step.id) && step.status >= 400
}

/** Known by the herder or the registry of a real worker, not by the one in memory. */
const notHere = new Set(['plugins.config-java.lang.String'])

test('recorded answers of the REST layer', async (t) => {
  await using server = await createRestServer({ config, logger, clock: systemClock })
  server.register(fakeHerder(recordedPlugins(), config, () => 8083))
  let compared = 0
  for (const step of loadGolden()) {
    if (!isReplayable(step) || notHere.has(step.id)) continue
    compared++
    await t.test(step.id, async () => {
      const response = await server.app.inject({
        method: step.method as 'GET',
        url: step.path,
        headers: requestHeaders(step),
        ...(step.request === undefined ? {} : { payload: step.request }),
      })
      const verdict = compareAnswer(
        step,
        {
          status: response.statusCode,
          headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)])),
          json: response.body === '' ? null : (JSON.parse(response.body) as Json),
        },
        { headers: true },
      )
      if (verdict !== 'better') assert.equal(verdict, 'equal')
    })
  }
  t.diagnostic(`${compared} recorded requests compared`)
  assert.ok(compared > 200)
})
