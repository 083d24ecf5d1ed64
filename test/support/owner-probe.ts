/** A source whose records tell who wrote them, to see whether a task ever runs in two places. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { projectRoot } from './project-root.ts'
import { textOf, topicRecords } from './topic-records.ts'

/** Records are made at multiples of this wall time, in ms: in between a worker has nothing on its way. */
export const probePeriodMs = 1500

const api = pathToFileURL(join(projectRoot, 'worker/api/index.ts')).href

/** As a module of `plugin.path`, so that it runs as any plugin does. Every start of a task is an epoch of its own. */
const module = `
import { defineConfig, defineSourceConnector, Schemas, SourceRecord } from '${api}'

const config = defineConfig({ topic: { type: 'STRING', importance: 'HIGH', doc: 'Topic.' } })

class ProbeTask {
  #topic = ''
  #task = 0
  #epoch = ''
  #clock = null

  async start({ topic }, context) {
    this.#topic = topic
    this.#task = context.connector + '-' + context.task
    this.#clock = context.clock
    this.#epoch = process.pid + '-' + Math.random().toString(36).slice(2)
  }

  async poll(signal) {
    await this.#clock.sleep(${probePeriodMs} - (Date.now() % ${probePeriodMs}), signal)
    if (signal.aborted) return []
    const place = { sourcePartition: { task: this.#task }, sourceOffset: { at: Date.now() }, topic: this.#topic, partition: 0 }
    return [new SourceRecord({ ...place, valueSchema: Schemas.string, value: this.#task + ' ' + this.#epoch + ' ' + Math.floor(Date.now() / ${probePeriodMs}) })]
  }

  async stop() {}
}

export const plugin = defineSourceConnector({
  name: 'org.example.OwnerProbe',
  aliases: [],
  taskName: 'org.example.OwnerProbeTask',
  version: '1',
  config,
  createConnector: async () => {
    let raw = {}
    return {
      start: async (_, context) => { raw = context.rawConfig },
      taskConfigs: async (count) => Array.from({ length: count }, () => raw),
      stop: async () => {},
    }
  },
  createTask: async () => new ProbeTask(),
})
`

/** @returns the path of the module */
export async function writeOwnerProbe(folder: string): Promise<string> {
  const path = join(folder, 'owner-probe.mjs')
  await writeFile(path, module)
  return path
}

/** A stretch of records that one task wrote in one place. */
export interface Stretch {
  readonly epoch: string
  readonly pid: number
  /** Number of the period of its last record. */
  readonly tick: number
}

/** Stretches of each task, in the order of their records in the topic; an epoch that comes back is there twice. */
export async function stretches(
  brokers: readonly string[],
  topic: string,
): Promise<ReadonlyMap<string, readonly Stretch[]>> {
  const byTask = new Map<string, Stretch[]>()
  for (const { value } of await topicRecords(brokers, topic)) {
    const [task = '', epoch = '', tick = ''] = (textOf(value) ?? '').split(' ')
    const seen = byTask.get(task) ?? []
    if (seen.at(-1)?.epoch === epoch) seen.pop()
    seen.push({ epoch, pid: Number(epoch.split('-')[0]), tick: Number(tick) })
    byTask.set(task, seen)
  }
  return byTask
}
