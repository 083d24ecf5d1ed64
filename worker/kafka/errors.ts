/**
 * Broker and client failures as our errors. Decided by the numeric error code of the protocol, never by text; what is
 * not in the table is fatal.
 *
 * @see https://kafka.apache.org/protocol.html#protocol_error_codes
 */
import {
  ConnectError,
  DataError,
  defineErrorCodes,
  type ErrorCode,
  type ErrorContext,
  FencedError,
  RequestError,
  RetriableError,
} from '../api/errors.ts'

export const kafkaErrorCodes = defineErrorCodes({
  CONNECT_KAFKA_UNREACHABLE: {
    meaning: 'No connection to a Kafka broker, or it was lost while a request was under way.',
    remedy: 'Check bootstrap.servers, the network, and that the advertised listeners are reachable from here.',
  },
  CONNECT_KAFKA_TIMEOUT: {
    meaning: 'A broker did not answer in time, or an operation did not finish before its deadline.',
    remedy: 'Check the load of the brokers; raise request.timeout.ms, default.api.timeout.ms or delivery.timeout.ms.',
  },
  CONNECT_KAFKA_ABORTED: {
    meaning: 'The caller gave up the operation.',
    remedy: 'None; it happens when a task or the worker stops.',
  },
  CONNECT_KAFKA_UNKNOWN_TOPIC: {
    meaning: 'The topic or partition does not exist (or not yet).',
    remedy: 'Create the topic, or let topic.creation.* or auto.create.topics.enable of the broker create it.',
  },
  CONNECT_KAFKA_UNAVAILABLE: {
    meaning: 'The broker cannot serve the request at the moment (leader election, loading, too few in-sync replicas).',
    remedy: 'Usually passes by itself; otherwise check the brokers and min.insync.replicas.',
  },
  CONNECT_KAFKA_COORDINATOR: {
    meaning: 'The coordinator of a group or of a transactional id is loading, moving or not available.',
    remedy: 'Usually passes by itself; otherwise check the topics __consumer_offsets and __transaction_state.',
  },
  CONNECT_KAFKA_REBALANCE: {
    meaning: 'The group is rebalancing.',
    remedy: 'None; the member joins again.',
  },
  CONNECT_KAFKA_GENERATION: {
    meaning: 'This member is no longer of the current generation of its group: its partitions may belong to another.',
    remedy: 'If it repeats, raise session.timeout.ms or max.poll.interval.ms, or lower max.poll.records.',
  },
  CONNECT_KAFKA_PRODUCER_FENCED: {
    meaning: 'A newer producer with the same transactional id exists.',
    remedy: 'None when a task was moved; otherwise look for a second cluster with the same group.id.',
  },
  CONNECT_KAFKA_PRODUCER_EPOCH: {
    meaning: 'The epoch of this producer is no longer valid: it was fenced, or its transaction timed out.',
    remedy: 'Raise transaction.timeout.ms or commit more often; see also CONNECT_KAFKA_PRODUCER_FENCED.',
  },
  CONNECT_KAFKA_TRANSACTION: {
    meaning: 'The transaction cannot be committed; it must be aborted.',
    remedy: 'See the cause; the next transaction starts afresh.',
  },
  CONNECT_KAFKA_TRANSACTION_STATE: {
    meaning: 'A transactional call came in a state that does not allow it.',
    remedy: 'This is a defect of the caller; report it with the trace.',
  },
  CONNECT_KAFKA_AUTHENTICATION: {
    meaning: 'The broker refused the credentials or the mechanism, or the TLS handshake failed.',
    remedy: 'Check security.protocol, sasl.mechanism, sasl.jaas.config and the ssl.* options.',
  },
  CONNECT_KAFKA_AUTHORIZATION: {
    meaning: 'The principal lacks a permission (ACL) on the named resource.',
    remedy: 'Grant the operation on the topic, group, cluster or transactional id to this principal.',
  },
  CONNECT_KAFKA_IDEMPOTENCE_REFUSED: {
    meaning: 'The cluster does not let this principal use an idempotent producer.',
    remedy:
      'Grant IDEMPOTENT_WRITE on the cluster (brokers before 2.8) or WRITE on the topic, or set enable.idempotence=false.',
  },
  CONNECT_KAFKA_RECORD_TOO_LARGE: {
    meaning: 'A record is larger than the producer or the topic allows.',
    remedy: 'Raise max.request.size of the producer and max.message.bytes of the topic, or make the record smaller.',
  },
  CONNECT_KAFKA_RECORD_REFUSED: {
    meaning: 'The broker refused a record (invalid timestamp, missing key on a compacted topic, failed validation).',
    remedy: 'Give records of compacted topics a key; check message.timestamp.* of the topic.',
  },
  CONNECT_KAFKA_SEQUENCE: {
    meaning: 'The broker lost or never got records that precede this batch; they may be missing in the partition.',
    remedy: 'The task restarts from its last committed offset; check the brokers for unclean leader elections.',
  },
  CONNECT_KAFKA_CORRUPT: {
    meaning: 'Bytes from a broker or a topic do not follow the protocol (checksum, length or magic).',
    remedy: 'Check the disks and the network of the named broker; skip the batch by an offset change if it stays.',
  },
  CONNECT_KAFKA_CODEC: {
    meaning: 'The package for a compression codec is not installed, or the data cannot be decompressed.',
    remedy: 'Install it beside sluice: npm install snappy, or npm install lz4-napi.',
  },
  CONNECT_KAFKA_CONFIG: {
    meaning: 'A Kafka client property has a value that this client cannot use.',
    remedy: 'Correct the property named in the message.',
  },
  CONNECT_KAFKA_VERSION: {
    meaning: 'The broker does not speak a version of the request that this client knows.',
    remedy: 'Use brokers of Kafka 2.1 or newer.',
  },
  CONNECT_KAFKA_OFFSET_RESET: {
    meaning: 'There is no valid position in the partition and auto.offset.reset is "none".',
    remedy: 'Commit an offset for the group, or set auto.offset.reset to earliest or latest.',
  },
  CONNECT_KAFKA_GROUP_ACTIVE: {
    meaning: 'Offsets of a group cannot be changed while it has members.',
    remedy: 'Stop the connector (PUT …/stop) and wait until its consumers have left.',
  },
  CONNECT_KAFKA_CLOSED: {
    meaning: 'The client was used after it was closed.',
    remedy: 'This is a defect of the caller; report it with the trace.',
  },
  CONNECT_KAFKA_BROKER: {
    meaning: 'A broker refused a request for another reason.',
    remedy: 'See the protocol error named in the message.',
  },
})

export type KafkaErrorCode = Extract<keyof typeof kafkaErrorCodes, ErrorCode>

type Refusal =
  | 'retriable'
  | 'unknown-topic'
  | 'coordinator'
  | 'rebalance'
  | 'generation'
  | 'fenced'
  | 'epoch'
  | 'authentication'
  | 'authorization'
  | 'too-large'
  | 'refused'
  | 'corrupt'
  | 'version'
  | 'timeout'
  | 'fatal'

/** Name and treatment per protocol error code; the reason stands where it is not plain from the name. */
const BROKER_ERRORS: ReadonlyMap<number, readonly [name: string, refusal: Refusal]> = new Map([
  [-1, ['UNKNOWN_SERVER_ERROR', 'fatal']],
  [1, ['OFFSET_OUT_OF_RANGE', 'fatal']],
  // The batch was damaged on its way; the sender still has the right bytes.
  [2, ['CORRUPT_MESSAGE', 'retriable']],
  [3, ['UNKNOWN_TOPIC_OR_PARTITION', 'unknown-topic']],
  [5, ['LEADER_NOT_AVAILABLE', 'retriable']],
  [6, ['NOT_LEADER_OR_FOLLOWER', 'retriable']],
  [7, ['REQUEST_TIMED_OUT', 'timeout']],
  [8, ['BROKER_NOT_AVAILABLE', 'retriable']],
  [9, ['REPLICA_NOT_AVAILABLE', 'retriable']],
  [10, ['MESSAGE_TOO_LARGE', 'too-large']],
  [12, ['OFFSET_METADATA_TOO_LARGE', 'fatal']],
  [13, ['NETWORK_EXCEPTION', 'retriable']],
  [14, ['COORDINATOR_LOAD_IN_PROGRESS', 'coordinator']],
  [15, ['COORDINATOR_NOT_AVAILABLE', 'coordinator']],
  [16, ['NOT_COORDINATOR', 'coordinator']],
  [17, ['INVALID_TOPIC_EXCEPTION', 'fatal']],
  [18, ['RECORD_LIST_TOO_LARGE', 'too-large']],
  [19, ['NOT_ENOUGH_REPLICAS', 'retriable']],
  [20, ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'retriable']],
  [21, ['INVALID_REQUIRED_ACKS', 'fatal']],
  [22, ['ILLEGAL_GENERATION', 'generation']],
  [23, ['INCONSISTENT_GROUP_PROTOCOL', 'fatal']],
  [24, ['INVALID_GROUP_ID', 'fatal']],
  [25, ['UNKNOWN_MEMBER_ID', 'generation']],
  [26, ['INVALID_SESSION_TIMEOUT', 'fatal']],
  [27, ['REBALANCE_IN_PROGRESS', 'rebalance']],
  [29, ['TOPIC_AUTHORIZATION_FAILED', 'authorization']],
  [30, ['GROUP_AUTHORIZATION_FAILED', 'authorization']],
  [31, ['CLUSTER_AUTHORIZATION_FAILED', 'authorization']],
  [32, ['INVALID_TIMESTAMP', 'refused']],
  [33, ['UNSUPPORTED_SASL_MECHANISM', 'authentication']],
  [34, ['ILLEGAL_SASL_STATE', 'authentication']],
  [35, ['UNSUPPORTED_VERSION', 'version']],
  [36, ['TOPIC_ALREADY_EXISTS', 'fatal']],
  [37, ['INVALID_PARTITIONS', 'fatal']],
  // Fewer brokers are registered than wanted: passes while a cluster starts (Connect retries it on topic creation).
  [38, ['INVALID_REPLICATION_FACTOR', 'retriable']],
  [39, ['INVALID_REPLICA_ASSIGNMENT', 'fatal']],
  [40, ['INVALID_CONFIG', 'fatal']],
  [41, ['NOT_CONTROLLER', 'retriable']],
  [42, ['INVALID_REQUEST', 'fatal']],
  [43, ['UNSUPPORTED_FOR_MESSAGE_FORMAT', 'fatal']],
  [44, ['POLICY_VIOLATION', 'fatal']],
  [45, ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'fatal']],
  [46, ['DUPLICATE_SEQUENCE_NUMBER', 'fatal']],
  [47, ['INVALID_PRODUCER_EPOCH', 'epoch']],
  [48, ['INVALID_TXN_STATE', 'fatal']],
  [49, ['INVALID_PRODUCER_ID_MAPPING', 'fatal']],
  [50, ['INVALID_TRANSACTION_TIMEOUT', 'fatal']],
  [51, ['CONCURRENT_TRANSACTIONS', 'coordinator']],
  [52, ['TRANSACTION_COORDINATOR_FENCED', 'fatal']],
  [53, ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'authorization']],
  [54, ['SECURITY_DISABLED', 'fatal']],
  [55, ['OPERATION_NOT_ATTEMPTED', 'fatal']],
  [56, ['KAFKA_STORAGE_ERROR', 'retriable']],
  [58, ['SASL_AUTHENTICATION_FAILED', 'authentication']],
  [59, ['UNKNOWN_PRODUCER_ID', 'fatal']],
  [68, ['NON_EMPTY_GROUP', 'fatal']],
  [69, ['GROUP_ID_NOT_FOUND', 'fatal']],
  [72, ['LISTENER_NOT_FOUND', 'retriable']],
  [73, ['TOPIC_DELETION_DISABLED', 'fatal']],
  [74, ['FENCED_LEADER_EPOCH', 'retriable']],
  [75, ['UNKNOWN_LEADER_EPOCH', 'retriable']],
  [76, ['UNSUPPORTED_COMPRESSION_TYPE', 'fatal']],
  [78, ['OFFSET_NOT_AVAILABLE', 'retriable']],
  [79, ['MEMBER_ID_REQUIRED', 'generation']],
  [81, ['GROUP_MAX_SIZE_REACHED', 'fatal']],
  [82, ['FENCED_INSTANCE_ID', 'generation']],
  [86, ['GROUP_SUBSCRIBED_TO_TOPIC', 'fatal']],
  [87, ['INVALID_RECORD', 'refused']],
  [88, ['UNSTABLE_OFFSET_COMMIT', 'coordinator']],
  [89, ['THROTTLING_QUOTA_EXCEEDED', 'retriable']],
  [90, ['PRODUCER_FENCED', 'fenced']],
  [91, ['RESOURCE_NOT_FOUND', 'fatal']],
  [100, ['UNKNOWN_TOPIC_ID', 'unknown-topic']],
  [103, ['INCONSISTENT_TOPIC_ID', 'unknown-topic']],
  [106, ['OFFSET_MOVED_TO_TIERED_STORAGE', 'fatal']],
  [110, ['FENCED_MEMBER_EPOCH', 'generation']],
  [113, ['STALE_MEMBER_EPOCH', 'generation']],
  [120, ['TRANSACTION_ABORTABLE', 'fatal']],
] satisfies readonly [number, [string, Refusal]][])

/** Codes that other modules decide by. */
export const BrokerCode = {
  none: 0,
  offsetOutOfRange: 1,
  unknownTopic: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  messageTooLarge: 10,
  notCoordinator: 16,
  recordListTooLarge: 18,
  unknownMember: 25,
  rebalanceInProgress: 27,
  clusterAuthorization: 31,
  topicExists: 36,
  notController: 41,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidEpoch: 47,
  invalidProducerIdMapping: 49,
  concurrentTransactions: 51,
  transactionalIdAuthorization: 53,
  unknownProducerId: 59,
  nonEmptyGroup: 68,
  groupNotFound: 69,
  fencedLeaderEpoch: 74,
  memberIdRequired: 79,
  groupSubscribed: 86,
  producerFenced: 90,
  transactionAbortable: 120,
} as const

/** Whether the broker means "ask another broker": metadata or coordinator must be looked up again. */
export function isStale(code: number): boolean {
  switch (code) {
    case 3:
    case 5:
    case 6:
    case 8:
    case 9:
    case 41:
    case 56:
    case 72:
    case 74:
    case 75:
    case 100:
    case 103:
      return true
    default:
      return false
  }
}

/**
 * The error of one broker answer.
 * @param attempt what was attempted, in the form "commit offsets of group g"
 * @param detail the broker's own message, where the protocol carries one
 */
export function brokerError(
  code: number,
  attempt: string,
  context: ErrorContext = {},
  detail?: string | null,
): ConnectError {
  const [name, refusal] = BROKER_ERRORS.get(code) ?? [`error ${code}`, 'fatal' as const]
  const options = { context: { ...context, brokerCode: code, brokerError: name } }
  const text = `Could not ${attempt}: ${name}${detail ? ` (${detail})` : ''}`
  switch (refusal) {
    case 'retriable':
      return new RetriableError('CONNECT_KAFKA_UNAVAILABLE', text, options)
    case 'timeout':
      return new RetriableError('CONNECT_KAFKA_TIMEOUT', text, options)
    case 'unknown-topic':
      return new RetriableError('CONNECT_KAFKA_UNKNOWN_TOPIC', text, options)
    case 'coordinator':
      return new RetriableError('CONNECT_KAFKA_COORDINATOR', text, options)
    case 'rebalance':
      return new RetriableError('CONNECT_KAFKA_REBALANCE', text, options)
    case 'generation':
      return new FencedError('CONNECT_KAFKA_GENERATION', text, options)
    case 'fenced':
      return new FencedError('CONNECT_KAFKA_PRODUCER_FENCED', text, options)
    case 'epoch':
      return new FencedError('CONNECT_KAFKA_PRODUCER_EPOCH', text, options)
    case 'authentication':
      return new ConnectError(
        'fatal',
        'CONNECT_KAFKA_AUTHENTICATION',
        remedied(text, 'CONNECT_KAFKA_AUTHENTICATION'),
        options,
      )
    case 'authorization':
      return new ConnectError(
        'fatal',
        'CONNECT_KAFKA_AUTHORIZATION',
        remedied(text, 'CONNECT_KAFKA_AUTHORIZATION'),
        options,
      )
    case 'too-large':
      return new DataError('CONNECT_KAFKA_RECORD_TOO_LARGE', remedied(text, 'CONNECT_KAFKA_RECORD_TOO_LARGE'), options)
    case 'refused':
      return new DataError('CONNECT_KAFKA_RECORD_REFUSED', remedied(text, 'CONNECT_KAFKA_RECORD_REFUSED'), options)
    case 'corrupt':
      return new ConnectError('fatal', 'CONNECT_KAFKA_CORRUPT', text, options)
    case 'version':
      return new ConnectError('fatal', 'CONNECT_KAFKA_VERSION', remedied(text, 'CONNECT_KAFKA_VERSION'), options)
    case 'fatal':
      return code === BrokerCode.nonEmptyGroup || code === BrokerCode.groupSubscribed
        ? new RequestError(409, 'CONNECT_KAFKA_GROUP_ACTIVE', remedied(text, 'CONNECT_KAFKA_GROUP_ACTIVE'), options)
        : new ConnectError('fatal', 'CONNECT_KAFKA_BROKER', text, options)
  }
}

/** Text with the remedy of its code added; the reference and the message cannot drift apart. */
export function remedied(text: string, code: KafkaErrorCode): string {
  return `${text}. ${kafkaErrorCodes[code].remedy}`
}

export function kafkaError(
  code: KafkaErrorCode,
  text: string,
  context: ErrorContext = {},
  cause?: unknown,
): ConnectError {
  return new ConnectError('fatal', code, remedied(text, code), cause === undefined ? { context } : { context, cause })
}

export function corrupt(text: string, context: ErrorContext = {}, cause?: unknown): ConnectError {
  return kafkaError('CONNECT_KAFKA_CORRUPT', text, context, cause)
}

export function abortedError(attempt: string): RetriableError {
  return new RetriableError('CONNECT_KAFKA_ABORTED', `Gave up: ${attempt}`)
}

/** @param cause why the last try failed; its text is part of the message, as few look at causes */
export function timeoutError(attempt: string, timeoutMs: number, cause: Error): RetriableError {
  const message = `Could not ${attempt} within ${timeoutMs} ms: ${cause.message}`
  return new RetriableError('CONNECT_KAFKA_TIMEOUT', message, { cause })
}

/** Protocol error code of an error that came from a broker; null for all others. */
export function brokerCodeOf(error: unknown): number | null {
  if (!(error instanceof ConnectError)) return null
  const code = error.context['brokerCode']
  return typeof code === 'number' ? code : null
}
