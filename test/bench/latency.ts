import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { kafkaFor, recreateTopics } from '../../compose/pipelines/support/kafka-topics.ts'
import type { Services } from '../../compose/pipelines/support/pipeline.ts'
import { waitFor } from '../../compose/pipelines/support/wait.ts'
import { connectorConfig } from './cdc.ts'
import { type PeerName, startPeer } from './peers.ts'
import { machineIdle, usageOf } from './process-usage.ts'

/** Commits in one go; many small ticks would measure the timer of the writer. */
const tickMs = 10
const connections = 4

/** Stages of the way, each from one clock reading to the next, in ms. */
const stages = ['commit → decoded', 'decoded → in the log', 'in the log → at the consumer'] as const

/** One record. */
interface Seen {
  readonly atMs: number
  readonly latencyMs: number
  readonly stagesMs: readonly number[]
}

/** Percentiles of one stage, and its share of the slowest percent of records. */
export interface StageResult {
  readonly stage: string
  readonly p50Ms: number
  readonly p99Ms: number
  readonly shareOfSlowest: number
}

export interface LatencyResult {
  readonly variant: string
  readonly rate: number
  readonly records: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Commit → in the log: without the consumer, which shares the process of the writers. */
  readonly logP50Ms: number
  readonly logP99Ms: number
  readonly stages: readonly StageResult[]
  readonly seconds: number
  readonly cpuSeconds: number
  readonly peakRssBytes: number
  /** Share of the machine's CPU time that nobody used, 0 to 1: near 0, latencies are those of the scheduler. */
  readonly machineIdle: number
}

/**
 * Commit → record, at a steady rate of small transactions, with the connector's and the producer's defaults. The
 * clock starts with the commit time in the event (`source.ts_us`, taken by the server before it flushes the commit)
 * and stops when a consumer has the record; the first quarter of the time is dropped. Stages are told apart by the
 * event's own time (`ts_us`, when its bytes had been read from the socket) and the broker's (whole milliseconds).
 */
export async function benchLatency(options: {
  readonly services: Services
  readonly peer: PeerName
  readonly variant: string
  readonly port: number
  /** Rows per second. */
  readonly rate: number
  readonly rowsPerTransaction: number
  readonly seconds: number
}): Promise<LatencyResult> {
  const { services, variant, rate, rowsPerTransaction, seconds } = options
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
  await recreateTopics(services.kafkaBrokers, { [topic]: 1 }, { 'message.timestamp.type': 'LogAppendTime' })
  const consumer = kafkaFor(services.kafkaBrokers, name).consumer({ groupId: name, maxWaitTimeInMs: 500, minBytes: 1 })
  await consumer.connect()
  resources.defer(() => consumer.disconnect())
  const seen: Seen[] = []
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    eachBatch: async ({ batch }) => {
      const atMs = performance.timeOrigin + performance.now()
      for (const { value, timestamp } of batch.messages) {
        const event = JSON.parse(value?.toString() ?? '{}') as Event
        const times = [event.source.ts_us / 1000, event.ts_us / 1000, Number(timestamp), atMs] as const
        const stagesMs = stages.map((_, i) => (times[i + 1] as number) - (times[i] as number))
        seen.push({ atMs, latencyMs: atMs - times[0], stagesMs })
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
  const idle = machineIdle()
  const began = performance.timeOrigin + performance.now()
  const sent = await write(writers, rate, rowsPerTransaction, seconds)
  await waitFor('the last record', 60_000, async () => (seen.length >= sent ? true : null), 20)
  const after = usageOf(peer.pid)
  const idleShare = idle()
  await peer.connect.remove(name)
  const counted = seen.filter(({ atMs }) => atMs > began + seconds * 250)
  counted.sort((a, b) => a.latencyMs - b.latencyMs)
  const latencies = counted.map(({ latencyMs }) => latencyMs)
  const toLog = counted.map(({ stagesMs: [read = 0, written = 0] }) => read + written).sort((a, b) => a - b)
  return {
    variant,
    rate,
    records: counted.length,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    maxMs: percentile(latencies, 1),
    logP50Ms: percentile(toLog, 0.5),
    logP99Ms: percentile(toLog, 0.99),
    stages: stages.map((stage, i) => stageResult(stage, i, counted)),
    seconds,
    cpuSeconds: after.cpuSeconds - before.cpuSeconds,
    peakRssBytes: after.peakRssBytes,
    machineIdle: idleShare,
  }
}

interface Event {
  readonly ts_us: number
  readonly source: { readonly ts_us: number }
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/** @param counted by latency, the slowest last */
function stageResult(stage: string, index: number, counted: readonly Seen[]): StageResult {
  const times = counted.map(({ stagesMs }) => stagesMs[index] as number).sort((a, b) => a - b)
  const slowest = counted.slice(Math.floor(counted.length * 0.99))
  const sum = (of: (seen: Seen) => number) => slowest.reduce((total, seen) => total + of(seen), 0)
  return {
    stage,
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    shareOfSlowest: sum(({ stagesMs }) => stagesMs[index] as number) / sum(({ latencyMs }) => latencyMs),
  }
}

export function printLatency(result: LatencyResult): void {
  const ms = (value: number) => `${value.toFixed(1)} ms`
  const cores = ((result.cpuSeconds / result.seconds) * 100).toFixed(0)
  console.log(
    `  ${result.variant} at ${result.rate}/s: commit to log p50 ${ms(result.logP50Ms)}, p99 ${ms(result.logP99Ms)}; ` +
      `to the consumer p50 ${ms(result.p50Ms)}, p99 ${ms(result.p99Ms)}, ` +
      `max ${ms(result.maxMs)} over ${result.records} records; ${cores} % of a core, ` +
      `peak ${(result.peakRssBytes / 1048576).toFixed(0)} MB; machine ${(result.machineIdle * 100).toFixed(0)} % idle`,
  )
  for (const { stage, p50Ms, p99Ms, shareOfSlowest } of result.stages) {
    const share = `${(shareOfSlowest * 100).toFixed(0)} % of the slowest percent`
    console.log(`    ${stage.padEnd(30)} p50 ${ms(p50Ms)}, p99 ${ms(p99Ms)}, ${share}`)
  }
}

/**
 * Transactions at the given rate, spread over the connections; a late tick is made good. The statement is prepared once
 * per connection, so that the server's time goes into commits and their decoding.
 */
async function write(
  writers: readonly Client[],
  rate: number,
  rowsPerTransaction: number,
  seconds: number,
): Promise<number> {
  const transactions = Math.ceil((rate * seconds) / rowsPerTransaction)
  const insert = {
    name: 'insert',
    text: 'INSERT INTO bench (pad) SELECT $1 FROM generate_series(1, $2)',
    values: ['a text of about one hundred bytes, as rows of a busy table have', rowsPerTransaction],
  }
  const began = performance.now()
  const pending = writers.map(() => Promise.resolve())
  let sent = 0
  while (sent < transactions) {
    const due = Math.min(transactions, Math.ceil(((performance.now() - began) / 1000) * (rate / rowsPerTransaction)))
    for (; sent < due; sent++) {
      const i = sent % writers.length
      const client = writers[i] as Client
      pending[i] = (pending[i] ?? Promise.resolve()).then(async () => {
        await client.query(insert)
      })
    }
    await new Promise((done) => setTimeout(done, tickMs))
  }
  await Promise.all(pending)
  return transactions * rowsPerTransaction
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
