import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { insertUsers, liveChanges, openConversations } from '../../compose/pipelines/search/feed.ts'
import { SearchPipeline } from '../../compose/pipelines/search/pipeline.ts'
import { ConnectClient } from '../../compose/pipelines/support/connect-client.ts'
import { type PipelineRun, type Services, workerEnvironment } from '../../compose/pipelines/support/pipeline.ts'
import { WorkerCluster } from '../../compose/pipelines/support/workers.ts'
import { projectRoot } from '../support/project-root.ts'
import type { Random } from '../support/random.ts'

export interface RoundResult {
  readonly round: number
  readonly killed: readonly number[]
  readonly afterMs: number
  readonly documents: number
  readonly differences: readonly string[]
  readonly recoveryMs: number
}

/**
 * The pipeline *search* while workers are killed with SIGKILL at random instants: each round writes changes, kills one
 * worker or both somewhere in the middle, starts them again and then compares Postgres with the index (I1–I4, I9).
 */
export async function searchRounds(options: {
  readonly services: Services
  readonly rounds: number
  readonly random: Random
  readonly port: number
  readonly instance: string
  report(result: RoundResult): void
}): Promise<readonly RoundResult[]> {
  const { services, random, rounds, port } = options
  const pipeline = new SearchPipeline(options.instance)
  await using workers = new WorkerCluster({
    group: `chaos-${port}`,
    bootstrapServers: services.kafkaBrokers,
    ports: [port, port + 1],
    folder: join(projectRoot, '.stack/chaos'),
    env: workerEnvironment(services),
  })
  const connect = new ConnectClient(() => workers.urls)
  const run: PipelineRun = { services, connect, workers, kill: false, scale: 1, step: () => {} }
  const users = 200
  const perRound = 400
  const results: RoundResult[] = []
  await workers.startAll()
  try {
    await pipeline.prepare(run)
    await using client = await pipeline.open(services)
    await insertUsers(client.pg, users)
    await openConversations(client.pg, 1, perRound, users)
    // The first kill may come before, during or after the snapshot.
    await pipeline.start(run)
    for (let round = 1; round <= rounds; round++) {
      const afterMs = random.integer(0, 2_500)
      const victims = random.pick([[port], [port + 1], [port, port + 1]])
      const writing = writeRound(client.pg, round, perRound, users)
      await sleep(afterMs)
      const killedAt = Date.now()
      await Promise.all(victims.map((victim) => workers.kill(victim)))
      await Promise.all(victims.map((victim) => workers.start(victim)))
      await writing
      await pipeline.settle(run, client.pg)
      const { actual, differences } = await pipeline.documents(services).compare(client.pg)
      const result = {
        round,
        killed: victims,
        afterMs,
        documents: actual,
        differences,
        recoveryMs: Date.now() - killedAt,
      }
      results.push(result)
      options.report(result)
    }
    return results
  } finally {
    await pipeline.close()
    await connect.remove(pipeline.source).catch(() => {})
    await connect.remove(pipeline.sink).catch(() => {})
  }
}

async function writeRound(
  pg: Parameters<typeof openConversations>[0],
  round: number,
  perRound: number,
  users: number,
): Promise<void> {
  const first = round * perRound + 1
  for (let from = first; from < first + perRound; from += 50) {
    await openConversations(pg, from, from + 49, users)
    await liveChanges(pg, from - perRound, from + 49 - perRound / 2, users)
    await sleep(200)
  }
}
