/**
 * Options that every connector has, and those of every sink and every source: names, order, texts as Connect 4.3
 * answers them at `config/validate` (statements 3, 4), so that tools made for Connect show the same forms.
 */
import {
  atLeast,
  type ConfigKeys,
  javaRegex,
  nonEmptyString,
  oneOf,
  oneOfIgnoringCase,
  type Validator,
} from '../api/config.ts'

/** Not empty, no ISO control characters (Connect's texts). */
const connectorName: Validator = {
  description: 'non-empty string without ISO control characters',
  check: (_, value) => {
    if (value === null) return null
    const name = String(value)
    if (name === '') return 'String may not be empty'
    const controls = Array.from(name, (c) => c.charCodeAt(0)).filter(
      (code) => code < 0x20 || (code >= 0x7f && code < 0xa0),
    )
    if (controls.length === 0) return null
    return `String may not contain control sequences but had the following ASCII chars: ${controls.join(', ')}`
  },
}

const uniqueAliases: Validator = {
  description: 'unique aliases',
  check: (_, value) => {
    const aliases = (value ?? []) as readonly string[]
    return new Set(aliases).size < aliases.length ? 'Duplicate alias provided.' : null
  },
}

/** KIP-1161; Connect gives the whole message here. */
const distinctValues: Validator = {
  description: 'distinct values',
  complete: true,
  check: (option, value) => {
    const values = (value ?? []) as readonly string[]
    return new Set(values).size < values.length ? `Configuration '${option}' values must not be duplicated.` : null
  },
}

const atLeastOrNull = (min: number): Validator => {
  const { check, description } = atLeast(min)
  return { description, check: (option, value) => (value === null ? null : check(option, value)) }
}

export const baseKeys = {
  name: {
    type: 'STRING',
    valid: connectorName,
    importance: 'HIGH',
    group: 'Common',
    order: 1,
    width: 'MEDIUM',
    displayName: 'Connector name',
    doc: 'Globally unique name to use for this connector.',
  },
  'connector.class': {
    type: 'STRING',
    importance: 'HIGH',
    group: 'Common',
    order: 2,
    width: 'LONG',
    displayName: 'Connector class',
    doc: 'Name or alias of the class for this connector. Must be a subclass of org.apache.kafka.connect.connector.Connector. If the connector is org.apache.kafka.connect.file.FileStreamSinkConnector, you can either specify this full name,  or use "FileStreamSink" or "FileStreamSinkConnector" to make the configuration a bit shorter',
  },
  'connector.plugin.version': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: 'Common',
    order: 3,
    width: 'MEDIUM',
    displayName: 'Connector version',
    doc: 'Version of the connector.',
  },
  'tasks.max': {
    type: 'INT',
    default: 1,
    valid: atLeast(1),
    importance: 'HIGH',
    group: 'Common',
    order: 4,
    width: 'SHORT',
    displayName: 'Tasks max',
    doc: 'Maximum number of tasks to use for this connector.',
  },
  'tasks.max.enforce': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Common',
    order: 5,
    width: 'SHORT',
    displayName: 'Enforce tasks max',
    doc: '(Deprecated) Whether to enforce that the tasks.max property is respected by the connector. By default, connectors that generate too many tasks will fail, and existing sets of tasks that exceed the tasks.max property will also be failed. If this property is set to false, then connectors will be allowed to generate more than the maximum number of tasks, and existing sets of tasks that exceed the tasks.max property will be allowed to run. This property is deprecated and will be removed in an upcoming major release.',
  },
  'key.converter': {
    type: 'CLASS',
    default: null,
    importance: 'LOW',
    group: 'Common',
    order: 6,
    width: 'SHORT',
    displayName: 'Key converter class',
    doc: 'Converter class used to convert between Kafka Connect format and the serialized form that is written to Kafka. This controls the format of the keys in messages written to or read from Kafka, and since this is independent of connectors it allows any connector to work with any serialization format. Examples of common formats include JSON and Avro.',
  },
  'key.converter.plugin.version': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: 'Common',
    order: 7,
    width: 'SHORT',
    displayName: 'Key converter version',
    doc: 'Version of the key converter.',
  },
  'value.converter': {
    type: 'CLASS',
    default: null,
    importance: 'LOW',
    group: 'Common',
    order: 8,
    width: 'SHORT',
    displayName: 'Value converter class',
    doc: 'Converter class used to convert between Kafka Connect format and the serialized form that is written to Kafka. This controls the format of the values in messages written to or read from Kafka, and since this is independent of connectors it allows any connector to work with any serialization format. Examples of common formats include JSON and Avro.',
  },
  'value.converter.plugin.version': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: 'Common',
    order: 9,
    width: 'SHORT',
    displayName: 'Value converter version',
    doc: 'Version of the value converter.',
  },
  'header.converter': {
    type: 'CLASS',
    default: null,
    importance: 'LOW',
    group: 'Common',
    order: 10,
    width: 'SHORT',
    displayName: 'Header converter class',
    doc: 'HeaderConverter class used to convert between Kafka Connect format and the serialized form that is written to Kafka. This controls the format of the header values in messages written to or read from Kafka, and since this is independent of connectors it allows any connector to work with any serialization format. Examples of common formats include JSON and Avro. By default, the SimpleHeaderConverter is used to serialize header values to strings and deserialize them by inferring the schemas.',
  },
  'header.converter.plugin.version': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: 'Common',
    order: 11,
    width: 'SHORT',
    displayName: 'Header converter version',
    doc: 'Version of the header converter.',
  },
  transforms: {
    type: 'LIST',
    default: [],
    valid: uniqueAliases,
    importance: 'LOW',
    group: 'Transforms',
    order: 12,
    width: 'LONG',
    displayName: 'Transforms',
    doc: 'Aliases for the transformations to be applied to records.',
  },
  predicates: {
    type: 'LIST',
    default: [],
    valid: uniqueAliases,
    importance: 'LOW',
    group: 'Predicates',
    order: 13,
    width: 'LONG',
    displayName: 'Predicates',
    doc: 'Aliases for the predicates used by transformations.',
  },
  'config.action.reload': {
    type: 'STRING',
    default: 'restart',
    valid: oneOf('none', 'restart'),
    importance: 'LOW',
    group: 'Common',
    order: 14,
    width: 'MEDIUM',
    displayName: 'Reload Action',
    doc: "The action that Connect should take on the connector when changes in external configuration providers result in a change in the connector's configuration properties. A value of 'none' indicates that Connect will do nothing. A value of 'restart' indicates that Connect should restart/reload the connector with the updated configuration properties.The restart may actually be scheduled in the future if the external configuration provider indicates that a configuration value will expire in the future.",
  },
  'errors.retry.timeout': {
    type: 'LONG',
    default: 0,
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 1,
    width: 'MEDIUM',
    displayName: 'Retry Timeout for Errors',
    doc: 'The maximum duration in milliseconds that a failed operation will be reattempted. The default is 0, which means no retries will be attempted. Use -1 for infinite retries.',
  },
  'errors.retry.delay.max.ms': {
    type: 'LONG',
    default: 60000,
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 2,
    width: 'MEDIUM',
    displayName: 'Maximum Delay Between Retries for Errors',
    doc: 'The maximum duration in milliseconds between consecutive retry attempts. Jitter will be added to the delay once this limit is reached to prevent thundering herd issues.',
  },
  'errors.tolerance': {
    type: 'STRING',
    default: 'none',
    valid: oneOf('none', 'all'),
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 3,
    width: 'SHORT',
    displayName: 'Error Tolerance',
    doc: "Behavior for tolerating errors during connector operation. 'none' is the default value and signals that any error will result in an immediate connector task failure; 'all' changes the behavior to skip over problematic records.",
  },
  'errors.log.enable': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 4,
    width: 'SHORT',
    displayName: 'Log Errors',
    doc: "If true, write each error and the details of the failed operation and problematic record to the Connect application log. This is 'false' by default, so that only errors that are not tolerated are reported.",
  },
  'errors.log.include.messages': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 5,
    width: 'SHORT',
    displayName: 'Log Error Details',
    doc: "Whether to include in the log the Connect record that resulted in a failure. For sink records, the topic, partition, offset, and timestamp will be logged. For source records, the key and value (and their schemas), all headers, and the timestamp, Kafka topic, Kafka partition, source partition, and source offset will be logged. This is 'false' by default, which will prevent record keys, values, and headers from being written to log files.",
  },
} as const satisfies ConfigKeys

export const sinkKeys = {
  topics: {
    type: 'LIST',
    default: [],
    valid: distinctValues,
    importance: 'HIGH',
    group: 'Common',
    order: 4,
    width: 'LONG',
    displayName: 'Topics',
    doc: 'List of topics to consume, separated by commas',
  },
  'topics.regex': {
    type: 'STRING',
    default: '',
    valid: javaRegex,
    importance: 'HIGH',
    group: 'Common',
    order: 4,
    width: 'LONG',
    displayName: 'Topics regex',
    doc: 'Regular expression giving topics to consume. Under the hood, the regex is compiled to a <code>java.util.regex.Pattern</code>. Only one of topics or topics.regex should be specified.',
  },
  'errors.deadletterqueue.topic.name': {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 6,
    width: 'MEDIUM',
    displayName: 'Dead Letter Queue Topic Name',
    doc: 'The name of the topic to be used as the dead letter queue (DLQ) for messages that result in an error when processed by this sink connector, or its transformations or converters. The topic name is blank by default, which means that no messages are to be recorded in the DLQ.',
  },
  'errors.deadletterqueue.topic.replication.factor': {
    type: 'SHORT',
    default: 3,
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 7,
    width: 'MEDIUM',
    displayName: 'Dead Letter Queue Topic Replication Factor',
    doc: "Replication factor used to create the dead letter queue topic when it doesn't already exist.",
  },
  'errors.deadletterqueue.context.headers.enable': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Error Handling',
    order: 8,
    width: 'MEDIUM',
    displayName: 'Enable Error Context Headers',
    doc: 'If true, add headers containing error context to the messages written to the dead letter queue. To avoid clashing with headers from the original record, all error context header keys, all error context header keys will start with <code>__connect.errors.</code>',
  },
} as const satisfies ConfigKeys

export const sourceKeys = {
  'topic.creation.groups': {
    type: 'LIST',
    default: [],
    valid: uniqueAliases,
    importance: 'LOW',
    group: 'Topic Creation',
    order: 1,
    width: 'LONG',
    displayName: 'Topic Creation Groups',
    doc: 'Groups of configurations for topics created by source connectors',
  },
  'exactly.once.support': {
    type: 'STRING',
    default: 'requested',
    valid: oneOfIgnoringCase('REQUIRED', 'REQUESTED'),
    importance: 'MEDIUM',
    group: 'Exactly Once Support',
    order: 2,
    width: 'SHORT',
    displayName: 'Exactly once support',
    doc: 'Permitted values are requested, required. If set to "required", forces a preflight check for the connector to ensure that it can provide exactly-once semantics with the given configuration. Some connectors may be capable of providing exactly-once semantics but not signal to Connect that they support this; in that case, documentation for the connector should be consulted carefully before creating it, and the value for this property should be set to "requested". Additionally, if the value is set to "required" but the worker that performs preflight validation does not have exactly-once support enabled for source connectors, requests to create or validate the connector will fail.',
  },
  'transaction.boundary': {
    type: 'STRING',
    default: 'poll',
    valid: oneOfIgnoringCase('INTERVAL', 'POLL', 'CONNECTOR'),
    importance: 'MEDIUM',
    group: 'Exactly Once Support',
    order: 3,
    width: 'SHORT',
    displayName: 'Transaction Boundary',
    doc: "Permitted values are: poll, interval, connector. If set to 'poll', a new producer transaction will be started and committed for every batch of records that each task from this connector provides to Connect. If set to 'connector', relies on connector-defined transaction boundaries; note that not all connectors are capable of defining their own transaction boundaries, and in that case, attempts to instantiate a connector with this value will fail. Finally, if set to 'interval', commits transactions only after a user-defined time interval has passed.",
  },
  'transaction.boundary.interval.ms': {
    type: 'LONG',
    default: null,
    valid: atLeastOrNull(0),
    importance: 'LOW',
    group: 'Exactly Once Support',
    order: 4,
    width: 'SHORT',
    displayName: 'Transaction boundary interval',
    doc: "If 'transaction.boundary' is set to 'interval', determines the interval for producer transaction commits by connector tasks. If unset, defaults to the value of the worker-level 'offset.flush.interval.ms' property. It has no effect if a different transaction.boundary is specified.",
  },
  'offsets.storage.topic': {
    type: 'STRING',
    default: null,
    valid: nonEmptyString,
    importance: 'LOW',
    group: 'offsets.topic',
    order: 1,
    width: 'LONG',
    displayName: 'Offsets topic',
    doc: "The name of a separate offsets topic to use for this connector. If empty or not specified, the worker’s global offsets topic name will be used. If specified, the offsets topic will be created if it does not already exist on the Kafka cluster targeted by this connector (which may be different from the one used for the worker's global offsets topic if the bootstrap.servers property of the connector's producer has been overridden from the worker's). Only applicable in distributed mode; in standalone mode, setting this property will have no effect.",
  },
} as const satisfies ConfigKeys
