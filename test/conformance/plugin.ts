/** What every plugin owes the worker before it runs: a manifest, and connectors that start, share out work, and stop. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { RawConfig, SinkConnector, SourceConnector } from '../../worker/api/connector.ts'
import type { ConnectorPlugin, Plugin } from '../../worker/api/plugin.ts'
import { parseConfig, validateConfig } from '../../worker/config/config-def.ts'
import { manifestProblems } from '../../worker/plugins/manifest.ts'
import { connectorContext } from '../support/contexts.ts'
import { deepFreeze } from './converter.ts'

type AnyConnector = SourceConnector<unknown> & SinkConnector<unknown>

const boundMs = 5000

/** Fails instead of waiting for ever: a connector that hangs holds up every command that concerns it. */
async function within<T>(what: string, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`${what} did not end within ${boundMs} ms`)), boundMs)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Registers the suite under `name`.
 * @param options with which a connector starts; the manifest alone is looked at when they are absent
 */
export function pluginConformance(name: string, plugin: Plugin, options: RawConfig | null = null): void {
  describe(`plugin conformance: ${name}`, () => {
    it('has a manifest that a worker can use, whose defaults pass their own checks', () => {
      assert.deepEqual(manifestProblems(plugin), [])
    })

    it('tells what is wrong with options instead of throwing', () => {
      for (const text of ['', ' ', 'x', '-1', '0', ',', '[]', '99999999999999999999', '(']) {
        const raw = Object.fromEntries(Object.keys(plugin.config.keys).map((option) => [option, text]))
        assert.ok(Array.isArray(validateConfig(plugin.config, raw)), text)
      }
      validateConfig(plugin.config, Object.fromEntries(Object.keys(plugin.config.keys).map((option) => [option, null])))
    })

    it('creates what it is there for, each time a new one', async () => {
      const create: () => Promise<unknown> =
        plugin.type === 'source' || plugin.type === 'sink' ? () => plugin.createTask() : () => plugin.create()
      assert.notEqual(await within('creating', create()), await within('creating', create()))
    })

    if ((plugin.type === 'source' || plugin.type === 'sink') && options !== null) connectorCases(plugin, options)
  })
}

function connectorCases(plugin: ConnectorPlugin, options: RawConfig): void {
  it('starts, gives at most as many tasks as it may, and stops; again, too', async () => {
    const config = deepFreeze(parseConfig(plugin.config, options))
    const context = connectorContext({ rawConfig: deepFreeze({ ...options }) })
    for (let round = 0; round < 2; round++) {
      const connector = (await plugin.createConnector()) as AnyConnector
      await within('start', connector.start(config, context))
      for (const maxTasks of [1, 3]) {
        const configs = await within('taskConfigs', connector.taskConfigs(maxTasks))
        assert.ok(configs.length <= maxTasks, `${configs.length} tasks, of ${maxTasks} at most`)
        const texts = configs.flatMap((task) => Object.values(task))
        assert.ok(
          texts.every((text) => typeof text === 'string'),
          'task configs are texts',
        )
      }
      await within('stop', connector.stop())
      await within('a second stop', connector.stop())
    }
    const neverStarted = (await plugin.createConnector()) as AnyConnector
    await within('stop of a connector that never started', neverStarted.stop())
  })
}
