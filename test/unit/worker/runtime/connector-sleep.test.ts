/** A connector that watches nothing gives its thread back while it stays RUNNING, and comes back for what is asked. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { defineConfig } from '../../../../worker/api/config.ts'
import type { ConnectorContext, RawConfig, SinkConnector } from '../../../../worker/api/connector.ts'
import { defineSinkConnector } from '../../../../worker/api/plugin.ts'
import { createKafkaClientFactory } from '../../../../worker/kafka/client.ts'
import { PluginRegistry } from '../../../../worker/plugins/registry.ts'
import { ConnectorHost, type Linger } from '../../../../worker/runtime/connector-host.ts'
import type { HostInit } from '../../../../worker/runtime/host-protocol.ts'
import { type HostFactory, inProcessHosts } from '../../../../worker/runtime/task-host.ts'
import type { ReportedState } from '../../../../worker/runtime/worker-types.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { Loggers } from '../../../../worker/util/log.ts'
import { eventually } from '../../../support/runtime/eventually.ts'
import { openWorker } from '../../../support/runtime/worker-harness.ts'

const init: HostInit = {
  mode: 'standalone',
  worker: {},
  settings: {
    offsetFlushIntervalMs: 1,
    offsetFlushTimeoutMs: 1,
    gracefulTimeoutMs: 1,
    topicCreationEnabled: false,
    topicTrackingEnabled: false,
    exactlyOnceSource: false,
    metricsWindowMs: 1,
    metricsSamples: 1,
    offsetTopic: null,
  },
  clusterId: 'test',
  pluginModules: [],
  logLevels: [],
  lease: null,
}

const noCalls = async (): Promise<never> => assert.fail('connectors ask nothing of the main thread here')

const atOnce: Linger = { afterTaskConfigsMs: 0, otherwiseMs: 0 }

interface Given {
  readonly linger?: Linger
  readonly watches?: boolean
  /** Error that `start` throws for the nth time that it is called, from 1. */
  readonly failsAt?: number
  readonly stopHangs?: boolean
}

/** A host of connectors over real message ports, with what it opened, what it called, and what it reported, in order. */
function open({ linger = atOnce, watches = false, failsAt, stopHangs = false }: Given) {
  const calls: string[] = []
  const reports: (readonly [connector: string, state: ReportedState])[] = []
  const reconfigurations: string[] = []
  const hosts = { opened: 0, ended: 0 }
  let starts = 0
  let asked = 0
  let last: ConnectorContext | null = null
  class Watcher implements SinkConnector<unknown> {
    get watches(): boolean {
      asked++
      return watches
    }

    async start(_: unknown, context: ConnectorContext): Promise<void> {
      starts++
      calls.push('start')
      last = context
      if (starts === failsAt) throw new Error('the source is away')
    }

    async taskConfigs(): Promise<readonly RawConfig[]> {
      calls.push('taskConfigs')
      return [{ start: String(starts) }]
    }

    async stop(): Promise<void> {
      calls.push('stop')
      if (stopHangs) await new Promise(() => undefined)
    }
  }
  const plugin = defineSinkConnector({
    name: 'test.Watcher',
    aliases: [],
    taskName: 'test.WatcherTask',
    version: '1',
    config: defineConfig({}),
    createConnector: async () => new Watcher(),
    createTask: () => assert.fail('no task starts here'),
  })
  const loggers = new Loggers({ level: 'OFF' })
  const inner = inProcessHosts({
    registry: new PluginRegistry([plugin]),
    loadKafka: async () => createKafkaClientFactory(),
    loggers,
    clock: systemClock,
    random: Math.random,
  })
  const counted: HostFactory = (start) => {
    const host = inner(start)
    hosts.opened++
    return {
      channel: host.channel,
      terminate: async () => {
        hosts.ended++
        await host.terminate()
      },
    }
  }
  const host = new ConnectorHost({
    hosts: counted,
    init: () => init,
    handlers: {
      'offsets.read': noCalls,
      'offsets.write': noCalls,
      'preflight.fence': noCalls,
      'preflight.verify': noCalls,
    },
    clock: systemClock,
    logger: loggers.logger('test'),
    gracefulTimeoutMs: 50,
    linger,
    pings: { intervalMs: 600_000, timeoutMs: 600_000 },
    listener: {
      onState: (connector, state) => reports.push([connector, state]),
      onReconfigure: (connector) => reconfigurations.push(connector),
    },
  })
  return {
    host,
    hosts,
    calls,
    reports,
    reconfigurations,
    asked: () => asked,
    context: () => last ?? assert.fail('no connector was started'),
    async start(connector = 'c'): Promise<void> {
      await host.startConnector(connector, { 'connector.class': 'test.Watcher' }, 'STARTED')
    },
    async letGo(times = 1): Promise<void> {
      await eventually(() => assert.ok(hosts.ended >= times))
    },
    [Symbol.asyncDispose]: async () => await host.close(),
  }
}

test('after its task configs a connector that watches nothing is stopped and its host let go; it stays RUNNING', async () => {
  await using it = open({})
  await it.start()
  await it.host.taskConfigs('c', 1)
  await it.letGo()
  assert.deepEqual(it.reports, [['c', 'RUNNING']])
  assert.deepEqual(it.host.connectors(), ['c'])
  assert.notEqual(it.host.configOf('c'), null)
  assert.equal(it.calls.at(-1), 'stop')
  assert.deepEqual(await it.host.metrics(1_000), [], 'asking for metrics opens no host')
  assert.equal(it.hosts.opened, it.hosts.ended)
})

test('task configs wake it without a report, all callers with one start, and let it go again', async () => {
  await using it = open({})
  await it.start()
  await it.letGo()
  it.calls.length = 0
  const answers = await Promise.all([it.host.taskConfigs('c', 1), it.host.taskConfigs('c', 1)])
  for (const { configs, type, taskClass } of answers) {
    assert.deepEqual([configs, type, taskClass], [[{ start: '2' }], 'sink', 'test.WatcherTask'])
  }
  assert.deepEqual(it.calls.slice(0, 3), ['start', 'taskConfigs', 'taskConfigs'])
  await it.letGo(2)
  assert.deepEqual(it.reports, [['c', 'RUNNING']])
})

test('what is asked while the host is being let go gets the next host', async () => {
  await using it = open({ stopHangs: true })
  await it.start()
  await eventually(() => assert.equal(it.calls.at(-1), 'stop'))
  const { configs } = await it.host.taskConfigs('c', 1)
  assert.deepEqual(configs, [{ start: '2' }])
  await it.letGo()
})

test('asleep, it pauses and stops without a host, and resumes with a new object', async () => {
  await using it = open({})
  await it.start()
  await it.letGo()
  await it.host.transitionConnector('c', 'PAUSED')
  await it.host.transitionConnector('c', 'STOPPED')
  assert.equal(it.hosts.opened, 1)
  await assert.rejects(it.host.taskConfigs('c', 1), { code: 'CONNECT_CONNECTOR_NOT_RUNNING' })
  await it.host.transitionConnector('c', 'STARTED')
  assert.deepEqual((await it.host.taskConfigs('c', 1)).configs, [{ start: '2' }])
  await it.host.transitionConnector('c', 'PAUSED')
  const states = ['RUNNING', 'PAUSED', 'STOPPED', 'RUNNING', 'PAUSED']
  assert.deepEqual(
    it.reports,
    states.map((state) => ['c', state]),
  )
})

test('asleep, it is removed as UNASSIGNED, and another of its name may start', async () => {
  await using it = open({})
  await it.start()
  await it.letGo()
  await it.host.stopConnectors(['c'])
  assert.deepEqual(it.host.connectors(), [])
  assert.equal(it.hosts.opened, 1)
  assert.deepEqual(it.reports.at(-1), ['c', 'UNASSIGNED'])
  await it.start()
  assert.deepEqual(it.reports.at(-1), ['c', 'RUNNING'])
})

test('one that cannot be started again is FAILED, is kept, and can only be stopped', async () => {
  await using it = open({ failsAt: 2 })
  await it.start()
  await it.letGo()
  await assert.rejects(it.host.taskConfigs('c', 1), /the source is away/)
  assert.deepEqual(it.reports.at(-1), ['c', 'FAILED'])
  await assert.rejects(it.host.transitionConnector('c', 'STARTED'), { code: 'CONNECT_CONNECTOR_FAILED' })
  assert.deepEqual([it.hosts.opened, it.hosts.ended], [2, 1])
  await it.host.transitionConnector('c', 'STOPPED')
  assert.deepEqual(it.reports.at(-1), ['c', 'STOPPED'])
})

test('one that watches keeps the host for all, and may ask for new task configs', async () => {
  await using it = open({ watches: true })
  await it.start()
  await it.start('d')
  await eventually(() => assert.ok(it.asked() > 0))
  // Answers come in order: after this one the host knows that somebody watches.
  await it.host.taskConfigs('c', 1)
  assert.deepEqual(it.hosts, { opened: 1, ended: 0 })
  it.context().requestTaskReconfiguration()
  await eventually(() => assert.deepEqual(it.reconfigurations, ['d']))
  assert.ok(!it.calls.includes('stop'))
})

test('a host that was only asked to validate is let go, too; one that is asked again in time is not', async () => {
  await using it = open({})
  await it.host.call('plugin.config', { name: 'test.Watcher', version: null })
  await it.letGo()
  await using kept = open({ linger: { afterTaskConfigsMs: 600_000, otherwiseMs: 600_000 } })
  await kept.start()
  await kept.host.taskConfigs('c', 1)
  await kept.host.taskConfigs('c', 1)
  assert.deepEqual(kept.calls, ['start', 'taskConfigs', 'taskConfigs'])
  assert.deepEqual(kept.hosts, { opened: 1, ended: 0 })
})

test('a host is let go sooner after task configs than after a call that others may follow', async () => {
  await using it = open({ linger: { afterTaskConfigsMs: 0, otherwiseMs: 600_000 } })
  await it.start()
  assert.deepEqual(it.hosts, { opened: 1, ended: 0 })
  await it.host.taskConfigs('c', 1)
  await it.letGo()
  assert.deepEqual(it.calls, ['start', 'taskConfigs', 'stop'])
})

const probes = new URL('../../../support/runtime/sleeping-plugins.ts', import.meta.url).href

test('in threads: the next task configs come from another thread, those of a connector that watches from the same', async () => {
  for (const watches of [false, true]) {
    await using harness = await openWorker({
      bootstrap: '127.0.0.1:9',
      pluginModules: [probes],
      connectorLinger: atOnce,
    })
    const { worker } = harness
    const config = {
      name: 'c',
      'connector.class': 'test.ThreadTellingConnector',
      watches: String(watches),
      topics: 't',
    }
    await worker.startConnector('c', config, 'STARTED')
    const threads = new Set<string | undefined>()
    const ask = async (): Promise<void> => {
      const [task] = await worker.taskConfigs('c', config)
      threads.add(task?.['thread'])
    }
    if (watches) for (let i = 0; i < 5; i++) await ask()
    else
      await eventually(async () => {
        await ask()
        assert.ok(threads.size > 1)
      }, 30_000)
    assert.equal(threads.size > 1, !watches)
    assert.deepEqual(
      harness.states.map(({ state }) => state),
      ['RUNNING'],
    )
  }
})

test('a worker closes although a connector blocks its thread when it is asked whether it watches', async () => {
  await using harness = await openWorker({ bootstrap: '127.0.0.1:9', pluginModules: [probes], connectorLinger: atOnce })
  const file = join(harness.folder, 'asked')
  const config = { name: 'c', 'connector.class': 'test.ThreadTellingConnector', topics: 't', 'blocked.file': file }
  await harness.worker.startConnector('c', config, 'STARTED')
  await eventually(() => assert.ok(existsSync(file)))
  await harness.worker.close()
  assert.equal(harness.state('c')?.state, 'UNASSIGNED')
})
