import assert from 'node:assert/strict'
import type { Logger } from '../../../../worker/api/context.ts'
import { NotLeaderError } from '../../../../worker/api/errors.ts'
import { ConfigStore } from '../../../../worker/cluster/config-store.ts'
import { DistributedHerder, type LeaderClient, type Sign } from '../../../../worker/cluster/distributed-herder.ts'
import { GroupMetrics } from '../../../../worker/cluster/group-metrics.ts'
import { Stages } from '../../../../worker/cluster/stages.ts'
import { KafkaStatusStore } from '../../../../worker/cluster/status-store.ts'
import { defaultWindows, MetricRegistry } from '../../../../worker/metrics/registry.ts'
import { systemClock } from '../../../../worker/util/clock.ts'
import { Loggers } from '../../../../worker/util/log.ts'
import { FakeGroup, type FakeMember, FakeTopic, FakeWorker } from './fakes.ts'

export interface Node {
  readonly url: string
  readonly worker: FakeWorker
  readonly herder: DistributedHerder
  readonly member: FakeMember
}

/** Workers of one cluster, over one group and two topics in memory. */
export class FakeCluster implements AsyncDisposable {
  readonly group = new FakeGroup()
  readonly configTopic = new FakeTopic()
  readonly statusTopic = new FakeTopic()
  readonly nodes: Node[] = []
  readonly failures: Error[] = []
  #port = 8083

  async add(
    options: {
      maxDelayMs?: number
      protocol?: 'eager' | 'compatible' | 'sessioned'
      exactlyOnce?: boolean
      rebalanceTimeoutMs?: number
      logger?: Logger
      loggers?: Loggers
    } = {},
  ) {
    const port = this.#port++
    const url = `http://w:${port}/`
    const worker = new FakeWorker()
    const member = this.group.member()
    const loggers = options.loggers ?? new Loggers({ level: 'OFF' })
    const logger = options.logger ?? loggers.logger('test')
    const metrics = new MetricRegistry()
    const clients = { topic: 't', consumer: {}, producer: {}, admin: {} }
    const herder = new DistributedHerder({
      worker,
      loggers,
      logger,
      clock: systemClock,
      stages: new Stages(systemClock),
      metrics,
      groupMetrics: new GroupMetrics({
        registry: metrics,
        windows: defaultWindows,
        clock: systemClock,
        clientId: `connect-w:${port}`,
      }),
      tracksTopics: true,
      workerId: `w:${port}`,
      commit: 'test',
      statuses: new KafkaStatusStore({
        createLog: (log) => this.statusTopic.log(log),
        clients,
        clock: systemClock,
        logger,
        retryBackoffMs: 1,
      }),
      url,
      member,
      connectProtocol: options.protocol ?? 'sessioned',
      maxDelayMs: options.maxDelayMs ?? 0,
      syncTimeoutMs: 1_000,
      unsyncBackoffMs: 1,
      rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 60_000,
      heartbeatIntervalMs: 100,
      exactlyOnce: options.exactlyOnce ?? false,
      sessionKeys: {
        generationAlgorithm: 'HmacSHA256',
        keyBits: null,
        ttlMs: 3_600_000,
        signatureAlgorithm: 'HmacSHA256',
        verificationAlgorithms: ['HmacSHA256'],
      },
      leaderClient: this.#leaderClient(),
      createConfigStore: (onEvent) =>
        new ConfigStore({
          createLog: (log) => this.configTopic.log(log),
          clients,
          leaderProducer: null,
          logger,
          onEvent,
        }),
      prepareCluster: async () => 'cluster',
      onFatal: (error) => this.failures.push(error),
    })
    await herder.start()
    const node = { url, worker, herder, member }
    this.nodes.push(node)
    return node
  }

  #leaderClient(): LeaderClient {
    const leaderAt = (url: string): DistributedHerder => {
      const node = this.nodes.find((n) => n.url === url)
      if (node === undefined) throw new Error(`no worker at ${url}`)
      return node.herder
    }
    const signature = (body: Uint8Array, sign: Sign) => {
      const signed = sign(body)
      return signed && { algorithm: signed.algorithm, signature: Buffer.from(signed.signature, 'base64'), body }
    }
    return {
      putTaskConfigs: (url, connector, configs, sign) =>
        leaderAt(url).putTaskConfigs(connector, configs, signature(Buffer.from(JSON.stringify(configs)), sign)),
      fenceZombies: (url, connector, sign) =>
        leaderAt(url).fenceZombieSourceTasks(connector, signature(new Uint8Array(), sign)),
    }
  }

  /** Runs a command where it ends up when REST forwards it. */
  async forwarded<T>(run: (herder: DistributedHerder) => Promise<T>): Promise<T> {
    for (const { herder } of this.nodes) {
      try {
        return await run(herder)
      } catch (error) {
        if (!(error instanceof NotLeaderError)) throw error
      }
    }
    throw new Error('no leader')
  }

  work(): string[] {
    return this.nodes.flatMap((n) => [...n.worker.runningConnectors.keys(), ...n.worker.runningTasks.keys()]).sort()
  }

  /** Vanishes like a killed process: nothing is stopped properly, the session just ends. */
  kill(node: Node): void {
    this.nodes.splice(this.nodes.indexOf(node), 1)
    node.herder.health()
    this.group.remove(node.member)
    node.member.join = () => new Promise(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((n) => n.herder.stop()))
    assert.deepEqual(this.failures, [])
  }
}
