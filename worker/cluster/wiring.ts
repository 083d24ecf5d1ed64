/** Puts herders and stores together from a worker's config. */
import type { Clock, Logger } from '../api/context.ts'
import type { AdvertisedUrl } from '../config/listeners.ts'
import {
  clientIdBase,
  exactlyOnceSupport,
  leaderTransactionalId,
  storageTopicConfigs,
  type WorkerConfig,
} from '../config/worker-config.ts'
import type { ClientProperties, KafkaClientFactory, TopicLogFactory, TopicLogOptions } from '../kafka/types.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import type { WindowOptions } from '../metrics/samples.ts'
import type { Worker } from '../runtime/worker-types.ts'
import type { Loggers } from '../util/log.ts'
import type { WorkLease } from '../util/work-lease.ts'
import { ConfigStore } from './config-store.ts'
import { DistributedHerder, type LeaderClient } from './distributed-herder.ts'
import { FileOffsetStore } from './file-offset-store.ts'
import { GroupMetrics } from './group-metrics.ts'
import { ensureInternalTopic, type InternalTopic } from './internal-topics.ts'
import { networkMetrics } from './network-metrics.ts'
import { KafkaOffsetStore, type OffsetStore } from './offset-store.ts'
import { Stages } from './stages.ts'
import { StandaloneHerder } from './standalone-herder.ts'
import { KafkaStatusStore, MemoryStatusStore } from './status-store.ts'

export type DistributedConfig = Extract<WorkerConfig, { readonly mode: 'distributed' }>
export type StandaloneConfig = Extract<WorkerConfig, { readonly mode: 'standalone' }>

export interface ClusterServices {
  readonly kafka: KafkaClientFactory
  readonly createLog: TopicLogFactory
  readonly loggers: Loggers
  readonly clock: Clock
}

/** `default.api.timeout.ms` of the admin client: how long topic creation is tried. */
const createTopicTimeoutMs = 60_000

const foreignPrefix = /^(?:producer|consumer|admin|listeners|key\.converter|value\.converter|header\.converter)\./
const ownStorage = /^(?:config|offset|status)\.storage\./

/** The worker's options as properties of its own clients; what only the worker understands is left out. */
export function workerClientProperties(config: WorkerConfig): ClientProperties {
  const properties: Record<string, string> = { 'bootstrap.servers': config.options['bootstrap.servers'].join(',') }
  for (const [name, value] of Object.entries(config.raw)) {
    if (foreignPrefix.test(name) || ownStorage.test(name) || name === 'group.id' || name === 'client.id') continue
    properties[name] = value
  }
  return properties
}

/** Order over throughput: one request at a time, and it is tried until it works. */
const durableProducer: ClientProperties = {
  acks: 'all',
  'enable.idempotence': 'false',
  'max.in.flight.requests.per.connection': '1',
  'delivery.timeout.ms': '2147483647',
  'linger.ms': '0',
}

function logClients(config: DistributedConfig, which: 'configs' | 'offsets' | 'statuses', topic: string) {
  const base = workerClientProperties(config)
  const clientId = { 'client.id': `${clientIdBase(config.options)}${which}` }
  const isExactlyOnce = exactlyOnceSupport(config.options) === 'enabled'
  // Records of a leader that was fenced in mid-transaction are not config (KIP-618).
  const isolation: ClientProperties =
    isExactlyOnce && which !== 'statuses' ? { 'isolation.level': 'read_committed' } : {}
  return {
    topic,
    consumer: { ...base, ...clientId, ...isolation },
    producer: { ...base, ...clientId, ...durableProducer },
    admin: { ...base, 'client.id': `${clientIdBase(config.options)}shared-admin` },
  } satisfies Pick<TopicLogOptions, 'topic' | 'consumer' | 'producer' | 'admin'>
}

/** The store that the worker of this mode reads source offsets from. */
export function createOffsetStore(config: WorkerConfig, services: ClusterServices): OffsetStore {
  if (config.mode === 'standalone') return new FileOffsetStore(config.options['offset.storage.file.filename'])
  return new KafkaOffsetStore({
    createLog: services.createLog,
    clients: logClients(config, 'offsets', config.options['offset.storage.topic']),
    logger: services.loggers.logger('cluster.offsets'),
  })
}

export function internalTopics(config: DistributedConfig): readonly InternalTopic[] {
  const { options, raw } = config
  return [
    {
      option: 'offset.storage.topic',
      content: 'source connector offsets',
      topic: options['offset.storage.topic'],
      partitions: options['offset.storage.partitions'],
      replicationFactor: options['offset.storage.replication.factor'],
      configs: storageTopicConfigs(raw, 'offset'),
    },
    {
      option: 'status.storage.topic',
      content: 'connector and task statuses',
      topic: options['status.storage.topic'],
      partitions: options['status.storage.partitions'],
      replicationFactor: options['status.storage.replication.factor'],
      configs: storageTopicConfigs(raw, 'status'),
    },
    {
      option: 'config.storage.topic',
      content: 'connector configurations',
      topic: options['config.storage.topic'],
      partitions: 1,
      replicationFactor: options['config.storage.replication.factor'],
      configs: storageTopicConfigs(raw, 'config'),
    },
  ]
}

/** Creates what is missing of the internal topics; gives the id of the Kafka cluster. */
async function prepareCluster(
  config: DistributedConfig,
  services: ClusterServices,
  logger: Logger,
  signal: AbortSignal,
): Promise<string> {
  const { clock, kafka } = services
  const retryBackoffMs = config.options['retry.backoff.ms']
  const { admin: properties } = logClients(config, 'configs', '')
  await using admin = kafka.admin(properties)
  const ensure = { admin, clock, logger, timeoutMs: createTopicTimeoutMs, retryBackoffMs }
  const clusterId = await admin.clusterId(signal)
  await Promise.all(internalTopics(config).map((topic) => ensureInternalTopic(topic, ensure, signal)))
  return clusterId
}

export interface HerderParts extends ClusterServices {
  readonly worker: Worker
  readonly advertised: AdvertisedUrl
  /** Names the build. */
  readonly commit: string
}

export interface DistributedParts extends HerderParts {
  readonly leaderClient: LeaderClient
  /** Ends with the session of this worker; its tasks write no longer than that. */
  readonly lease: WorkLease
  onFatal(error: Error): void
}

function metricWindows({ options }: WorkerConfig, clock: Clock): WindowOptions {
  return {
    windowMs: options['metrics.sample.window.ms'],
    samples: options['metrics.num.samples'],
    nowMs: () => clock.monotonicMs(),
  }
}

export function createDistributedHerder(config: DistributedConfig, parts: DistributedParts): DistributedHerder {
  const { options } = config
  const { loggers, clock, kafka, createLog, worker, advertised } = parts
  const logger = loggers.logger('cluster.herder')
  const transactionalId = leaderTransactionalId(options)
  const ownId = options['client.id'].trim()
  const clientId = ownId === '' ? `connect-${advertised.workerId}` : ownId
  const windows = metricWindows(config, clock)
  const metrics = new MetricRegistry(windows)
  const groupMetrics = new GroupMetrics({ registry: metrics, windows, clock, clientId })
  const base = workerClientProperties(config)
  const configClients = logClients(config, 'configs', options['config.storage.topic'])
  return new DistributedHerder({
    worker,
    loggers,
    clock,
    logger,
    commit: parts.commit,
    stages: new Stages(clock),
    metrics,
    groupMetrics,
    workerId: advertised.workerId,
    url: advertised.url,
    tracksTopics: options['topic.tracking.enable'],
    exactlyOnce: exactlyOnceSupport(options) === 'enabled',
    connectProtocol: connectProtocol(options['connect.protocol']),
    maxDelayMs: options['scheduled.rebalance.max.delay.ms'],
    syncTimeoutMs: options['worker.sync.timeout.ms'],
    unsyncBackoffMs: options['worker.unsync.backoff.ms'],
    rebalanceTimeoutMs: options['rebalance.timeout.ms'],
    heartbeatIntervalMs: options['heartbeat.interval.ms'],
    sessionKeys: {
      generationAlgorithm: options['inter.worker.key.generation.algorithm'],
      keyBits: options['inter.worker.key.size'],
      ttlMs: options['inter.worker.key.ttl.ms'],
      signatureAlgorithm: options['inter.worker.signature.algorithm'],
      verificationAlgorithms: options['inter.worker.verification.algorithms'],
    },
    member: kafka.groupMember(
      { ...base, 'client.id': clientId },
      {
        groupId: options['group.id'],
        protocolType: 'connect',
        sessionTimeoutMs: options['session.timeout.ms'],
        rebalanceTimeoutMs: options['rebalance.timeout.ms'],
        heartbeatIntervalMs: options['heartbeat.interval.ms'],
        // Named after the advertised address, which this process has bound: its last owner is dead.
        soleClientId: ownId === '',
        lease: parts.lease,
        onHeartbeat: (durationMs) => groupMetrics.heartbeat(durationMs),
        traffic: networkMetrics(metrics, clientId),
      },
    ),
    statuses: new KafkaStatusStore({
      createLog,
      clients: logClients(config, 'statuses', options['status.storage.topic']),
      clock,
      logger: loggers.logger('cluster.status'),
      retryBackoffMs: 300,
    }),
    leaderClient: parts.leaderClient,
    lease: parts.lease,
    createConfigStore: (onEvent) =>
      new ConfigStore({
        createLog,
        clients: configClients,
        leaderProducer:
          transactionalId === null
            ? null
            : {
                create: (properties) => kafka.producer(properties),
                properties: {
                  ...base,
                  'client.id': `${clientIdBase(options)}configs-leader`,
                  'transactional.id': transactionalId,
                  acks: 'all',
                  'linger.ms': '0',
                },
              },
        logger: loggers.logger('cluster.config'),
        onEvent,
      }),
    prepareCluster: (signal) => prepareCluster(config, parts, logger, signal),
    onFatal: (error) => parts.onFatal(error),
  })
}

function connectProtocol(text: string): 'eager' | 'compatible' | 'sessioned' {
  const folded = text.toLowerCase()
  return folded === 'eager' || folded === 'compatible' ? folded : 'sessioned'
}

export function createStandaloneHerder(config: StandaloneConfig, parts: HerderParts): StandaloneHerder {
  const { loggers, clock, kafka, worker, advertised } = parts
  return new StandaloneHerder({
    worker,
    loggers,
    clock,
    logger: loggers.logger('cluster.herder'),
    commit: parts.commit,
    stages: new Stages(clock),
    metrics: new MetricRegistry(metricWindows(config, clock)),
    workerId: advertised.workerId,
    tracksTopics: config.options['topic.tracking.enable'],
    statuses: new MemoryStatusStore(),
    clusterId: async (signal) => {
      await using admin = kafka.admin(workerClientProperties(config))
      return await admin.clusterId(signal)
    },
  })
}
