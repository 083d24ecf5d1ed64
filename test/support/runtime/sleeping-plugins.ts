/** A connector whose task configs tell the thread in which they were made, and that may block when it is asked. */
import { writeFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { type ConfigOf, defineConfig } from '../../../worker/api/config.ts'
import type { RawConfig, SinkConnector } from '../../../worker/api/connector.ts'
import { defineSinkConnector } from '../../../worker/api/plugin.ts'

const config = defineConfig({
  watches: {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether the connector claims to watch something.',
  },
  'blocked.file': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    doc: 'Written when it is asked whether it watches; then it blocks its thread.',
  },
})

class ThreadTellingConnector implements SinkConnector<ConfigOf<typeof config>> {
  #options: ConfigOf<typeof config> | null = null

  get watches(): boolean {
    const file = this.#options?.['blocked.file'] ?? ''
    if (file !== '') {
      writeFileSync(file, '')
      for (;;) Math.sqrt(2)
    }
    return this.#options?.watches ?? true
  }

  async start(options: ConfigOf<typeof config>): Promise<void> {
    this.#options = options
  }

  async taskConfigs(): Promise<readonly RawConfig[]> {
    return [{ thread: String(threadId) }]
  }

  async stop(): Promise<void> {}
}

export const plugin = defineSinkConnector({
  name: 'test.ThreadTellingConnector',
  aliases: [],
  taskName: 'test.ThreadTellingTask',
  version: '1',
  config,
  createConnector: async () => new ThreadTellingConnector(),
  createTask: async () => {
    throw new Error('only its connector is tested')
  },
})
