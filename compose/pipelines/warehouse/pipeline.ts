import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { emptyBucket, listObjects } from '../support/bucket.ts'
import { deleteGroups, groupLag, kafkaFor, recreateTopics } from '../support/kafka-topics.ts'
import { killWorkerOf } from '../support/kill.ts'
import type { Pipeline, PipelineRun } from '../support/pipeline.ts'
import type { Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { amountCents, eventAt, isDebug, kindOf, kinds } from './events.ts'
import { Warehouse } from './warehouse-client.ts'

interface KindTotals {
  events: number
  cents: number
  /** Sum over events of the first 15 hex digits of md5(event_id), as the warehouse computes it too. */
  hash: bigint
}

const partitions = 6
const tasks = 3

/** Events of a run; 1 is the size of the quickstart. */
export const eventCount = (scale: number): number => 200_000 * scale

/** Event logs → S3 files by event key → metadata topic → COPY into the warehouse. */
export class WarehousePipeline implements Pipeline {
  readonly name = 'warehouse'
  /** Schema, and first part of topics and bucket; `payroll` in the JSON and SQL files. */
  readonly payroll: string
  readonly s3: string
  readonly redshift: string
  #produced = 0

  constructor(instance: string) {
    this.payroll = `payroll${instance}`
    this.s3 = `warehouse-s3${instance}`
    this.redshift = `warehouse-redshift${instance}`
  }

  get #bucket(): string {
    return `${this.payroll}-lake`
  }

  /** What stands in the JSON files → what this instance calls it. */
  get names(): Readonly<Record<string, string>> {
    return { payroll: this.payroll, 'warehouse-s3': this.s3, 'warehouse-redshift': this.redshift }
  }

  async prepare(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    for (const name of [this.s3, this.redshift]) await connect.remove(name)
    await waitFor('old consumer groups to be empty', 60_000, async () => {
      await deleteGroups(services.kafkaBrokers, [`connect-${this.s3}`, `connect-${this.redshift}`])
      return true
    })
    await recreateTopics(services.kafkaBrokers, {
      [`${this.payroll}.events`]: partitions,
      [`${this.payroll}.files`]: partitions,
    })
    await emptyBucket(services, this.#bucket)
    const warehouse = new Warehouse(services)
    try {
      await warehouse.execute(`DROP SCHEMA IF EXISTS ${this.payroll} CASCADE`)
      const sql = (await readFile(new URL('tables.sql', import.meta.url), 'utf8')).replaceAll('payroll', this.payroll)
      for (const statement of sql
        .split(';')
        .map((text) => text.trim())
        .filter(Boolean))
        await warehouse.execute(statement)
    } finally {
      warehouse.close()
    }
  }

  async execute(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    run.step('creates the S3 and Redshift connectors over REST')
    await connect.apply(new URL('s3-sink.json', import.meta.url), this.names)
    await connect.apply(new URL('redshift-sink.json', import.meta.url), this.names)
    await connect.running(this.s3, tasks)
    await connect.running(this.redshift, tasks)
    const events = eventCount(run.scale)
    run.step(`three producers write ${events} event logs`)
    this.#produced = events
    const producers = Promise.all(
      [0, 1, 2].map((producer) =>
        produce(services.kafkaBrokers, `${this.payroll}.events`, { producer, of: 3, events }),
      ),
    )
    if (run.kill) {
      await waitFor('the first files', 60_000, async () =>
        (await groupLag(services.kafkaBrokers, `connect-${this.s3}`, `${this.payroll}.events`)) >= 0 ? true : null,
      )
      await killWorkerOf(run, this.s3)
    }
    await producers
    run.step('waits until the S3 sink has written its last file and the loader has loaded it')
    await waitFor('the S3 sink to commit everything', 240_000, async () =>
      (await groupLag(services.kafkaBrokers, `connect-${this.s3}`, `${this.payroll}.events`)) === 0 ? true : null,
    )
    await waitFor('the loader to commit everything', 240_000, async () =>
      (await groupLag(services.kafkaBrokers, `connect-${this.redshift}`, `${this.payroll}.files`)) === 0 ? true : null,
    )
  }

  async check(run: PipelineRun): Promise<Report> {
    const expected = expectedTotals(this.#produced)
    const objects = await listObjects(run.services, this.#bucket)
    const warehouse = new Warehouse(run.services)
    const rows: Record<string, string | number>[] = []
    const differences: string[] = []
    try {
      for (const kind of kinds) {
        const want = expected.get(kind) ?? { events: 0, cents: 0, hash: 0n }
        const [got] = await warehouse.query(
          `SELECT COUNT(*) AS loaded, COUNT(DISTINCT event_id) AS distinct_events,
             COALESCE(SUM(CAST(ROUND(amount * 100) AS BIGINT)), 0) AS cents,
             COALESCE(SUM(CAST(STRTOL(LEFT(MD5(event_id), 15), 16) AS DECIMAL(38,0))), 0) AS hash,
             COALESCE(SUM(CASE WHEN email <> '****' OR iban <> '****' THEN 1 ELSE 0 END), 0) AS unmasked,
             COALESCE(SUM(CASE WHEN kind <> '${kind}' THEN 1 ELSE 0 END), 0) AS misplaced
           FROM ${this.payroll}.${kind}`,
        )
        const loaded = BigInt(got?.['loaded'] ?? '0')
        const duplicates = loaded - BigInt(got?.['distinct_events'] ?? '0')
        const before = differences.length
        if (loaded !== BigInt(want.events)) differences.push(`${kind}: ${loaded} rows instead of ${want.events}`)
        if (duplicates !== 0n) differences.push(`${kind}: ${duplicates} duplicates`)
        if (BigInt(got?.['cents'] ?? '0') !== BigInt(want.cents)) differences.push(`${kind}: sum of amounts differs`)
        if (BigInt(got?.['hash'] ?? '0') !== want.hash) differences.push(`${kind}: set of event ids differs`)
        if (got?.['unmasked'] !== '0') differences.push(`${kind}: ${got?.['unmasked']} rows are not masked`)
        if (got?.['misplaced'] !== '0') differences.push(`${kind}: ${got?.['misplaced']} rows of another kind`)
        rows.push({
          kind,
          'events expected': want.events,
          rows: Number(loaded),
          duplicates: Number(duplicates),
          files: objects.filter((object) => object.key.includes(`/kind=${kind}/`)).length,
          differences: differences.length - before,
        })
      }
    } finally {
      warehouse.close()
    }
    const debug = Array.from({ length: this.#produced }, (_, i) => i).filter(isDebug).length
    return {
      title: 'warehouse: event logs → S3 → metadata topic → COPY',
      rows,
      differences: differences.slice(0, 10),
      notes: [
        `${this.#produced} events produced, ${debug} of them dropped by the filter, ${objects.length} objects in S3`,
      ],
    }
  }

  async close(): Promise<void> {}
}

function expectedTotals(events: number): Map<string, KindTotals> {
  const totals = new Map<string, KindTotals>()
  for (let i = 0; i < events; i++) {
    if (isDebug(i)) continue
    const kind = kindOf(i)
    const total = totals.get(kind) ?? { events: 0, cents: 0, hash: 0n }
    total.events++
    total.cents += amountCents(i)
    total.hash += BigInt(`0x${createHash('md5').update(`e-${i}`).digest('hex').slice(0, 15)}`)
    totals.set(kind, total)
  }
  return totals
}

/** One of several producers writes every `of`th event, with a client of its own, as another application would. */
async function produce(
  brokers: string,
  topic: string,
  { producer: n, of: count, events }: { readonly producer: number; readonly of: number; readonly events: number },
): Promise<void> {
  const producer = kafkaFor(brokers, `payroll-app-${n}`).producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    const batch = 1_000
    for (let start = n; start < events; start += batch * count) {
      const messages = []
      for (let i = start; i < Math.min(events, start + batch * count); i += count) {
        const { key, value, debug } = eventAt(i)
        // Spread by number, not by key: four kinds would fill at most four of the partitions unevenly.
        messages.push({ key, value, partition: i % partitions, headers: debug ? { debug: '1' } : {} })
      }
      await producer.send({ topic, messages })
    }
  } finally {
    await producer.disconnect()
  }
}
