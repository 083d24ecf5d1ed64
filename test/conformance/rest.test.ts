/**
 * Recorded requests whose answers follow from the REST layer alone, sent to our server with a herder in memory.
 * The rest of the recording needs connectors that run; it is compared against a real worker.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { parseWorkerConfig } from '../../worker/config/worker-config.ts'
import { createRestServer } from '../../worker/rest/server.ts'
import { systemClock } from '../../worker/util/clock.ts'
import { isBetter, type Json, kafkaClass, loadGolden, normalBody, type RecordedStep } from './rest-golden.ts'
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

function comparable(step: RecordedStep, body: Json): Json {
  if (step.hint?.['status'] !== undefined) return null
  if (step.hint?.['type'] !== undefined) return Array.isArray(body) ? 'array' : typeof body
  if (step.hint?.['root'] !== undefined) return body === null ? null : Object.keys(body)
  if (step.hint?.['plugins'] !== undefined && Array.isArray(body)) {
    const own = body.filter((p) => kafkaClass.test(String((p as { class?: Json }).class)))
    return normalBody(
      own
        .map((p) => JSON.stringify(p))
        .sort()
        .map((p) => JSON.parse(p) as Json),
    )
  }
  const pick = step.hint?.['pick']
  if (Array.isArray(pick) && body !== null && typeof body === 'object' && !Array.isArray(body)) {
    return normalBody(Object.fromEntries(Object.entries(body).filter(([key]) => pick.includes(key))))
  }
  const has = step.hint?.['has']
  if (Array.isArray(has) && Array.isArray(body)) return has.filter((item) => body.includes(item))
  if (Array.isArray(body) && body.length > 0 && 'importance' in Object(body[0])) {
    return Object.fromEntries(body.map((d) => [String((d as { name: Json }).name), normalBody(d)]))
  }
  return normalBody(body)
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
        headers: {
          accept: step.id === 'root.accept-html' ? 'text/html' : 'application/json',
          ...(step.request === undefined ? {} : contentType(step)),
        },
        ...(step.request === undefined ? {} : { payload: step.request }),
      })
      const body = response.body === '' ? null : (JSON.parse(response.body) as Json)
      if (isBetter(step, response.statusCode, body)) return
      assert.equal(response.statusCode, step.status)
      assert.deepEqual(comparable(step, body), comparable(step, step.json ?? null))
      if (step.status === 404 || step.status === 405 || step.status === 406 || step.status === 415) {
        assert.equal(response.headers['content-type'], step.headers['content-type'])
      }
    })
  }
  t.diagnostic(`${compared} recorded requests compared`)
  assert.ok(compared > 200)
})

function contentType(step: RecordedStep): Record<string, string> {
  if (step.id.endsWith('no-content-type')) return {}
  if (step.id.endsWith('merge-ct')) return { 'content-type': 'application/merge-patch+json' }
  const isText = /(text-plain|-text|\.text|with-text)$/u.test(step.id)
  return { 'content-type': isText ? 'text/plain' : 'application/json' }
}
