/** Kafka Connect and Sluice, each with a cluster of its own, get the same requests at the same time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, compareAnswer, type Json, kafkaClass, type RecordedStep } from '../../conformance/rest-golden.ts'
import { startJavaWorker } from '../../support/java-connect.ts'
import { ClusterUnderTest, type WorkerUnderTest } from '../../support/worker-process.ts'
import { type LiveRequest, liveRequests, type OptionInfo, type PluginOptions } from './live-requests.ts'
import { exchange, type StepOutcome } from './replay.ts'

const workerOptions = {
  'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
}

const retryMs = 100
/** Refusals while a rebalance is due, and states that come a moment after the answer, are asked for again this long. */
const momentMs = 10_000
const settleMs = 2_000

const isMomentary = (text: string): boolean =>
  /Cannot complete request (?:momentarily )?because|a rebalance is expected|stale configuration|haven't stopped/.test(
    text,
  )

async function ask(worker: WorkerUnderTest, request: LiveRequest): Promise<Answer> {
  const { method, path, body, accept = 'application/json' } = request
  const contentType = request.contentType ?? (body === undefined ? undefined : 'application/json')
  const headers = { accept, ...(contentType === undefined ? {} : { 'content-type': contentType }) }
  const url = new URL(worker.url)
  const deadline = performance.now() + momentMs
  let answer = await exchange({ url, method, path, body, headers })
  while (isMomentary(answer.text) && performance.now() < deadline) {
    await sleep(retryMs)
    answer = await exchange({ url, method, path, body, headers })
  }
  const { text, ...rest } = answer
  if (text === '') return { ...rest, json: null }
  try {
    return { ...rest, json: withoutBuild(JSON.parse(text) as Json) }
  } catch {
    return { ...rest, text }
  }
}

/** Which build answers is no difference. */
function withoutBuild(json: Json): Json {
  const isRoot = json !== null && typeof json === 'object' && 'kafka_cluster_id' in json
  return isRoot ? { ...json, commit: '' } : json
}

/** Validation with a version that is not here: Java answers the first time, and has a null pointer from then on. */
function answersAsFirst(expected: Answer, actual: Answer): boolean {
  const isForgetful = /VersionedPluginLoadingException\.availableVersions/.test(JSON.stringify(expected.json ?? null))
  return isForgetful && actual.status === 200 && /"error_count":2/.test(JSON.stringify(actual.json ?? null))
}

const showsState = ({ path }: LiveRequest): boolean => /\/(?:status|offsets|connectors\?.*|restart\?.*)$/.test(path)

interface Pair {
  readonly java: WorkerUnderTest
  readonly sluice: WorkerUnderTest
}

async function compare({ java, sluice }: Pair, id: string, request: LiveRequest): Promise<StepOutcome> {
  const start = performance.now()
  for (;;) {
    const [expected, answer] = await Promise.all([ask(java, request), ask(sluice, request)])
    const { method, path, body } = request
    const step: RecordedStep = { id, method, path, ...(body === undefined ? {} : { request: body }), ...expected }
    // The texts of Kafka's client options are Kafka's; ours has its own for some.
    const docs = !(body ?? '').includes('.override.')
    const verdict = answersAsFirst(expected, answer) ? 'better' : compareAnswer(step, answer, { docs, headers: true })
    const durationMs = performance.now() - start
    if (!Array.isArray(verdict) || !showsState(request) || durationMs > settleMs) {
      return { step, answer, verdict, durationMs }
    }
    await sleep(retryMs)
  }
}

async function pluginsOf(worker: WorkerUnderTest): Promise<readonly PluginOptions[]> {
  const { body } = await worker.rest('GET', '/connector-plugins?connectorsOnly=false')
  const plugins: PluginOptions[] = []
  for (const { class: name, type } of body as readonly { class: string; type: string }[]) {
    if (!kafkaClass.test(name)) continue
    const { status, body: options } = await worker.rest('GET', `/connector-plugins/${name}/config`)
    if (status === 200) plugins.push({ class: name, type, options: options as readonly OptionInfo[] })
  }
  return plugins
}

export interface LiveParity {
  readonly equal: number
  readonly better: number
  readonly different: readonly StepOutcome[]
  readonly total: number
}

/**
 * @param every sends the first of so many validations only; what changes state is always sent, in order
 * @param report gets each outcome that is not equal
 */
export async function liveParity(
  brokers: readonly string[],
  every: number,
  report: (outcome: StepOutcome) => void,
): Promise<LiveParity> {
  await using theirs = await ClusterUnderTest.open(brokers, workerOptions)
  await using ours = await ClusterUnderTest.open(brokers, workerOptions)
  const [java, sluice] = await Promise.all([
    startJavaWorker(theirs).then((worker) => worker.ready(90_000)),
    ours.start().then((worker) => worker.ready()),
  ])
  const counts = { equal: 0, better: 0 }
  const different: StepOutcome[] = []
  let index = 0
  let total = 0
  for (const request of liveRequests(await pluginsOf(java), theirs.token)) {
    const id = `${index++}`
    if (request.path.endsWith('/validate') && index % every !== 0) continue
    total++
    const outcome = await compare({ java, sluice }, id, request)
    const { verdict } = outcome
    if (verdict === 'equal' || verdict === 'better') counts[verdict]++
    else different.push(outcome)
    if (verdict !== 'equal') report(outcome)
  }
  await Promise.all([java.signal('SIGTERM'), sluice.signal('SIGTERM')])
  return { ...counts, different, total }
}

export function liveSummary({ equal, better, different, total }: LiveParity): string {
  const more = better > 0 ? `, ${better} better (4xx with a reason where Java says 500)` : ''
  return `rest-live: ${equal} of ${total} answers equal${more}, ${different.length} different`
}
