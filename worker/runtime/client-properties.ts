/**
 * Properties of the Kafka clients of connectors and tasks: fixed defaults, then the worker's prefixed options, then
 * the connector's overrides (KIP-458), as far as the override policy lets them.
 */
import type { RawConfig } from '../api/connector.ts'
import { ConfigError } from '../api/errors.ts'
import {
  type ClientKind,
  evaluateOverrides,
  type OverridePolicy,
  overridePolicy,
  overridePrefix,
} from '../config/client-overrides.ts'
import { withPrefixCut } from '../config/config-provider.ts'
import { soleClientIdProperty } from '../kafka/consumer-config.ts'
import type { ClientProperties } from '../kafka/types.ts'
import { parseList } from '../util/text-list.ts'
import type { TaskId } from './worker-types.ts'

/** @throws ConfigError when there is no policy of the name in `connector.client.config.override.policy` */
function policyOf(scope: ClientScope): OverridePolicy {
  const name = scope.worker['connector.client.config.override.policy'] ?? 'All'
  const policy = overridePolicy(name, parseList(scope.worker['connector.client.config.override.allowlist']))
  if (policy === null) {
    const option = 'connector.client.config.override.policy'
    throw new ConfigError([{ option, message: `There is no policy ${name}; use All, None, Principal or Allowlist` }])
  }
  return policy
}

/** @throws ConfigError when `connector.client.config.override.policy` forbids one of the connector's overrides */
function checkOverrides(scope: ClientScope, kind: ClientKind): void {
  const problems = evaluateOverrides(policyOf(scope), kind, scope.connector).flatMap((state) =>
    state.errors.map((message) => ({ option: state.name, message })),
  )
  if (problems.length > 0) throw new ConfigError(problems)
}

/** `metrics.context.*` of every client (KIP-606). */
function metricsContext(worker: RawConfig, clusterId: string): RawConfig {
  const groupId = worker['group.id']
  return {
    'metrics.context.connect.kafka.cluster.id': clusterId,
    ...(groupId === undefined ? {} : { 'metrics.context.connect.group.id': groupId }),
  }
}

/** What client properties are computed from: resolved options of worker and connector. */
export interface ClientScope {
  readonly worker: RawConfig
  readonly connector: RawConfig
  readonly clusterId: string
}

/**
 * Defaults of a task's producer. Connect turns idempotence off and sends one request at a time to keep the order;
 * our producer keeps it with five idempotent ones in flight, so it goes without that restriction. Larger batches
 * change no visible behaviour, and save requests; `linger.ms`, when it is not set, holds back no record that could go
 * at once. User settings win.
 */
const producerDefaults: RawConfig = {
  acks: 'all',
  'enable.idempotence': 'true',
  'max.in.flight.requests.per.connection': '5',
  'delivery.timeout.ms': '2147483647',
  'max.block.ms': '9223372036854775807',
  'batch.size': '262144',
}

/** Options of the worker's own clients: everything that is not meant for another part by its prefix. */
function unprefixed(worker: RawConfig): RawConfig {
  return Object.fromEntries(Object.entries(worker).filter(([name]) => !/^(?:admin|producer|consumer)\./.test(name)))
}

function layers(scope: ClientScope, kind: ClientKind, defaults: RawConfig): ClientProperties {
  checkOverrides(scope, kind)
  return {
    // The one client option that tasks inherit without a prefix.
    'bootstrap.servers': scope.worker['bootstrap.servers'] ?? 'localhost:9092',
    ...(kind === 'admin' ? unprefixed(scope.worker) : {}),
    ...defaults,
    ...metricsContext(scope.worker, scope.clusterId),
    ...withPrefixCut(scope.worker, `${kind}.`),
    ...withPrefixCut(scope.connector, overridePrefix(kind)),
  }
}

function producerLayers(scope: ClientScope, clientId: string): ClientProperties {
  const properties = layers(scope, 'producer', { ...producerDefaults, 'client.id': clientId })
  const chosen =
    scope.worker['producer.enable.idempotence'] ?? scope.connector['producer.override.enable.idempotence'] ?? null
  // Who sets acks=1 without a word about idempotence means just that; Java's client decides the same way.
  const weak = properties['acks'] !== 'all' && properties['acks'] !== '-1'
  return weak && chosen === null ? { ...properties, 'enable.idempotence': 'false' } : properties
}

/** Producer of a source task's records and of what tasks write beside them. @throws ConfigError by the policy */
export function producerProperties(scope: ClientScope, id: TaskId): ClientProperties {
  return producerLayers(scope, `connector-producer-${id.connector}-${id.task}`)
}

/** What an admin client needs of a producer's options to reach the same cluster as the same user. */
const connectionOption = /^(?:bootstrap\.servers$|client\.dns\.lookup$|security\.|sasl\.|ssl\.)/

/**
 * Producer and admin client of the topics that a task writes beside its records; `own` are options of the task that
 * differ, as `SinkTaskContext.producerWith` says. @throws ConfigError by the policy
 */
export function topicProducerProperties(
  scope: ClientScope,
  id: TaskId,
  own: { readonly options: RawConfig; readonly prefix: string } | null = null,
): { readonly producer: ClientProperties; readonly admin: ClientProperties } {
  const adminId = `connector-adminclient-${id.connector}-${id.task}`
  const options = own === null ? {} : withPrefixCut(own.options, own.prefix)
  const policy = policyOf(scope)
  const problems = Object.keys(options)
    .filter((option) => !policy.allows(option))
    .map((option) => ({
      option: `${own?.prefix}${option}`,
      message: `The '${policy.name}' policy does not allow '${option}' to be set by a connector: ask the operator of the worker`,
    }))
  if (problems.length > 0) throw new ConfigError(problems)
  const connection = Object.fromEntries(Object.entries(options).filter(([name]) => connectionOption.test(name)))
  if (options['bootstrap.servers'] === undefined) {
    const producer = { ...producerProperties(scope, id), ...options }
    return { producer, admin: { ...adminProperties(scope, adminId), ...connection } }
  }
  const clientId = `connector-producer-${id.connector}-${id.task}`
  return {
    producer: { ...producerDefaults, 'client.id': clientId, ...options },
    admin: { 'client.id': adminId, ...connection },
  }
}

/** Transactional id of a source task in exactly-once mode (KIP-618). */
export function transactionalId(groupId: string, id: TaskId): string {
  return `${groupId}-${id.connector}-${id.task}`
}

/** As `producerProperties`, with what KIP-618 forces whatever the user wrote. */
export function transactionalProducerProperties(scope: ClientScope, id: TaskId): ClientProperties {
  return {
    ...producerProperties(scope, id),
    'enable.idempotence': 'true',
    'transactional.id': transactionalId(scope.worker['group.id'] ?? '', id),
  }
}

/** Producer options that somebody chose and exactly-once overrules (KIP-618): worth a warning. */
export function overruledByExactlyOnce(scope: ClientScope, id: TaskId): readonly string[] {
  const chosen = {
    ...withPrefixCut(scope.worker, 'producer.'),
    ...withPrefixCut(scope.connector, overridePrefix('producer')),
  }
  const forced = transactionalProducerProperties(scope, id)
  return ['enable.idempotence', 'transactional.id'].filter((name) => {
    const given = chosen[name]
    return given !== undefined && given.toLowerCase() !== forced[name]?.toLowerCase()
  })
}

export function deadLetterProducerProperties(scope: ClientScope, id: TaskId): ClientProperties {
  return producerLayers(scope, `connector-dlq-producer-${id.connector}-${id.task}`)
}

/**
 * Consumer of a sink task. Its client id is the task's own unless somebody chose another, so a member of the group
 * that has it already is what a killed process left behind: the new consumer need not wait for its session to end.
 */
export function consumerProperties(scope: ClientScope, id: TaskId): ClientProperties {
  const clientId = `connector-consumer-${id.connector}-${id.task}`
  const properties = layers(scope, 'consumer', {
    'group.id': `connect-${id.connector}`,
    'client.id': clientId,
    'enable.auto.commit': 'false',
    'auto.offset.reset': 'earliest',
  })
  return { ...properties, [soleClientIdProperty]: String(properties['client.id'] === clientId) }
}

/**
 * Reader of a connector's own offset topic. Uncommitted offsets are hidden, unless the user asked for them; with
 * exactly-once always (KIP-618).
 */
export function offsetConsumerProperties(
  scope: ClientScope,
  connector: string,
  exactlyOnce: boolean,
): ClientProperties {
  const defaults = { 'client.id': `connector-offset-consumer-${connector}`, 'isolation.level': 'read_committed' }
  const properties = layers(scope, 'consumer', defaults)
  return exactlyOnce ? { ...properties, 'isolation.level': 'read_committed' } : properties
}

/** Consumer group of a sink connector. */
export function consumerGroup(scope: ClientScope, connector: string): string {
  return consumerProperties(scope, { connector, task: 0 })['group.id'] ?? `connect-${connector}`
}

/** @param clientId e.g. `connector-adminclient-C-N` */
export function adminProperties(scope: ClientScope, clientId: string): ClientProperties {
  return layers(scope, 'admin', { 'client.id': clientId })
}

/** Producer for the worker's own offset topic, when the task's own producer talks to another cluster. */
export function offsetProducerProperties(scope: ClientScope, id: TaskId): ClientProperties {
  return {
    ...unprefixed(scope.worker),
    acks: 'all',
    'enable.idempotence': 'true',
    'delivery.timeout.ms': '2147483647',
    'client.id': `connector-offset-producer-${id.connector}-${id.task}`,
    ...metricsContext(scope.worker, scope.clusterId),
  }
}

/** Whether both sets of properties reach the same cluster as the same user. */
export function sameCluster(a: ClientProperties, b: ClientProperties): boolean {
  const relevant = (name: string): boolean => name === 'bootstrap.servers' || /^(?:security|sasl|ssl)\./.test(name)
  const names = new Set([...Object.keys(a), ...Object.keys(b)].filter(relevant))
  for (const name of names) if (a[name] !== b[name]) return false
  return true
}
