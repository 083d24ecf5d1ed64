import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConnectClient } from '../../compose/pipelines/support/connect-client.ts'
import { kafkaFor } from '../../compose/pipelines/support/kafka-topics.ts'
import { type PipelineRun, type Services, workerEnvironment } from '../../compose/pipelines/support/pipeline.ts'
import { WorkerCluster } from '../../compose/pipelines/support/workers.ts'
import { eventAt, isDebug, kindOf, kinds } from '../../compose/pipelines/warehouse/events.ts'
import { partitions } from '../../compose/pipelines/warehouse/feed.ts'
import { WarehousePipeline } from '../../compose/pipelines/warehouse/pipeline.ts'
import { Warehouse } from '../../compose/pipelines/warehouse/warehouse-client.ts'
import { projectRoot } from '../support/project-root.ts'
import { usageOf } from './process-usage.ts'

export interface WarehouseResult {
  readonly rate: number
  readonly rows: number
  readonly rotateMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** COPY statements that loaded something, and files that they loaded. */
  readonly copies: number
  readonly files: number
  /** Of the loaded events' JSON, uncompressed. */
  readonly bytes: number
  /** Of both workers over the time of writing. */
  readonly cpuSeconds: number
  readonly peakRssBytes: number
}

/** Between two events of the writer's clock. */
const tickMs = 20

/** A file that the ledger of a table lists: its rows are visible, since both commit together (R19). */
interface LoadedFile {
  readonly kind: string
  readonly partition: number
  readonly firstOffset: number
  readonly lastOffset: number
  readonly batch: string
  readonly seenAt: number
}

/**
 * Topic A → S3 → topic B → COPY → row visible (P9), at a steady rate, with the configuration of the pipeline
 * *warehouse* (`batch.linger.ms` 500): two workers, three tasks of either sink. The clock of an event starts before it
 * is sent and stops when a query sees its file in the ledger; the first quarter of the time is dropped.
 */
export async function benchWarehouse(options: {
  readonly services: Services
  readonly port: number
  /** Events per second. */
  readonly rate: number
  readonly seconds: number
  /** `rotate.schedule.interval.ms` of the S3 sink. */
  readonly rotateMs: number
}): Promise<WarehouseResult> {
  const { services, port, rate, seconds, rotateMs } = options
  const pipeline = new WarehousePipeline(`bench${randomBytes(3).toString('hex')}`)
  await using workers = new WorkerCluster({
    group: `${pipeline.payroll}-workers`,
    bootstrapServers: services.kafkaBrokers,
    ports: [port, port + 1],
    folder: join(projectRoot, '.stack/bench'),
    env: workerEnvironment(services),
  })
  await workers.startAll()
  const connect = new ConnectClient(() => workers.urls)
  const run: PipelineRun = { services, connect, workers, kill: false, scale: 0, step: () => {} }
  const warehouse = new Warehouse(services)
  try {
    await pipeline.prepare(run)
    await pipeline.start(connect, { 'rotate.schedule.interval.ms': String(rotateMs) })
    const ledgers = new LedgerWatch(warehouse, pipeline.payroll)
    const before = usageOfAll(workers)
    const writing = writeSteadily(services.kafkaBrokers, `${pipeline.payroll}.events`, { rate, seconds })
    const sentAt = await ledgers.during(writing)
    const after = usageOfAll(workers)
    const expected = sentAt.filter((_, i) => !isDebug(i)).length
    await ledgers.until(expected, 120_000)
    return {
      rate,
      rotateMs,
      ...summary(ledgers.files, sentAt),
      cpuSeconds: after.cpu - before.cpu,
      peakRssBytes: after.rss,
    }
  } finally {
    for (const name of [pipeline.s3, pipeline.redshift]) await connect.remove(name).catch(() => {})
    await warehouse.execute(`DROP SCHEMA IF EXISTS ${pipeline.payroll} CASCADE`).catch(() => {})
    warehouse.close()
  }
}

export function printWarehouse(r: WarehouseResult): void {
  const ms = (value: number) => `${(value / 1000).toFixed(2)} s`
  const target = r.rotateMs + 5_000
  console.log(
    `  ${r.rate}/s, files every ${ms(r.rotateMs)}: record to visible row p50 ${ms(r.p50Ms)}, p99 ${ms(r.p99Ms)} (target ${ms(target)}: ${r.p99Ms <= target ? 'met' : 'MISSED'}), max ${ms(r.maxMs)} over ${r.rows} rows`,
  )
  console.log(
    `  ${r.copies} COPY calls of ${r.files} files for ${(r.bytes / 1e6).toFixed(1)} MB of JSON: ${(r.copies / (r.bytes / 1e9)).toFixed(0)} per GB; ${r.cpuSeconds.toFixed(1)} CPU s of both workers, peak ${(r.peakRssBytes / 1048576).toFixed(0)} MB each at most`,
  )
}

/** Writes events by their numbers; each partition's offsets count up from 0. @returns when each was sent */
async function writeSteadily(
  brokers: string,
  topic: string,
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
): Promise<readonly number[]> {
  const producer = kafkaFor(brokers, 'bench-payroll').producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  const sentAt: number[] = []
  const began = performance.now()
  try {
    while (sentAt.length < rate * seconds) {
      const now = performance.now()
      const due = Math.min(rate * seconds, Math.floor(((now - began) / 1000) * rate))
      const messages = []
      for (let i = sentAt.length; i < due; i++) {
        const { key, value, debug } = eventAt(i)
        messages.push({ key, value, partition: i % partitions, headers: debug ? { debug: '1' } : {} })
        sentAt.push(now)
      }
      if (messages.length > 0) await producer.send({ topic, messages })
      await sleep(tickMs)
    }
    return sentAt
  } finally {
    await producer.disconnect()
  }
}

/** Asks the ledgers again and again what is loaded. */
class LedgerWatch {
  readonly #warehouse: Warehouse
  readonly #query: string
  readonly #files = new Map<string, LoadedFile>()
  #rows = 0

  constructor(warehouse: Warehouse, schema: string) {
    this.#warehouse = warehouse
    const columns = 'file_id, src_partition, first_offset, last_offset, record_count, batch_id'
    this.#query = kinds
      .map((kind) => `SELECT '${kind}' AS kind, ${columns} FROM ${schema}.kc_ledger_${kind}`)
      .join(' UNION ALL ')
  }

  get files(): readonly LoadedFile[] {
    return [...this.#files.values()]
  }

  async during<T>(work: Promise<T>): Promise<T> {
    let done = false
    const settled = work.finally(() => {
      done = true
    })
    while (!done) await this.#look()
    return await settled
  }

  async until(rows: number, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (this.#rows < rows) {
      if (performance.now() > deadline)
        throw new Error(`${this.#rows} of ${rows} rows are loaded after ${timeoutMs} ms`)
      await this.#look()
    }
  }

  async #look(): Promise<void> {
    await sleep(tickMs)
    const rows = await this.#warehouse.query(this.#query).catch((error: unknown) => {
      // The loader makes each ledger with the first file of its table.
      if (error instanceof Error && error.message.includes('does not exist')) return []
      throw error
    })
    const seenAt = performance.now()
    for (const row of rows) {
      const id = row['file_id'] ?? ''
      if (this.#files.has(id)) continue
      this.#rows += Number(row['record_count'])
      this.#files.set(id, {
        kind: row['kind'] ?? '',
        partition: Number(row['src_partition']),
        firstOffset: Number(row['first_offset']),
        lastOffset: Number(row['last_offset']),
        batch: row['batch_id'] ?? '',
        seenAt,
      })
    }
  }
}

function summary(files: readonly LoadedFile[], sentAt: readonly number[]) {
  const warmUp = sentAt.length / 4
  const delays: number[] = []
  let bytes = 0
  for (const { kind, partition, firstOffset, lastOffset, seenAt } of files) {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      const i = offset * partitions + partition
      if (isDebug(i) || kindOf(i) !== kind) continue
      bytes += Buffer.byteLength(eventAt(i).value)
      const sent = sentAt[i]
      if (sent !== undefined && i >= warmUp) delays.push(seenAt - sent)
    }
  }
  delays.sort((a, b) => a - b)
  const at = (share: number) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? 0
  return {
    rows: delays.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    copies: new Set(files.map(({ batch }) => batch)).size,
    files: files.length,
    bytes,
  }
}

function usageOfAll(workers: WorkerCluster): { readonly cpu: number; readonly rss: number } {
  const usages = [...workers.pids().values()].map((pid) => usageOf(pid))
  return {
    cpu: usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
    rss: Math.max(...usages.map(({ peakRssBytes }) => peakRssBytes)),
  }
}
