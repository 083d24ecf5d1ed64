import { atLeast, type ConfigKeys, oneOfIgnoringCase } from '../../../worker/api/config.ts'

const group = 'Metadata topic'

/** Messages about durable objects; all additions of this sink. */
export const notifyOptions = {
  'notify.topic': {
    type: 'STRING',
    default: '',
    importance: 'HIGH',
    group,
    doc: 'Topic that gets a message for each durable object, before its offsets are committed; empty turns it off. Options of its producer are set with `notify.kafka.`; with `notify.kafka.bootstrap.servers` nothing is taken over from the worker. Addition of this sink.',
  },
  'notify.granularity': {
    type: 'STRING',
    default: 'file',
    importance: 'LOW',
    group,
    valid: oneOfIgnoringCase('file', 'commit'),
    doc: '`file`: one message per object; `commit`: one per commit and group with all its objects.',
  },
  'notify.key': {
    type: 'STRING',
    default: 'group',
    importance: 'MEDIUM',
    group,
    valid: oneOfIgnoringCase('group', 'topic-partition', 'object'),
    doc: 'Key of the messages: event key (topic where there is none), topic and partition, or object key.',
  },
  'notify.group.from': {
    type: 'STRING',
    default: 'partition',
    importance: 'MEDIUM',
    group,
    doc: 'Event key: `partition` (value of the first `name=value` directory, `partition:<name>` of a named one), `key` (with KeyPartitioner), `header:<name>` (with HeaderPartitioner) or `topic`.',
  },
  'notify.timeout.ms': {
    type: 'LONG',
    default: 120_000,
    importance: 'LOW',
    group,
    valid: atLeast(1),
    doc: 'Longest wait in ms for the messages to be acknowledged, per attempt.',
  },
  'notify.include.schema': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group,
    doc: 'Adds the columns to the message: of the value schema, or found in the rows of JSON objects without one.',
  },
  'notify.content.hash': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group,
    doc: 'Adds a fingerprint of the rows (`content_hash`), by which files can be compared without reading them; costs 2–4 µs of CPU per record of 1 kB.',
  },
  'notify.topic.partitions': {
    type: 'INT',
    default: -1,
    importance: 'LOW',
    group,
    doc: 'Partitions when the topic is created; -1 is the default of the broker.',
  },
  'notify.topic.replication.factor': {
    type: 'INT',
    default: -1,
    importance: 'LOW',
    group,
    doc: 'Replication factor when the topic is created; -1 is the default of the broker.',
  },
} as const satisfies ConfigKeys
