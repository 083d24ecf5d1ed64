/**
 * A source and a sink that write down what happens to them, as JSON lines in the file `probe.journal`: who owned which
 * task when, what was opened, closed and put. Workers of several processes on one machine share a journal.
 */
import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { type ConfigOf, defineConfig } from '../../../worker/api/config.ts'
import type { RawConfig, SinkConnector, SourceConnector } from '../../../worker/api/connector.ts'
import { defineSinkConnector, defineSourceConnector } from '../../../worker/api/plugin.ts'
import { type SinkRecord, SourceRecord } from '../../../worker/api/record.ts'
import type { SinkTask, SourceTask, SourceTaskContext, TaskContext } from '../../../worker/api/task.ts'
import type { TopicPartition } from '../../../worker/api/topic-partition.ts'

const config = defineConfig({
  'probe.journal': { type: 'STRING', importance: 'HIGH', doc: 'File to write to.' },
  'probe.topic': { type: 'STRING', default: '', importance: 'LOW', doc: 'Topic of the source, a partition per task.' },
  'probe.task': { type: 'INT', default: 0, importance: 'LOW', doc: 'Number of the task.' },
  'probe.records': { type: 'INT', default: -1, importance: 'LOW', doc: 'Records per task; -1 without end.' },
})
type Config = ConfigOf<typeof config>

/** One line of the journal. */
export interface JournalEntry {
  readonly what: 'start' | 'alive' | 'stop' | 'open' | 'close' | 'put'
  readonly connector: string
  readonly task: number
  /** A new one with each start of a task: its epoch. */
  readonly owner: string
  /** Milliseconds since 1970, by the clock that all processes share. */
  readonly at: number
  /** Of `open` and `close`: `topic-partition`, sorted. Of `put`: the values. */
  readonly items: readonly string[]
}

export async function readJournal(file: string): Promise<readonly JournalEntry[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as JournalEntry)
}

class Journal {
  readonly #file: string
  readonly #identity: Pick<JournalEntry, 'connector' | 'task' | 'owner'>

  constructor(file: string, { connector, task }: Pick<TaskContext, 'connector' | 'task'>) {
    this.#file = file
    this.#identity = { connector, task, owner: `${process.pid} ${randomUUID().slice(0, 8)}` }
  }

  get owner(): string {
    return this.#identity.owner
  }

  /** At once: a process that is killed right after must have said it. */
  write(what: JournalEntry['what'], items: readonly string[] = []): void {
    appendFileSync(this.#file, `${JSON.stringify({ what, ...this.#identity, at: Date.now(), items })}\n`)
  }
}

class ProbeConnector implements SourceConnector<Config>, SinkConnector<Config> {
  #raw: RawConfig = {}

  async start(_options: Config, context: { readonly rawConfig: RawConfig }): Promise<void> {
    this.#raw = context.rawConfig
  }

  async taskConfigs(maxTasks: number): Promise<readonly RawConfig[]> {
    return Array.from({ length: maxTasks }, (_, task) => ({ ...this.#raw, 'probe.task': String(task) }))
  }

  async stop(): Promise<void> {}
}

/** Records `task sequence owner`, some hundred a second, that go on where the last committed offset was. */
class ProbeSourceTask implements SourceTask<Config> {
  #journal: Journal | null = null
  #options: Config | null = null
  #next = 0

  async start(options: Config, context: SourceTaskContext): Promise<void> {
    this.#options = options
    this.#journal = new Journal(options['probe.journal'], context)
    const [offset] = await context.offsets.read([{ task: options['probe.task'] }])
    this.#next = Number(offset?.['sequence'] ?? -1) + 1
    this.#journal.write('start')
  }

  async poll(): Promise<readonly SourceRecord[]> {
    await new Promise((resolve) => setTimeout(resolve, 20))
    const [options, journal] = [this.#options, this.#journal]
    if (options === null || journal === null) throw new Error('polled before its start')
    journal.write('alive')
    const { 'probe.topic': topic, 'probe.task': task, 'probe.records': most } = options
    const count = most < 0 ? 5 : Math.min(5, Math.max(0, most - this.#next))
    return Array.from({ length: count }, () => {
      const sequence = this.#next++
      return new SourceRecord({
        sourcePartition: { task },
        sourceOffset: { sequence },
        topic,
        partition: task,
        value: `${task} ${sequence} ${journal.owner}`,
      })
    })
  }

  async stop(): Promise<void> {
    this.#journal?.write('stop')
  }
}

const namesOf = (partitions: readonly TopicPartition[]): readonly string[] =>
  partitions.map(({ topic, partition }) => `${topic}-${partition}`).sort()

class ProbeSinkTask implements SinkTask<Config> {
  #journal: Journal | null = null

  async start(options: Config, context: TaskContext): Promise<void> {
    this.#journal = new Journal(options['probe.journal'], context)
    this.#journal.write('start')
  }

  async open(partitions: readonly TopicPartition[]): Promise<void> {
    this.#journal?.write('open', namesOf(partitions))
  }

  async put(records: readonly SinkRecord[]): Promise<void> {
    if (records.length === 0) return
    this.#journal?.write(
      'put',
      records.map(({ value }) => String(value)),
    )
  }

  async close(partitions: readonly TopicPartition[]): Promise<void> {
    this.#journal?.write('close', namesOf(partitions))
  }

  async stop(): Promise<void> {
    this.#journal?.write('stop')
  }
}

const manifest = { aliases: [], version: '1', config }

export const plugins = [
  defineSourceConnector({
    ...manifest,
    name: 'test.ProbeSource',
    taskName: 'test.ProbeSourceTask',
    createConnector: async () => new ProbeConnector(),
    createTask: async () => new ProbeSourceTask(),
  }),
  defineSinkConnector({
    ...manifest,
    name: 'test.ProbeSink',
    taskName: 'test.ProbeSinkTask',
    createConnector: async () => new ProbeConnector(),
    createTask: async () => new ProbeSinkTask(),
  }),
] as const
