/**
 * Plugins that hang on request, loaded into host threads as a module of `plugin.path`. `block.in` names the method,
 * `block.how` whether it spins (the thread is gone), awaits for ever (only the call is), awaits a file or throws.
 */
import { existsSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { type ConfigOf, defineConfig } from '../../../worker/api/config.ts'
import type { RawConfig, SinkConnector, SourceConnector } from '../../../worker/api/connector.ts'
import { defineSinkConnector, defineSourceConnector } from '../../../worker/api/plugin.ts'
import { type SinkRecord, SourceRecord } from '../../../worker/api/record.ts'
import type { SinkTask, SourceTask } from '../../../worker/api/task.ts'

const config = defineConfig({
  'block.in': { type: 'STRING', default: '', importance: 'LOW', doc: 'Method that hangs.' },
  'block.how': { type: 'STRING', default: 'await', importance: 'LOW', doc: '`await`, `spin`, `file` or `throw`.' },
  'block.file': { type: 'STRING', default: '', importance: 'LOW', doc: 'With `file`: it goes on once this is there.' },
  'block.log': { type: 'STRING', default: '', importance: 'LOW', doc: 'File to which calls that hang are written.' },
  topic: { type: 'STRING', default: 'unused', importance: 'LOW', doc: 'Topic of the source.' },
})
type Config = ConfigOf<typeof config>

async function maybeBlock(options: Config, method: string): Promise<void> {
  if (options['block.in'] !== method) return
  if (options['block.log'] !== '') await appendFile(options['block.log'], `${method}\n`)
  if (options['block.how'] === 'throw') throw new Error(`thrown in ${method}`)
  if (options['block.how'] === 'spin') {
    const until = performance.now() + 120_000
    while (performance.now() < until) Math.sqrt(2)
  }
  if (options['block.how'] === 'file') {
    while (!existsSync(options['block.file'])) await new Promise((resolve) => setTimeout(resolve, 20))
    return
  }
  await new Promise(() => undefined)
}

class BlockingConnector implements SourceConnector<Config>, SinkConnector<Config> {
  #options: Config | null = null
  #raw: RawConfig = {}

  async start(options: Config, context: { readonly rawConfig: RawConfig }): Promise<void> {
    this.#options = options
    this.#raw = context.rawConfig
    await maybeBlock(options, 'connector.start')
  }

  async taskConfigs(): Promise<readonly RawConfig[]> {
    if (this.#options !== null) await maybeBlock(this.#options, 'connector.taskConfigs')
    return [this.#raw]
  }

  async stop(): Promise<void> {
    if (this.#options !== null) await maybeBlock(this.#options, 'connector.stop')
  }
}

abstract class BlockingTask {
  protected options: Config | null = null

  async start(options: Config): Promise<void> {
    this.options = options
    await this.block('task.start')
  }

  async stop(): Promise<void> {
    await this.block('task.stop')
  }

  protected async block(method: string): Promise<void> {
    if (this.options !== null) await maybeBlock(this.options, method)
  }
}

class BlockingSourceTask extends BlockingTask implements SourceTask<Config> {
  async poll(): Promise<readonly SourceRecord[]> {
    await this.block('task.poll')
    await new Promise((resolve) => setTimeout(resolve, 10))
    return []
  }

  async commit(): Promise<void> {
    await this.block('task.commit')
  }
}

class BlockingSinkTask extends BlockingTask implements SinkTask<Config> {
  async put(_records: readonly SinkRecord[]): Promise<void> {
    await this.block('task.put')
  }
}

const manifest = { aliases: [], taskName: 'test.BlockingTask', version: '1', config }
const validate = async (options: Config) => {
  await maybeBlock(options, 'validate')
  return []
}

export const plugins = [
  defineSourceConnector({
    ...manifest,
    name: 'test.BlockingSourceConnector',
    createConnector: async () => new BlockingConnector(),
    createTask: async () => new BlockingSourceTask(),
    validate,
  }),
  defineSinkConnector({
    ...manifest,
    name: 'test.BlockingSinkConnector',
    createConnector: async () => new BlockingConnector(),
    createTask: async () => new BlockingSinkTask(),
    validate,
  }),
] as const
