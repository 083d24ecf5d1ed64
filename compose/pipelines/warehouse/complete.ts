import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Finding } from '../../../worker/cli/verify/finding.ts'
import { deleteGroups } from '../support/kafka-topics.ts'
import { type Pipeline, type PipelineRun, workerEnvironment } from '../support/pipeline.ts'
import type { Report } from '../support/report.ts'
import { waitFor } from '../support/wait.ts'
import { kinds } from './events.ts'
import { OldLoader, oldSessionMs } from './old-loader.ts'
import { eventCount, WarehousePipeline } from './pipeline.ts'
import { Warehouse } from './warehouse-client.ts'

const command = fileURLToPath(new URL('../../../worker/main.ts', import.meta.url))

/**
 * The pipeline *warehouse* beside the one that it replaces, and `sluice verify`, which says whether both loaded the
 * same. The quickstart runs the core alone.
 */
export class CompleteWarehousePipeline implements Pipeline {
  readonly name = 'warehouse'
  readonly #core: WarehousePipeline

  constructor(instance: string) {
    this.#core = new WarehousePipeline(instance)
  }

  get #oldSchema(): string {
    return `${this.#core.payroll}_old`
  }

  async prepare(run: PipelineRun): Promise<void> {
    await this.#core.prepare(run)
    // An interrupted run leaves its consumer behind until the session ends.
    await waitFor('the old loader’s group to be empty', oldSessionMs + 30_000, async () => {
      await deleteGroups(run.services.kafkaBrokers, [this.#oldSchema])
      return true
    })
    const warehouse = new Warehouse(run.services)
    try {
      await warehouse.execute(`DROP SCHEMA IF EXISTS ${this.#oldSchema} CASCADE`)
      await warehouse.execute(`CREATE SCHEMA ${this.#oldSchema}`)
      for (const kind of kinds) {
        await warehouse.execute(
          `CREATE TABLE ${this.#oldSchema}.${kind} (event_id VARCHAR(64), kind VARCHAR(64), company_id BIGINT, ` +
            'employee_id BIGINT, email VARCHAR(255), iban VARCHAR(64), amount DECIMAL(18,2), occurred_at BIGINT, attributes SUPER)',
        )
      }
    } finally {
      warehouse.close()
    }
  }

  async execute(run: PipelineRun): Promise<void> {
    await using old = new OldLoader(run.services, this.#oldSchema)
    run.step('the old pipeline loads beside the new one, into a schema of its own')
    const loading = old.load(`${this.#core.payroll}.events`, eventCount(run.scale))
    // Row by row takes longer than by file: who waits should see for whom.
    const executing = this.#core.execute(run).then(() => run.step('both sinks are done; the old pipeline may not be'))
    await Promise.all([executing, loading])
  }

  async check(run: PipelineRun): Promise<Report> {
    const report = await this.#core.check(run)
    run.step('sluice verify: topic → files → ledger → tables, and old tables ↔ new tables')
    const findings = await this.#verify(run)
    const differences = findings.flatMap(({ what, differences: found }) => found.map((text) => `${what}: ${text}`))
    const lines = findings.map(({ what, figures }) => {
      const numbers = Object.entries(figures).map(([name, figure]) => `${name} ${figure}`)
      return `verify ${what}: ${numbers.join(', ')}`
    })
    return {
      ...report,
      differences: [...report.differences, ...differences],
      notes: [...report.notes, ...lines],
    }
  }

  async close(): Promise<void> {
    await this.#core.close()
  }

  async #verify({ services }: PipelineRun): Promise<readonly Finding[]> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-verify-'))
    try {
      const file = join(folder, 'redshift-sink.json')
      let text = await readFile(new URL('redshift-sink.json', import.meta.url), 'utf8')
      for (const [from, to] of Object.entries(this.#core.names)) text = text.replaceAll(from, to)
      await writeFile(file, text)
      const against = ['--against', this.#oldSchema, '--key', 'event_id', '--time', 'occurred_at']
      const kafka = ['--bootstrap-servers', services.kafkaBrokers, '--files']
      const args = [command, 'verify', file, '--json', '--tables', kinds.join(), ...kafka, ...against]
      const env = { ...process.env, ...workerEnvironment(services) }
      const stdout = await new Promise<string>((resolve, reject) => {
        execFile(process.execPath, args, { env, maxBuffer: 16_000_000 }, (error, out, err) => {
          // 1 says that there are differences; they are in the report.
          if (error !== null && error.code !== 1) reject(new Error(`sluice verify: ${err}`, { cause: error }))
          else resolve(out)
        })
      })
      const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] }
      return findings
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
}
