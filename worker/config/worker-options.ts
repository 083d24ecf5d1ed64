/**
 * Options of a worker under Connect's names, with its defaults; documentation in our own words. The file is long since
 * it is data: one definition per option, no code to divide.
 */
import {
  atLeast,
  between,
  type ConfigKey,
  type ConfigKeys,
  defineConfig,
  oneOf,
  oneOfIgnoringCase,
  type Validator,
} from '../api/config.ts'
import type { ConfigProblem } from '../api/errors.ts'
import { adminListenerListProblem, headerRuleProblem, listenerListProblem } from './listeners.ts'

/** A validator whose answer is the whole message, as Connect has it for these options. */
const complete = (description: string, check: (value: unknown) => string | null): Validator => ({
  description,
  complete: true,
  check: (_, value) => check(value),
})

/** A number of partitions or replicas: positive, or -1 for the broker's default. */
const positiveOrDefault: Validator = {
  description: 'positive, or -1 for the default of the broker',
  check: (_, value) => {
    if (value === null) return 'Value must be non-null'
    return value === -1 || (value as number) > 0
      ? null
      : 'Value must be positive, or -1 to use the default of the broker'
  },
}

function converterVersion(of: string) {
  return {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: `Version of the worker's converter of ${of}, or a range in Maven's notation (KIP-891); the newest one when absent.`,
  } as const satisfies ConfigKey
}

const converters = {
  'key.converter': {
    type: 'CLASS',
    importance: 'HIGH',
    doc: 'Converter of keys for connectors that name none; `key.converter.X` reaches it as `X`.',
  },
  'key.converter.plugin.version': converterVersion('keys'),
  'value.converter': {
    type: 'CLASS',
    importance: 'HIGH',
    doc: 'Converter of values for connectors that name none; `value.converter.X` reaches it as `X`.',
  },
  'value.converter.plugin.version': converterVersion('values'),
  'header.converter': {
    type: 'CLASS',
    default: 'org.apache.kafka.connect.storage.SimpleHeaderConverter',
    importance: 'LOW',
    doc: 'Converter of header values for connectors that name none.',
  },
  'header.converter.plugin.version': converterVersion('header values'),
} as const satisfies ConfigKeys

const runtime = {
  'bootstrap.servers': {
    type: 'LIST',
    default: ['localhost:9092'],
    importance: 'HIGH',
    doc: 'Kafka brokers to start from (host:port); the only client option that task clients inherit without a prefix.',
  },
  'client.dns.lookup': {
    type: 'STRING',
    default: 'use_all_dns_ips',
    valid: oneOf('use_all_dns_ips', 'resolve_canonical_bootstrap_servers_only'),
    importance: 'MEDIUM',
    doc: 'Whether all addresses of a broker name are tried in turn.',
  },
  'task.shutdown.graceful.timeout.ms': {
    type: 'LONG',
    default: 5000,
    importance: 'LOW',
    doc: 'Time in ms for all tasks that are stopped together to finish and commit, not per task.',
  },
  'offset.flush.interval.ms': {
    type: 'LONG',
    default: 60000,
    importance: 'LOW',
    doc: 'Time in ms between offset commits of a task, source or sink.',
  },
  'offset.flush.timeout.ms': {
    type: 'LONG',
    default: 5000,
    importance: 'LOW',
    doc: 'Time in ms to wait for a commit before it is given up and tried again later; no effect for exactly-once source tasks.',
  },
  'task.isolation': {
    type: 'STRING',
    default: 'thread',
    valid: oneOf('thread', 'none'),
    importance: 'LOW',
    doc: 'Where plugin code runs: `thread` gives the connectors one thread and each task its own, `none` runs all on the main thread (debugging). Not an option of Connect.',
  },
  'plugin.path': {
    type: 'LIST',
    default: null,
    importance: 'LOW',
    doc: 'Folders or modules that hold further plugins, besides the built-in ones; references to config providers are not resolved here.',
  },
  'plugin.discovery': {
    type: 'STRING',
    default: 'hybrid_warn',
    valid: oneOfIgnoringCase('only_scan', 'service_load', 'hybrid_warn', 'hybrid_fail'),
    importance: 'LOW',
    doc: 'How plugins of plugin.path are found: service_load takes those that a package.json declares, only_scan and hybrid_warn also modules found by looking (hybrid_warn says so), hybrid_fail refuses to start with such ones.',
  },
  'config.providers': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'Names of config providers, each with `config.providers.NAME.class` (built in, or exported as `configProviders` by a module of plugin.path) and `config.providers.NAME.param.KEY`.',
  },
  'connector.client.config.override.policy': {
    type: 'STRING',
    default: 'All',
    importance: 'LOW',
    doc: 'Which client options a connector may override: `All`, `None`, `Principal`, `Allowlist`.',
  },
  'connector.client.config.override.allowlist': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'Client options that policy `Allowlist` lets connectors override (KIP-1188).',
  },
  'topic.tracking.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether the topics that a connector uses are recorded (`GET /connectors/{c}/topics`).',
  },
  'topic.tracking.allow.reset': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether the recorded topics may be reset over REST.',
  },
  'topic.creation.enable': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether source tasks create topics for connectors that configure `topic.creation.*` (KIP-158).',
  },
} as const satisfies ConfigKeys

const metrics = {
  'metrics.sample.window.ms': {
    type: 'LONG',
    default: 30000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Length in ms of one window over which rates and averages are taken.',
  },
  'metrics.num.samples': {
    type: 'INT',
    default: 2,
    valid: atLeast(1),
    importance: 'LOW',
    doc: 'Number of windows kept for rates and averages.',
  },
  'metrics.recording.level': {
    type: 'STRING',
    default: 'INFO',
    valid: oneOf('INFO', 'DEBUG', 'TRACE'),
    importance: 'LOW',
    doc: 'Accepted for compatibility: all metrics are recorded.',
  },
  'metric.reporters': {
    type: 'LIST',
    default: ['org.apache.kafka.common.metrics.JmxReporter'],
    importance: 'LOW',
    doc: 'Accepted for compatibility: metrics are read at `GET /metrics`.',
  },
} as const satisfies ConfigKeys

const rest = {
  listeners: {
    type: 'LIST',
    default: ['http://:8083'],
    valid: complete('list of URLs', listenerListProblem),
    importance: 'LOW',
    doc: 'URLs the REST server listens at (`http` or `https`); no host means all addresses, port 0 a free one.',
  },
  'rest.advertised.host.name': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: 'Host by which other workers reach this one; default: that of the listener, else the host name.',
  },
  'rest.advertised.port': {
    type: 'INT',
    default: null,
    importance: 'LOW',
    doc: 'Port by which other workers reach this one; default: that of the listener.',
  },
  'rest.advertised.listener': {
    type: 'STRING',
    default: null,
    valid: complete('http or https', (v) =>
      v === null || v === 'http' || v === 'https'
        ? null
        : `Invalid value ${String(v)} for configuration rest.advertised.listener: String must be one of: http, https`,
    ),
    importance: 'LOW',
    doc: 'Protocol by which other workers reach this one: `http` or `https`.',
  },
  'access.control.allow.origin': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    doc: 'Origins that may call the REST API from a browser (CORS), separated by commas; `*` for all, blank for none.',
  },
  'access.control.allow.methods': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    doc: 'Methods allowed for cross-origin requests; blank means GET, POST, HEAD.',
  },
  'response.http.headers.config': {
    type: 'STRING',
    default: '',
    valid: complete('header rules', (v) => headerRuleProblem(String(v ?? ''))),
    importance: 'LOW',
    doc: 'Headers for all answers: `[action] [name]:[value]`, separated by commas, in quotes when a rule holds a comma; actions set, add, setDate, addDate.',
  },
  'ssl.client.auth': {
    type: 'STRING',
    default: 'none',
    valid: oneOf('required', 'requested', 'none'),
    importance: 'LOW',
    doc: 'Whether the REST server asks its clients for a certificate.',
  },
  'rest.extension.classes': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    doc: 'REST extensions, in order: `BasicAuthSecurityRestExtension` (credentials from `java.security.auth.login.config`), and those that modules of plugin.path export as `restExtensions`.',
  },
  'java.security.auth.login.config': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    doc: 'JAAS file of the basic auth extension, with a section `KafkaConnect`; the environment variable `KAFKA_OPTS` with `-Djava.security.auth.login.config=` is understood as well. In Connect a system property of the JVM.',
  },
  'admin.listeners': {
    type: 'LIST',
    default: null,
    valid: complete('list of URLs', adminListenerListProblem),
    importance: 'LOW',
    doc: 'URLs of the admin endpoints (loggers); absent: on the main listeners, empty: none.',
  },
} as const satisfies ConfigKeys

export const commonKeys = { ...converters, ...runtime, ...metrics, ...rest } as const

const group = {
  'group.id': {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'Name of the group of workers that share connectors and tasks.',
  },
  'session.timeout.ms': {
    type: 'INT',
    default: 10000,
    importance: 'HIGH',
    doc: 'Time in ms without a heartbeat after which a worker counts as failed.',
  },
  'heartbeat.interval.ms': {
    type: 'INT',
    default: 3000,
    importance: 'HIGH',
    doc: 'Time in ms between heartbeats; less than a third of the session timeout.',
  },
  'rebalance.timeout.ms': {
    type: 'INT',
    default: 60000,
    importance: 'HIGH',
    doc: 'Time in ms for a worker to join a rebalance: tasks must stop within it.',
  },
  'connect.protocol': {
    type: 'STRING',
    default: 'sessioned',
    valid: oneOf('eager', 'compatible', 'sessioned'),
    importance: 'LOW',
    doc: 'Group protocol: `sessioned` and `compatible` rebalance incrementally, `sessioned` also signs internal requests (KIP-507).',
  },
  'scheduled.rebalance.max.delay.ms': {
    type: 'INT',
    default: 300000,
    valid: between(0, 2147483647),
    importance: 'LOW',
    doc: 'Time in ms to wait for the return of a lost worker before its work is given to others (KIP-415).',
  },
  'worker.sync.timeout.ms': {
    type: 'INT',
    default: 3000,
    importance: 'MEDIUM',
    doc: 'Time in ms to read the config topic to its end before the worker leaves the group to catch up.',
  },
  'worker.unsync.backoff.ms': {
    type: 'INT',
    default: 300000,
    importance: 'MEDIUM',
    doc: 'Time in ms to stay out of the group after failing to catch up.',
  },
  'exactly.once.source.support': {
    type: 'STRING',
    default: 'disabled',
    valid: oneOfIgnoringCase('disabled', 'preparing', 'enabled'),
    importance: 'HIGH',
    doc: 'Transactions for source tasks (KIP-618); go over `preparing` on all workers before `enabled`.',
  },
  'client.id': { type: 'STRING', default: '', importance: 'LOW', doc: 'Name of this worker in requests to Kafka.' },
} as const satisfies ConfigKeys

const storage = {
  'config.storage.topic': {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'Topic that holds connector and task configs; one partition, compacted. Other `config.storage.X` become its topic options.',
  },
  'config.storage.replication.factor': {
    type: 'SHORT',
    default: 3,
    valid: positiveOrDefault,
    importance: 'LOW',
    doc: 'Replicas of the config topic when it is created; -1: broker default.',
  },
  'offset.storage.topic': {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'Topic that holds the offsets of source connectors; compacted.',
  },
  'offset.storage.partitions': {
    type: 'INT',
    default: 25,
    valid: positiveOrDefault,
    importance: 'LOW',
    doc: 'Partitions of the offset topic when it is created; -1: broker default.',
  },
  'offset.storage.replication.factor': {
    type: 'SHORT',
    default: 3,
    valid: positiveOrDefault,
    importance: 'LOW',
    doc: 'Replicas of the offset topic when it is created; -1: broker default.',
  },
  'status.storage.topic': {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'Topic that holds the states of connectors and tasks; compacted.',
  },
  'status.storage.partitions': {
    type: 'INT',
    default: 5,
    valid: positiveOrDefault,
    importance: 'LOW',
    doc: 'Partitions of the status topic when it is created; -1: broker default.',
  },
  'status.storage.replication.factor': {
    type: 'SHORT',
    default: 3,
    valid: positiveOrDefault,
    importance: 'LOW',
    doc: 'Replicas of the status topic when it is created; -1: broker default.',
  },
} as const satisfies ConfigKeys

const clients = {
  'metadata.max.age.ms': {
    type: 'LONG',
    default: 300000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Age in ms after which topic metadata is loaded again.',
  },
  'send.buffer.bytes': {
    type: 'INT',
    default: 131072,
    valid: atLeast(-1),
    importance: 'MEDIUM',
    doc: 'Accepted for compatibility: buffer sizes of sockets are those of the system.',
  },
  'receive.buffer.bytes': {
    type: 'INT',
    default: 32768,
    valid: atLeast(-1),
    importance: 'MEDIUM',
    doc: 'Accepted for compatibility: buffer sizes of sockets are those of the system.',
  },
  'reconnect.backoff.ms': {
    type: 'LONG',
    default: 50,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'First delay in ms before connecting to a broker again.',
  },
  'reconnect.backoff.max.ms': {
    type: 'LONG',
    default: 1000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Longest delay in ms before connecting to a broker again.',
  },
  'socket.connection.setup.timeout.ms': {
    type: 'LONG',
    default: 10000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'First limit in ms for setting up a connection.',
  },
  'socket.connection.setup.timeout.max.ms': {
    type: 'LONG',
    default: 30000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Longest limit in ms for setting up a connection.',
  },
  'retry.backoff.ms': {
    type: 'LONG',
    default: 100,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'First delay in ms before a request to Kafka is repeated.',
  },
  'retry.backoff.max.ms': {
    type: 'LONG',
    default: 1000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Longest delay in ms before a request to Kafka is repeated.',
  },
  'request.timeout.ms': {
    type: 'INT',
    default: 40000,
    valid: atLeast(0),
    importance: 'MEDIUM',
    doc: 'Time in ms to wait for an answer from Kafka.',
  },
  'connections.max.idle.ms': {
    type: 'LONG',
    default: 540000,
    importance: 'LOW',
    doc: 'Time in ms after which an idle connection is closed.',
  },
  'security.protocol': {
    type: 'STRING',
    default: 'PLAINTEXT',
    valid: oneOfIgnoringCase('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'),
    importance: 'MEDIUM',
    doc: 'How the worker talks to the brokers; `ssl.*` and `sasl.*` as in the Java clients.',
  },
  'metadata.recovery.strategy': {
    type: 'STRING',
    default: 'rebootstrap',
    valid: oneOfIgnoringCase('none', 'rebootstrap'),
    importance: 'LOW',
    doc: 'What to do when none of the known brokers can be reached.',
  },
  'metadata.recovery.rebootstrap.trigger.ms': {
    type: 'LONG',
    default: 300000,
    valid: atLeast(0),
    importance: 'LOW',
    doc: 'Time in ms without metadata after which the bootstrap servers are asked again.',
  },
} as const satisfies ConfigKeys

const signing = {
  'inter.worker.key.ttl.ms': {
    type: 'INT',
    default: 3600000,
    valid: between(0, 2147483647),
    importance: 'LOW',
    doc: 'Life in ms of the key that signs internal requests; 0: for ever.',
  },
  'inter.worker.key.generation.algorithm': {
    type: 'STRING',
    default: 'HmacSHA256',
    importance: 'LOW',
    doc: 'Algorithm of the session key.',
  },
  'inter.worker.key.size': {
    type: 'INT',
    default: null,
    importance: 'LOW',
    doc: 'Size of the session key in bits; null: default of the algorithm.',
  },
  'inter.worker.signature.algorithm': {
    type: 'STRING',
    default: 'HmacSHA256',
    importance: 'LOW',
    doc: 'Algorithm that signs internal requests.',
  },
  'inter.worker.verification.algorithms': {
    type: 'LIST',
    default: ['HmacSHA256'],
    importance: 'LOW',
    doc: 'Algorithms accepted on internal requests; holds the one that signs.',
  },
} as const satisfies ConfigKeys

const distributedKeys = { ...commonKeys, ...group, ...storage, ...clients, ...signing } as const

function signingProblems(config: {
  readonly 'inter.worker.signature.algorithm': string
  readonly 'inter.worker.verification.algorithms': readonly string[]
}): ConfigProblem[] {
  const signature = config['inter.worker.signature.algorithm']
  if (config['inter.worker.verification.algorithms'].includes(signature)) return []
  const option = 'inter.worker.verification.algorithms'
  return [{ option, message: `Signature algorithm ${signature} must be present in ${option} list` }]
}

export const distributedOptions = defineConfig(distributedKeys, { validate: signingProblems })

export const standaloneOptions = defineConfig({
  ...commonKeys,
  'offset.storage.file.filename': {
    type: 'STRING',
    importance: 'HIGH',
    doc: 'File that holds the offsets of source connectors.',
  },
})
