import { atLeast, type ConfigKeys, type Validator } from '../../../worker/api/config.ts'
import { patternProblem } from '../pattern-list.ts'

const group = 'Compatibility'

const only = (name: string): Validator => ({
  description: name,
  check: (_, value) =>
    value === null || value === name ? null : `classes of the JVM cannot be loaded; leave it out, or give ${name}`,
})

const unused = (reason: string) =>
  ({ type: 'STRING', default: null, importance: 'LOW', group, doc: `Has no effect: ${reason}` }) as const

/** Debezium's options for its own inside, and for what is done another way here. */
export const compatibilityOptions = {
  'internal.custom.retriable.exception': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group,
    valid: {
      description: 'regular expression',
      check: (_: string, value: unknown) => (value === null ? null : patternProblem(String(value))),
    },
    doc: 'Regular expression for messages of errors (whole message, of the error or of a cause) that are tried again although they would be final.',
  },
  'internal.create.slot.command.timeout': {
    type: 'LONG',
    default: 90_000,
    importance: 'LOW',
    group,
    valid: atLeast(0),
    doc: 'Time limit in ms for creating the slot, and for creating or changing the publication; 0 is none.',
  },
  'legacy.snapshot.max.threads': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group,
    alternatives: ['internal.legacy.snapshot.max.threads'],
    doc: 'Each connection of snapshot.max.threads reads whole tables, instead of sharing large ones.',
  },
  'sourceinfo.struct.maker': {
    type: 'CLASS',
    default: null,
    importance: 'LOW',
    group,
    valid: only('io.debezium.connector.postgresql.PostgresSourceInfoStructMaker'),
    doc: 'Has no effect: the source block has the form that this class, the default, gives it; others are refused.',
  },
  'transaction.metadata.factory': {
    type: 'CLASS',
    default: null,
    importance: 'LOW',
    group,
    valid: only('io.debezium.pipeline.txmetadata.DefaultTransactionMetadataFactory'),
    doc: 'Has no effect: transaction metadata has the form that this class, the default, gives it; others are refused.',
  },
  'database.connection.factory.class': unused('a class of the JVM.'),
  'queue.provider.type': {
    type: 'STRING',
    default: 'memory',
    importance: 'LOW',
    group,
    valid: only('memory'),
    doc: 'Has no effect: the queue is in memory.',
  },
  'poll.dispatch.interval.ms': unused('records are handed over as they are decoded.'),
  'executor.shutdown.timeout.ms': unused('nothing runs on in the background that a stop would wait for.'),
  'snapshot.max.threads.multiplier': unused('tables are divided by their pages, into eight ranges per connection.'),
  'incremental.snapshot.allow.schema.changes': unused(
    'as in Debezium for PostgreSQL; a chunk whose table changes is read again.',
  ),
  'signal.emit.failure.max.retries': unused(
    'a marker that cannot be written is a lost connection, tried again as such.',
  ),
  'signal.emit.failure.backoff.ms': unused('see signal.emit.failure.max.retries.'),
  'internal.log.position.check.enable': unused('offset.mismatch.strategy says what a lost position leads to.'),
  'internal.offset.activity.monitor.interval.ms': unused(
    'slot.monitor.interval.ms and slot.wal.budget.bytes watch that offsets move.',
  ),
  'internal.advanced.metrics.enable': unused('the worker has its own metrics.'),
  'statistics.metrics.enabled': unused('the worker has its own metrics.'),
  'custom.metric.tags': unused('metrics have the labels of the worker.'),
  'custom.sanitize.pattern': unused('options of type PASSWORD and config providers keep secrets out of logs.'),
  'openlineage.integration.enabled': unused(
    'OpenLineage is not supported; neither have the other options openlineage.integration.*.',
  ),
} as const satisfies ConfigKeys
