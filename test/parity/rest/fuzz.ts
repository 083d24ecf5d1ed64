/** Mutated requests against a worker of their own, with what became of it (R5). */
import { residentBytes } from '../../../compose/stack/processes.ts'
import type { Random } from '../../support/random.ts'
import { type FuzzResult, fuzzRest } from '../../support/rest-fuzz.ts'
import { ClusterUnderTest, eventually } from '../../support/worker-process.ts'

export interface WorkerFuzz {
  readonly result: FuzzResult
  readonly summary: string
}

/** @throws Error when the worker has ended, or does not take a plain request afterwards */
export async function fuzzWorker(options: {
  readonly brokers: readonly string[]
  readonly random: Random
  readonly count: number
}): Promise<WorkerFuzz> {
  const { random, count } = options
  await using cluster = await ClusterUnderTest.open(options.brokers)
  const worker = await (await cluster.start()).ready()
  const { url } = worker
  const { folder } = cluster
  // What is loaded on first use is no growth.
  await fuzzRest({ url, random, count: Math.ceil(count / 4), folder })
  const beforeBytes = residentBytes(worker.pid) ?? 0
  const result = await fuzzRest({ url, random, count: count - Math.ceil(count / 4), folder })
  const growthMb = ((residentBytes(worker.pid) ?? 0) - beforeBytes) / 2 ** 20
  if (!worker.isRunning) throw new Error(`the worker has ended:\n${worker.output.slice(-4_000)}`)
  await worker.ready()
  await eventually(async () => {
    const config = { 'connector.class': 'FileStreamSource', file: `${folder}/after`, topic: cluster.token }
    const { status } = await worker.rest('PUT', '/connectors/after/config', config)
    const { body } = await worker.rest('GET', '/connectors/after/status')
    if (status >= 300 || !/"tasks":\[\{"id":0,"state":"RUNNING"/.test(JSON.stringify(body))) {
      throw new Error(`after all that a plain connector does not run: ${status} ${JSON.stringify(body)}`)
    }
  }, 30_000)
  const statuses = Object.entries(result.statuses).map(([status, n]) => `${status}: ${n}`)
  const summary =
    `rest-fuzz: ${count} requests, seed ${random.seed}: ${result.faults.length} without a proper answer; ` +
    `${statuses.join(', ')}; slowest ${Math.round(result.slowestMs)} ms; memory ${growthMb >= 0 ? '+' : ''}${growthMb.toFixed(0)} MB`
  return { result, summary }
}
