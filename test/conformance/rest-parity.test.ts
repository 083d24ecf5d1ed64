/** All recorded requests against a real worker: what `npm run parity rest --docs --headers` prints, as a test. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import test from 'node:test'
import { describeOutcome, restParity, summary } from '../parity/rest/parity.ts'
import { sectionOf } from '../parity/rest/replay.ts'
import { requireService } from '../support/services.ts'
import { loadGolden } from './rest-golden.ts'

/** A client would have given up by then; Connect answers each of these requests within seconds. */
const patienceMs = 20_000

const kafka = requireService('kafka')

/** Ids of the recorded requests in `better.md`. */
async function listed(): Promise<readonly string[]> {
  const text = await readFile(new URL('./golden/rest/better.md', import.meta.url), 'utf8')
  const sections = new Set(loadGolden().map(sectionOf))
  const ids = Array.from(text.matchAll(/`([a-z]+\.[^`]+)`/g), ([, id = '']) => id)
  return ids.filter((id) => sections.has(id.slice(0, id.indexOf('.')))).sort()
}

test('a worker answers the recorded requests as Connect 4.3 does, or better', { skip: kafka.skip }, async (t) => {
  const different: string[] = []
  const result = await restParity(kafka.settings.brokers, { docs: true, headers: true }, (outcome) => {
    different.push(describeOutcome(outcome))
  })
  for (const line of summary(result)) t.diagnostic(line)
  assert.equal(different.join('\n'), '')
  assert.equal(result.equal + result.better, result.total)
  // What differs on purpose is written down, each answer by its name.
  const better = result.outcomes.filter(({ verdict }) => verdict === 'better').map(({ step }) => step.id)
  assert.deepEqual(better.sort(), await listed())
  const slow = result.outcomes.filter(({ durationMs }) => durationMs > patienceMs).map(({ step }) => step.id)
  assert.deepEqual(slow, [], `answered after more than ${patienceMs} ms`)
})
