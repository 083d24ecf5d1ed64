import { readFile } from 'node:fs/promises'
import { emptyBucket, listObjects } from '../support/bucket.ts'
import type { ConnectClient } from '../support/connect-client.ts'
import { deleteGroups, groupLag, recreateTopics } from '../support/kafka-topics.ts'
import { killWorkerOf } from '../support/kill.ts'
import type { Pipeline, PipelineRun } from '../support/pipeline.ts'
import type { Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { isDebug } from './events.ts'
import { partitions, produceEvents } from './feed.ts'
import { compareTotals } from './totals.ts'
import { Warehouse } from './warehouse-client.ts'

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

  /** Creates both connectors, or gives them their configuration back, with `changes` to it. */
  async start(connect: ConnectClient, changes: Readonly<Record<string, string>> = {}): Promise<void> {
    await connect.apply(new URL('s3-sink.json', import.meta.url), this.names, changes)
    await connect.apply(new URL('redshift-sink.json', import.meta.url), this.names, changes)
    const count = Number(changes['tasks.max'] ?? tasks)
    for (const name of [this.s3, this.redshift]) await connect.running(name, count)
  }

  async execute(run: PipelineRun): Promise<void> {
    const { services, connect } = run
    run.step('creates the S3 and Redshift connectors over REST')
    await this.start(connect)
    const events = eventCount(run.scale)
    run.step(`three producers write ${events} event logs`)
    this.#produced = events
    const producers = Promise.all(
      [0, 1, 2].map((producer) =>
        produceEvents(services.kafkaBrokers, `${this.payroll}.events`, { producer, of: 3, from: 0, to: events }),
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
    const objects = await listObjects(run.services, this.#bucket)
    const warehouse = new Warehouse(run.services)
    const rows: Record<string, string | number>[] = []
    const differences: string[] = []
    try {
      for (const totals of await compareTotals(warehouse, this.payroll, this.#produced)) {
        differences.push(...totals.differences)
        rows.push({
          kind: totals.kind,
          'events expected': totals.expected,
          rows: totals.rows,
          duplicates: totals.duplicates,
          files: objects.filter((object) => object.key.includes(`/kind=${totals.kind}/`)).length,
          differences: totals.differences.length,
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
