import {
  atLeast,
  type ConfigKeys,
  nonEmptyString,
  oneOf,
  oneOfIgnoringCase,
  type Validator,
} from '../../../worker/api/config.ts'
import { namingStrategyOf } from '../names.ts'
import { patternProblem } from '../pattern-list.ts'

const prefix: Validator = {
  description: 'letters, digits, `_`, `.`, `-`',
  check: (_, value) =>
    value === null || /^[a-zA-Z0-9_.-]+$/.test(String(value))
      ? null
      : 'must consist of letters, digits, `_`, `.` and `-`',
}

const strategy: Validator = {
  description: "a class of Debezium's topic naming strategies",
  check: (_, value) =>
    namingStrategyOf(String(value)) === null
      ? 'is no topic naming strategy of Debezium; custom ones cannot be loaded'
      : null,
}

const expression: Validator = {
  description: 'regular expression',
  check: (_, value) => (value === null ? null : patternProblem(String(value))),
}

const snapshot = 'Snapshot'

export const snapshotOptions = {
  'snapshot.mode': {
    type: 'STRING',
    default: 'initial',
    importance: 'MEDIUM',
    group: snapshot,
    valid: oneOf('always', 'initial', 'initial_only', 'no_data', 'when_needed', 'configuration_based', 'custom'),
    doc: 'When the tables are read as a whole: without an offset (`initial`; `initial_only` then stops), at every start, never (`no_data`), or also when the slot has lost the position.',
  },
  'snapshot.isolation.mode': {
    type: 'STRING',
    default: 'serializable',
    importance: 'LOW',
    group: snapshot,
    valid: oneOf('serializable', 'repeatable_read', 'read_committed', 'read_uncommitted'),
    doc: 'Isolation of a snapshot that reads under no exported one.',
  },
  'snapshot.locking.mode': {
    type: 'STRING',
    default: 'none',
    importance: 'LOW',
    group: snapshot,
    valid: oneOf('none', 'shared', 'custom'),
    doc: '`shared` holds off DDL on the tables while the snapshot runs.',
  },
  'snapshot.lock.timeout.ms': {
    type: 'LONG',
    default: 10_000,
    importance: 'MEDIUM',
    group: snapshot,
    valid: atLeast(0),
    doc: 'Time to wait for these locks in ms.',
  },
  'snapshot.query.mode': {
    type: 'STRING',
    default: 'select_all',
    importance: 'LOW',
    group: snapshot,
    valid: oneOf('select_all', 'custom'),
    doc: 'How the statements that read tables are made.',
  },
  'snapshot.fetch.size': {
    type: 'INT',
    default: 10_240,
    importance: 'MEDIUM',
    group: snapshot,
    valid: atLeast(1),
    doc: 'Has no effect: COPY streams the rows.',
  },
  'snapshot.delay.ms': {
    type: 'LONG',
    default: 0,
    importance: 'LOW',
    group: snapshot,
    valid: atLeast(0),
    doc: 'Time to wait before the snapshot in ms.',
  },
  'streaming.delay.ms': {
    type: 'LONG',
    default: 0,
    importance: 'LOW',
    group: snapshot,
    valid: atLeast(0),
    doc: 'Time to wait between snapshot and stream in ms.',
  },
  'snapshot.max.threads': {
    type: 'INT',
    default: 1,
    importance: 'MEDIUM',
    group: snapshot,
    valid: atLeast(1),
    doc: 'Connections that read the snapshot at the same time, a table each; all of them see one state of the database.',
  },
  'snapshot.select.statement.overrides': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: snapshot,
    doc: 'Tables (`schema.table`, comma-separated) read by the statement in `snapshot.select.statement.overrides.<schema.table>`.',
  },
  'snapshot.tables.order.by.row.count': {
    type: 'STRING',
    default: 'disabled',
    importance: 'LOW',
    group: snapshot,
    valid: oneOf('disabled', 'ascending', 'descending'),
    doc: 'Order of the tables by their estimated size.',
  },
  'incremental.snapshot.chunk.size': {
    type: 'INT',
    default: 1024,
    importance: 'MEDIUM',
    group: snapshot,
    valid: atLeast(1),
    doc: 'Rows per chunk of an incremental snapshot.',
  },
  'incremental.snapshot.watermarking.strategy': {
    type: 'STRING',
    default: 'INSERT_INSERT',
    importance: 'LOW',
    group: snapshot,
    valid: oneOfIgnoringCase('INSERT_INSERT', 'INSERT_DELETE'),
    doc: 'How chunks of an incremental snapshot are bracketed in the signal table: by two rows, or by one that is deleted.',
  },
} as const satisfies ConfigKeys

const topics = 'Topics'

export const topicOptions = {
  'topic.prefix': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group: topics,
    valid: prefix,
    doc: 'First part of all topic names and identity of the source in offsets. Required.',
  },
  'topic.naming.strategy': {
    type: 'CLASS',
    default: 'io.debezium.schema.SchemaTopicNamingStrategy',
    importance: 'MEDIUM',
    group: topics,
    valid: strategy,
    doc: 'How topics are named: `<prefix>.<schema>.<table>` (Schema…), `<prefix>.<table>` (Default…), that replaced by topic.regex (DefaultRegex…), or with other characters coded as _uXXXX (…Unicode…).',
  },
  'topic.regex': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: topics,
    valid: expression,
    doc: 'For DefaultRegexTopicNamingStrategy: regular expression that a whole topic name must match to be replaced.',
  },
  'topic.replacement': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: topics,
    doc: 'For DefaultRegexTopicNamingStrategy: the replacement; $1 stands for the first group.',
  },
  'topic.key.enforce.uniqueness': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: topics,
    doc: 'For DefaultRegexTopicNamingStrategy: adds a field to keys that tells tables of one topic apart.',
  },
  'topic.key.field.name': {
    type: 'STRING',
    default: '__dbz__physicalTableIdentifier',
    importance: 'LOW',
    group: topics,
    doc: 'Name of that field.',
  },
  'topic.key.field.regex': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: topics,
    valid: expression,
    doc: 'Regular expression by which the value of that field is made of the topic `<prefix>.<table>`; unset: that topic.',
  },
  'topic.key.field.replacement': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: topics,
    doc: 'The replacement; $1 stands for the first group.',
  },
  'topic.delimiter': {
    type: 'STRING',
    default: '.',
    importance: 'LOW',
    group: topics,
    valid: nonEmptyString,
    doc: 'Between the parts of topic names.',
  },
  'topic.heartbeat.prefix': {
    type: 'STRING',
    default: '__debezium-heartbeat',
    importance: 'LOW',
    group: topics,
    alternatives: ['heartbeat.topics.prefix'],
    doc: 'First part of the heartbeat topic.',
  },
  'topic.heartbeat.name': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: topics,
    doc: 'Whole name of the heartbeat topic.',
  },
  'topic.transaction': {
    type: 'STRING',
    default: 'transaction',
    importance: 'LOW',
    group: topics,
    doc: 'Last part of the topic for transaction metadata.',
  },
  'topic.cache.size': {
    type: 'INT',
    default: 10_000,
    importance: 'LOW',
    group: topics,
    doc: 'Has no effect: names are computed once per table.',
  },
} as const satisfies ConfigKeys

const engine = 'Engine'

export const engineOptions = {
  'heartbeat.interval.ms': {
    type: 'INT',
    default: 0,
    importance: 'MEDIUM',
    group: engine,
    valid: atLeast(0),
    doc: 'Time between heartbeats in ms, which also let the slot advance while captured tables are idle; 0 is off.',
  },
  'heartbeat.action.query': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: engine,
    doc: 'SQL run before each heartbeat.',
  },
  'max.batch.size': {
    type: 'INT',
    default: 2048,
    importance: 'MEDIUM',
    group: engine,
    valid: atLeast(1),
    doc: 'Records of one batch.',
  },
  'max.queue.size': {
    type: 'INT',
    default: 8192,
    importance: 'MEDIUM',
    group: engine,
    valid: atLeast(1),
    doc: 'Messages that wait to be decoded; more stop the reading. Greater than max.batch.size.',
  },
  'max.queue.size.in.bytes': {
    type: 'LONG',
    default: 0,
    importance: 'LOW',
    group: engine,
    valid: atLeast(0),
    doc: 'Bytes that wait to be decoded; 0 is 1 MiB.',
  },
  'poll.interval.ms': {
    type: 'LONG',
    default: 500,
    importance: 'MEDIUM',
    group: engine,
    valid: atLeast(1),
    doc: 'Longest wait of an idle poll in ms before it looks after heartbeats.',
  },
  'errors.max.retries': {
    type: 'INT',
    default: -1,
    importance: 'MEDIUM',
    group: engine,
    valid: atLeast(-1),
    doc: 'Restarts of the stream after a lost connection, without a batch in between; -1 is unlimited.',
  },
  'retriable.restart.connector.wait.ms': {
    type: 'LONG',
    default: 10_000,
    importance: 'LOW',
    group: engine,
    valid: atLeast(0),
    doc: 'Time before such a restart in ms.',
  },
  'guardrail.collections.max': {
    type: 'INT',
    default: 0,
    importance: 'LOW',
    group: engine,
    valid: atLeast(0),
    doc: 'Captured tables above which guardrail.collections.limit.action applies; 0 is no limit.',
  },
  'guardrail.collections.limit.action': {
    type: 'STRING',
    default: 'warn',
    importance: 'LOW',
    group: engine,
    valid: oneOf('warn', 'fail'),
    doc: 'What to do above guardrail.collections.max.',
  },
  'signal.enabled.channels': {
    type: 'STRING',
    default: 'source',
    importance: 'LOW',
    group: engine,
    doc: 'Where signals come from: `source` (rows of signal.data.collection), `kafka`, `file`, `notify` (PostgreSQL NOTIFY; `jmx` means it, too); comma-separated.',
  },
  'signal.file': {
    type: 'STRING',
    default: 'file-signals.txt',
    importance: 'LOW',
    group: engine,
    doc: 'File of the channel `file`: one JSON object per line. It is emptied when it has been read.',
  },
  'signal.poll.interval.ms': {
    type: 'LONG',
    default: 5000,
    importance: 'LOW',
    group: engine,
    valid: atLeast(1),
    doc: 'Time between looks at that file, and longest wait for records of that topic, in ms.',
  },
  'signal.kafka.topic': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: engine,
    doc: 'Topic of the channel `kafka`, whose partition 0 is read: records with the key `topic.prefix` and `{"id","type","data"}` as value. Default: `<topic.prefix>-signal`.',
  },
  'signal.kafka.bootstrap.servers': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: engine,
    doc: 'Brokers of that topic. Required by the channel `kafka`; further properties of the consumer as `signal.consumer.*`.',
  },
  'signal.kafka.groupId': {
    type: 'STRING',
    default: 'kafka-signal',
    importance: 'LOW',
    group: engine,
    valid: nonEmptyString,
    doc: 'Group that keeps the position in that topic, where no source offset does. One per connector: two that share it skip signals.',
  },
  'signal.kafka.poll.timeout.ms': {
    type: 'INT',
    default: 0,
    importance: 'LOW',
    group: engine,
    valid: atLeast(0),
    doc: 'Has no effect: records are read as soon as they are there.',
  },
  'signal.notify.channel': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: engine,
    doc: 'Name for the channel `notify`: NOTIFY "<name>", \'{"id":"1","type":"log","data":{"message":"hello"}}\'. Default: `<topic.prefix>-signal`.',
  },
  'notification.enabled.channels': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: engine,
    doc: 'Where notifications go: `sink` (notification.sink.topic.name), `log` (`jmx` means it, too); comma-separated.',
  },
  'notification.sink.topic.name': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: engine,
    doc: 'Topic of notifications.',
  },
} as const satisfies ConfigKeys
