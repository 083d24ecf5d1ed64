import { ok } from 'node:assert/strict'
import { test } from 'node:test'
import {
  atLeast,
  type ConfigOf,
  defineConfig,
  defineSinkConnector,
  Password,
  type Plugin,
  type SinkConnector,
  type SinkTask,
} from '../../../../worker/api/index.ts'

const config = defineConfig({
  'flush.size': { type: 'INT', importance: 'HIGH', valid: atLeast(1), doc: 'Records per file.' },
  secret: { type: 'PASSWORD', default: null, importance: 'HIGH', doc: 'Key.' },
  names: { type: 'LIST', default: [], importance: 'LOW', doc: 'Names.' },
})
type Config = ConfigOf<typeof config>

class Connector implements SinkConnector<Config> {
  async start(parsed: Config): Promise<void> {
    const size: number = parsed['flush.size']
    const secret: Password | null = parsed.secret
    ok(size >= 1 && secret === null)
  }
  async taskConfigs() {
    return []
  }
  async stop(): Promise<void> {}
}

class Task implements SinkTask<Config> {
  async start(): Promise<void> {}
  async put(): Promise<void> {}
  async stop(): Promise<void> {}
}

test('a plugin of a particular config is a Plugin', async () => {
  const plugin = defineSinkConnector({
    name: 'Example',
    taskName: 'ExampleTask',
    aliases: [],
    version: '1.0.0',
    config,
    createConnector: async () => new Connector(),
    createTask: async () => new Task(),
  })
  const plugins: readonly Plugin[] = [plugin]
  ok(plugins[0]?.type === 'sink')
})

test('a password never prints', () => {
  const password = new Password('s3cret')
  ok(!JSON.stringify({ password }).includes('s3cret') && !`${password}`.includes('s3cret'))
  ok(password.reveal() === 's3cret')
})
