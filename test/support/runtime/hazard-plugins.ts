/**
 * A source that does what no plugin should, loaded into host threads as a module of `plugin.path`. `hazard` names what:
 * each ends the thread it happens in, or keeps it, and must harm nothing else.
 */
import { type ConfigOf, defineConfig } from '../../../worker/api/config.ts'
import type { RawConfig, SourceConnector } from '../../../worker/api/connector.ts'
import { defineSourceConnector } from '../../../worker/api/plugin.ts'
import type { SourceRecord } from '../../../worker/api/record.ts'
import type { SourceTask } from '../../../worker/api/task.ts'

const config = defineConfig({
  hazard: { type: 'STRING', default: 'none', importance: 'LOW', doc: 'What the task does; see `hazards`.' },
  'hazard.of': { type: 'STRING', default: 'task', importance: 'LOW', doc: '`task` or `connector`: who does it.' },
})
type Config = ConfigOf<typeof config>

const never = () => new Promise<never>(() => undefined)

/** In pieces of 800 kB: of small objects garbage collection takes some 10 s of CPU until the memory is used up. */
function leak(): never {
  const kept: number[][] = []
  for (;;) kept.push(Array<number>(100_000).fill(kept.length + 0.5))
}

const hazards: Readonly<Record<string, () => void>> = {
  none: () => undefined,
  'unhandled rejection': () => void Promise.reject(new Error('nobody awaited this')),
  'throw in a timer': () => void setTimeout(() => assertNever('thrown in a timer'), 1),
  'process.exit': () => process.exit(7),
  'memory leak': leak,
  'endless loop': () => {
    for (;;) Math.sqrt(2)
  },
}

function assertNever(message: string): never {
  throw new Error(message)
}

class HazardConnector implements SourceConnector<Config> {
  #raw: RawConfig = {}

  async start(options: Config, context: { readonly rawConfig: RawConfig }): Promise<void> {
    this.#raw = context.rawConfig
    if (options['hazard.of'] !== 'connector') return
    hazards[options.hazard]?.()
    await never()
  }

  async taskConfigs(): Promise<readonly RawConfig[]> {
    return [this.#raw]
  }

  async stop(): Promise<void> {}
}

class HazardTask implements SourceTask<Config> {
  #options: Config | null = null

  async start(options: Config): Promise<void> {
    this.#options = options
  }

  async poll(): Promise<readonly SourceRecord[]> {
    if (this.#options?.['hazard.of'] === 'task') hazards[this.#options.hazard]?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
    return []
  }

  async stop(): Promise<void> {}
}

export const hazardSource = defineSourceConnector({
  name: 'test.HazardConnector',
  aliases: [],
  taskName: 'test.HazardTask',
  version: '1',
  config,
  createConnector: async () => new HazardConnector(),
  createTask: async () => new HazardTask(),
})

export const plugins = [hazardSource] as const
