/** Entry of a host thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { PluginCatalog } from '../plugins/catalog.ts'
import { systemClock } from '../util/clock.ts'
import { Loggers } from '../util/log.ts'
import { WorkLease } from '../util/work-lease.ts'
import { HostSession } from './host-session.ts'
import type { ThreadData } from './task-host.ts'

if (parentPort === null) throw new Error('host-thread.ts runs only as a worker thread')
const { init } = workerData as ThreadData

const loggers = new Loggers()
const lease = init.lease === null ? null : new WorkLease(init.lease)
const session = new HostSession(parentPort, init, {
  registry: new PluginCatalog(init.pluginModules),
  loadKafka: async () =>
    (await import('../kafka/client.ts')).createKafkaClientFactory({
      log: loggers.logger('kafka'),
      lease,
    }),
  loggers,
  clock: systemClock,
  random: Math.random,
})
session.announce()
