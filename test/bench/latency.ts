import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { kafkaFor, recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { connectorConfig } from './cdc.ts'
import { type PeerName, startPeer } from './peers.ts'
import { usageOf } from './process-usage.ts'

/** Commits in one go; many small ticks would measure the timer of the writer. */
const tickMs = 10
const connections = 4

export interface LatencyResult {
  readonly variant: string
  readonly rate: number
  readonly records: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly cpuSeconds: number
  readonly peakRssBytes: number
}

/**
 * Commit → record, at a steady rate of transactions of one row, with the connector's and the producer's defaults. The
 * clock starts with the commit time in the event (`source.ts_us`, taken by the server before it flushes the commit)
 * and stops when a consumer has the record; the first quarter of the time is dropped.
 */
export async function benchLatency(options: {
  readonly services: Services
  readonly peer: PeerName
  readonly variant: string
  readonly port: number
  /** Commits per second. */
  readonly rate: number
  readonly seconds: number
}): Promise<LatencyResult> {
  const { services, variant, rate, seconds } = options
  const name = `bench_${randomBytes(3).toString('hex')}`
  const topic = `${name}.public.bench`
  const admin = new Client({ connectionString: services.pgUrl })
  await admin.connect()
  await admin.query(`CREATE DATABASE ${name}`)
  const url = new URL(services.pgUrl)
  url.pathname = `/${name}`
  await using resources = new AsyncDisposableStack()
  resources.defer(() => admin.end())
  resources.defer(() => drop(admin, name))
  const writers: Client[] = []
  for (let i = 0; i < connections; i++) {
    const client = new Client({ connectionString: url.href })
    await client.connect()
    writers.push(client)
    resources.defer(() => client.end())
  }
  await writers[0]?.query('CREATE TABLE bench (id bigserial PRIMARY KEY, pad text)')
  await recreateTopics(services.kafkaBrokers, { [topic]: 1 })
  const consumer = kafkaFor(services.kafkaBrokers, name).consumer({ groupId: name, maxWaitTimeInMs: 500, minBytes: 1 })
  await consumer.connect()
  resources.defer(() => consumer.disconnect())
  const seen: { readonly atMs: number; readonly latencyMs: number }[] = []
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachBatch: async ({ batch }) => {
      const atMs = performance.timeOrigin + performance.now()
      for (const { value } of batch.messages) {
        const event = JSON.parse(value?.toString() ?? '{}') as { readonly source: { readonly ts_us: number } }
        seen.push({ atMs, latencyMs: atMs - event.source.ts_us / 1000 })
      }
    },
  })
  const peer = resources.use(await startPeer(options.peer, services.kafkaBrokers, options.port))
  const config = connectorConfig(services, name, name, 'defaults')
  await peer.connect.request('PUT', `/connectors/${name}/config`, { ...config, 'snapshot.mode': 'no_data' })
  await waitFor('the slot to be in use', 60_000, async () => {
    const slots = await admin.query(`SELECT FROM pg_replication_slots WHERE slot_name = '${name}' AND active`)
    return slots.rowCount === 1 ? true : null
  })
  const before = usageOf(peer.pid)
  const began = performance.timeOrigin + performance.now()
  const sent = await write(writers, rate, seconds)
  await waitFor('the last record', 60_000, async () => (seen.length >= sent ? true : null), 20)
  const after = usageOf(peer.pid)
  await peer.connect.remove(name)
  const counted = seen.filter(({ atMs }) => atMs > began + seconds * 250).map(({ latencyMs }) => latencyMs)
  counted.sort((a, b) => a - b)
  const at = (share: number) => counted[Math.min(counted.length - 1, Math.floor(counted.length * share))] ?? Number.NaN
  return {
    variant,
    rate,
    records: counted.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    peakRssBytes: after.peakRssBytes,
  }
}

/** Single-row transactions at the given rate, spread over the connections; a late tick is made good. */
async function write(writers: readonly Client[], rate: number, seconds: number): Promise<number> {
  const total = rate * seconds
  const began = performance.now()
  const pending = writers.map(() => Promise.resolve())
  let sent = 0
  while (sent < total) {
    const due = Math.min(total, Math.ceil(((performance.now() - began) / 1000) * rate))
    for (; sent < due; sent++) {
      const i = sent % writers.length
      const client = writers[i] as Client
      pending[i] = (pending[i] ?? Promise.resolve()).then(async () => {
        await client.query(
          "INSERT INTO bench (pad) VALUES ('a text of about one hundred bytes, as rows of a busy table have')",
        )
      })
    }
    await new Promise((done) => setTimeout(done, tickMs))
  }
  await Promise.all(pending)
  return total
}

async function drop(admin: Client, name: string): Promise<void> {
  await waitFor('the slot to be dropped', 60_000, async () => {
    await admin.query(
      `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${name}'`,
    )
    return true
  })
  await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
}
