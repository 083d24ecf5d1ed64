/** Options of a worker that shares its work with others, beside those that every worker has. */
import {
  atLeast,
  between,
  type ConfigKeys,
  defineConfig,
  oneOf,
  oneOfIgnoringCase,
  type Validator,
} from '../api/config.ts'
import type { ConfigProblem } from '../api/errors.ts'
import { commonKeys } from './worker-options.ts'

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
