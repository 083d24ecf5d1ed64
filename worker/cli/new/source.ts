import type { Files, Names } from './names.ts'

/** A source of lines that are appended to a file, by position: the smallest source with real offsets. */
export function sourceFiles({ type, className }: Names): Files {
  return {
    'src/index.ts': `import { type ConfigOf, defineConfig, defineSourceConnector, nonEmptyString } from 'sluice'

const config = defineConfig({
  path: { type: 'STRING', importance: 'HIGH', valid: nonEmptyString, doc: 'File whose lines become records.' },
  topic: { type: 'STRING', importance: 'HIGH', valid: nonEmptyString, doc: 'Topic of the records.' },
  'poll.interval.ms': { type: 'LONG', default: 200, importance: 'LOW', doc: 'Time between two looks at the file, in ms.' },
})
export type ${type}Config = ConfigOf<typeof config>

// The manifest is loaded at every start of a worker: whatever needs a driver is imported where it is made.
export const plugin = defineSourceConnector({
  name: '${className}',
  aliases: [],
  taskName: '${className}Task',
  version: '0.1.0',
  config,
  createConnector: async () => new (await import('./connector.ts')).${type}Connector(),
  createTask: async () => new (await import('./task.ts')).${type}Task(),
})
`,
    'src/connector.ts': `import type { RawConfig, SourceConnector, SourceConnectorContext } from 'sluice'
import type { ${type}Config } from './index.ts'

/** Decides what tasks there are; the tasks do the work. */
export class ${type}Connector implements SourceConnector<${type}Config> {
  /** Nothing goes on between calls, so that the worker may give the connector's thread back. */
  readonly watches = false
  #raw: RawConfig = {}

  async start(_config: ${type}Config, context: SourceConnectorContext): Promise<void> {
    this.#raw = context.rawConfig
  }

  /** One file is read by one task, whatever \`tasks.max\` is. */
  async taskConfigs(): Promise<readonly RawConfig[]> {
    return [this.#raw]
  }

  async stop(): Promise<void> {}
}
`,
    'src/feed.ts': `import { open } from 'node:fs/promises'
import { RetriableError, toError } from 'sluice'

export interface Line {
  readonly text: string
  /** Where the next line begins, in bytes: what a restart goes on from. */
  readonly end: bigint
}

const maxBytes = 64 * 1024

/**
 * Complete lines of the file from \`position\` on; [] when there is nothing new.
 * @throws RetriableError when the file cannot be read now: the framework calls again later
 */
export async function readLines(path: string, position: bigint): Promise<readonly Line[]> {
  const buffer = Buffer.alloc(maxBytes)
  let length: number
  try {
    await using file = await open(path)
    length = (await file.read(buffer, 0, maxBytes, Number(position))).bytesRead
  } catch (error) {
    throw new RetriableError('CONNECT_FEED_UNREADABLE', \`cannot read \${path}: \${toError(error).message}\`, { cause: error })
  }
  const lines: Line[] = []
  let start = 0
  for (let end = buffer.indexOf(10); end >= 0 && end < length; end = buffer.indexOf(10, start)) {
    lines.push({ text: buffer.toString('utf8', start, end), end: position + BigInt(end + 1) })
    start = end + 1
  }
  return lines
}
`,
    'src/task.ts': `import { Schemas, type SourceOffset, SourceRecord, type SourceTask, type SourceTaskContext } from 'sluice'
import { readLines } from './feed.ts'
import type { ${type}Config } from './index.ts'

interface Run {
  readonly config: ${type}Config
  readonly context: SourceTaskContext
  /** What the offsets belong to. */
  readonly partition: Readonly<Record<string, string>>
}

export class ${type}Task implements SourceTask<${type}Config> {
  #run: Run | null = null
  #position = 0n

  async start(config: ${type}Config, context: SourceTaskContext): Promise<void> {
    const partition = { path: config.path }
    const [committed] = await context.offsets.read([partition])
    this.#position = positionOf(committed ?? null)
    this.#run = { config, context, partition }
  }

  /** Waits for lines, or for the signal. Data that was handed over is never handed over again. */
  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    const run = this.#run
    if (run === null) return []
    while (!signal.aborted) {
      const lines = await readLines(run.config.path, this.#position)
      const last = lines.at(-1)
      if (last !== undefined) {
        this.#position = last.end
        return lines.map(
          ({ text, end }) =>
            new SourceRecord({
              sourcePartition: run.partition,
              sourceOffset: { position: end },
              topic: run.config.topic,
              valueSchema: Schemas.string,
              value: text,
            }),
        )
      }
      await run.context.clock.sleep(run.config['poll.interval.ms'], signal)
    }
    return []
  }

  /** May come twice, and after a failed start. */
  async stop(): Promise<void> {
    this.#run = null
  }
}

/** Integers come back from the offset topic as bigint. */
function positionOf(offset: SourceOffset | null): bigint {
  const position = offset?.['position'] ?? 0n
  return typeof position === 'bigint' || typeof position === 'number' ? BigInt(position) : 0n
}
`,
    'test/task.test.ts': `import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pluginConformance, sourceTaskConformance } from 'sluice/testing'
import { plugin } from '../src/index.ts'

pluginConformance('${type}', plugin, { path: 'lines.txt', topic: 't' })

sourceTaskConformance('${type}', {
  plugin,
  async open() {
    const folder = await mkdtemp(join(tmpdir(), 'feed-'))
    const path = join(folder, 'lines.txt')
    await writeFile(path, '')
    let written = 0
    return {
      options: { path, topic: 't', 'poll.interval.ms': '10' },
      // A folder is no file: reading it fails for ever, so the task would only wait. No options fail at once here.
      brokenOptions: null,
      produce: async (count) => {
        const lines = Array.from({ length: count }, () => \`line \${written++}\\n\`)
        await appendFile(path, lines.join(''))
      },
      identify: (record) => String(record.value),
      compare: (a, b) => Number(BigInt(String(a['position'])) - BigInt(String(b['position']))),
      [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
    }
  },
})
`,
  }
}
