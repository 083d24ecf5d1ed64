/** A connector whose task configs tell the thread in which they were made. */
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
})

class ThreadTellingConnector implements SinkConnector<ConfigOf<typeof config>> {
  watches = true

  async start(options: ConfigOf<typeof config>): Promise<void> {
    this.watches = options.watches
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
