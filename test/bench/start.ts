/** What a worker costs before it does anything: its start, its memory at rest, and idle connectors. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { type Peer, type PeerName, startPeer } from './peers.ts'
import { usageOf } from './process-usage.ts'

export interface StartMeasurement {
  readonly variant: string
  /** Process start → REST answers. */
  readonly restMs: number
  /** Process start → a line of a file is a record in a topic. */
  readonly firstRecordMs: number
  /** Five seconds after REST answered, without connectors. */
  readonly idleMb: number
  /** First request → all of the idle connectors and their tasks run. */
  readonly connectorsMs: number
  readonly mbPerConnector: number
  /** Rebalances meanwhile; null for a peer that does not tell over HTTP. */
  readonly rebalances: number | null
}

export interface StartOptions {
  readonly kafkaBrokers: string
  readonly peer: PeerName
  readonly variant: string
  readonly port: number
  /** Idle connectors, each with one task. */
  readonly connectors: number
}

const restMs = 5_000

export async function benchStart(options: StartOptions): Promise<StartMeasurement> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-start-'))
  try {
    const firstRecordMs = await firstRecord(options, folder)
    await using peer = await startPeer(options.peer, options.kafkaBrokers, options.port)
    await new Promise((resolve) => setTimeout(resolve, restMs))
    const idleMb = megabytes(peer)
    const before = await rebalances(options)
    const connectorsMs = await idleConnectors(options, folder)
    const after = await rebalances(options)
    await new Promise((resolve) => setTimeout(resolve, restMs))
    return {
      variant: options.variant,
      restMs: peer.startMs,
      firstRecordMs,
      idleMb,
      connectorsMs,
      mbPerConnector: (megabytes(peer) - idleMb) / options.connectors,
      rebalances: before === null || after === null ? null : after - before,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const megabytes = (peer: Peer): number => usageOf(peer.pid).rssBytes / 2 ** 20

async function firstRecord({ peer: name, kafkaBrokers, port }: StartOptions, folder: string): Promise<number> {
  const topic = `start-${Date.now()}`
  const file = join(folder, 'line')
  await writeFile(file, 'a line\n')
  await using peer = await startPeer(name, kafkaBrokers, port)
  const answeredAt = performance.now()
  await put(port, 'first', { file, topic })
  await using admin = createKafkaClientFactory().admin({ 'bootstrap.servers': kafkaBrokers })
  await waitFor(
    'the first record',
    60_000,
    async () => {
      if ((await admin.describeTopic(topic)) === null) return null
      const offsets = await admin.listOffsets([{ topic, partition: 0 }], 'latest', 'read_uncommitted')
      return (offsets.get(topic, 0) ?? 0n) > 0n ? true : null
    },
    10,
  )
  const tookMs = peer.startMs + performance.now() - answeredAt
  await admin.deleteTopics([topic])
  return tookMs
}

/** A rebalance answers with 409 for a moment. */
async function put(port: number, name: string, config: Readonly<Record<string, string>>): Promise<void> {
  await waitFor(
    `connector ${name}`,
    60_000,
    async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/connectors/${name}/config`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ 'connector.class': 'FileStreamSource', 'tasks.max': '1', ...config }),
      })
      return answer.ok ? true : null
    },
    20,
  )
}

/** Sources of files that are not there. */
async function idleConnectors({ port, connectors }: StartOptions, folder: string): Promise<number> {
  const began = performance.now()
  for (let i = 0; i < connectors; i++)
    await put(port, `idle-${i}`, { file: join(folder, `missing-${i}`), topic: 'unused' })
  await waitFor(
    'all connectors',
    120_000,
    async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/connectors?expand=status`)
      if (!answer.ok) return null
      const all = (await answer.json()) as Readonly<
        Record<string, { readonly status?: { readonly tasks: readonly { readonly state: string }[] } }>
      >
      const running = Object.values(all).filter(({ status }) => status?.tasks[0]?.state === 'RUNNING')
      return running.length === connectors ? true : null
    },
    50,
  )
  return performance.now() - began
}

async function rebalances({ peer, port }: StartOptions): Promise<number | null> {
  if (peer === 'java') return null
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const found = /^kafka_connect_connect_worker_rebalance_metrics_completed_rebalances_total (\d+)$/m.exec(text)
  return Number(found?.[1] ?? Number.NaN)
}

export function describeStart(m: StartMeasurement, connectors: number): string {
  const told = m.rebalances === null ? '' : `, ${m.rebalances} rebalances`
  return (
    `  ${m.variant}: REST answers after ${m.restMs.toFixed(0)} ms, first record after ${m.firstRecordMs.toFixed(0)} ms; ` +
    `idle ${m.idleMb.toFixed(0)} MB; ${connectors} connectors run after ${(m.connectorsMs / 1000).toFixed(1)} s${told}, ` +
    `${m.mbPerConnector.toFixed(1)} MB each`
  )
}
