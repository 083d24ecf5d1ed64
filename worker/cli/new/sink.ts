import type { Files, Names } from './names.ts'

/** A sink that appends values to a file and syncs it: the smallest sink whose commits mean something. */
export function sinkFiles({ type, className }: Names): Files {
  return {
    'src/index.ts': `import { type ConfigOf, defineConfig, defineSinkConnector, nonEmptyString } from 'sluice'

const config = defineConfig({
  path: { type: 'STRING', importance: 'HIGH', valid: nonEmptyString, doc: 'File to which values are appended, a line each.' },
})
export type ${type}Config = ConfigOf<typeof config>

// The manifest is loaded at every start of a worker: whatever needs a driver is imported where it is made.
export const plugin = defineSinkConnector({
  name: '${className}',
  aliases: [],
  taskName: '${className}Task',
  version: '0.1.0',
  config,
  createConnector: async () => new (await import('./connector.ts')).${type}Connector(),
  createTask: async () => new (await import('./task.ts')).${type}Task(),
})
`,
    'src/connector.ts': `import type { ConnectorContext, RawConfig, SinkConnector } from 'sluice'
import type { ${type}Config } from './index.ts'

/** Decides how many tasks there are; the framework shares the partitions out among them. */
export class ${type}Connector implements SinkConnector<${type}Config> {
  /** Nothing goes on between calls, so that the worker may give the connector's thread back. */
  readonly watches = false
  #raw: RawConfig = {}

  async start(_config: ${type}Config, context: ConnectorContext): Promise<void> {
    this.#raw = context.rawConfig
  }

  /** Tasks of one sink append to one file, so one is enough. */
  async taskConfigs(): Promise<readonly RawConfig[]> {
    return [this.#raw]
  }

  async stop(): Promise<void> {}
}
`,
    'src/task.ts': `import { type FileHandle, open } from 'node:fs/promises'
import { RetriableError, type SinkRecord, type SinkTask, toError } from 'sluice'
import type { ${type}Config } from './index.ts'

export class ${type}Task implements SinkTask<${type}Config> {
  #path = ''
  #file: FileHandle | null = null

  /** @throws Error when the file cannot be opened: the task is FAILED with this reason */
  async start(config: ${type}Config): Promise<void> {
    this.#path = config.path
    this.#file = await open(config.path, 'a')
  }

  /**
   * Returns when the batch is durable, so its offsets may be committed. After a RetriableError the same batch comes
   * again; what of it was written already is then written twice (at least once).
   */
  async put(records: readonly SinkRecord[]): Promise<void> {
    if (records.length === 0 || this.#file === null) return
    const lines = records.map(({ value }) => \`\${typeof value === 'string' ? value : JSON.stringify(value)}\\n\`)
    try {
      await this.#file.appendFile(lines.join(''))
      await this.#file.datasync()
    } catch (error) {
      throw new RetriableError('CONNECT_FILE_UNWRITABLE', \`cannot write \${this.#path}: \${toError(error).message}\`, { cause: error })
    }
  }

  /** May come twice, and after a failed start. */
  async stop(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }
}
`,
    'test/task.test.ts': `import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SinkRecord } from 'sluice'
import { pluginConformance, sinkTaskConformance } from 'sluice/testing'
import { plugin } from '../src/index.ts'

pluginConformance('${type}', plugin, { path: 'lines.txt' })

sinkTaskConformance('${type}', {
  plugin,
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'sink-'))
    const path = join(folder, 'lines.txt')
    const identity = (partition: number, offset: number): string => \`\${partition} \${offset}\`
    return {
      options: { path },
      brokenOptions: { path: folder },
      topic: 't',
      record: async (partition, offset) =>
        new SinkRecord({ topic: 't', partition, offset: BigInt(offset), value: identity(partition, offset) }),
      identity,
      written: async () => (await readFile(path, 'utf8')).split('\\n').slice(0, -1),
      duplicates: true,
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    }
  },
})
`,
  }
}
