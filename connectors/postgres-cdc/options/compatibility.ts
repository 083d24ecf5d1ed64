import { atLeast, between, type ConfigKeys, type Validator } from '../../../worker/api/config.ts'
import { patternProblem } from '../pattern-list.ts'

const group = 'Compatibility'

const only = (name: string): Validator => ({
  description: name,
  check: (_, value) =>
    value === null || value === name ? null : `classes of the JVM cannot be loaded; leave it out, or give ${name}`,
})

/** Accepted as Debezium declares it, and without effect here. */
const unused = <const D extends UnusedDefault>(declared: D, reason: string) =>
  ({ importance: 'LOW', group, doc: `Has no effect: ${reason}`, ...declared }) as const

type UnusedDefault =
  | { readonly type: 'STRING'; readonly default: null }
  | { readonly type: 'BOOLEAN'; readonly default: boolean }
  | { readonly type: 'INT' | 'LONG'; readonly default: number }

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
  'database.connection.factory.class': unused({ type: 'STRING', default: null }, 'a class of the JVM.'),
  'queue.provider.type': {
    type: 'STRING',
    default: 'memory',
    importance: 'LOW',
    group,
    valid: only('memory'),
    doc: 'Has no effect: the queue is in memory.',
  },
  'poll.dispatch.interval.ms': unused(
    { type: 'STRING', default: null },
    'records are handed over as they are decoded.',
  ),
  'executor.shutdown.timeout.ms': {
    ...unused({ type: 'LONG', default: 4000 }, 'nothing runs on in the background that a stop would wait for.'),
    valid: atLeast(1),
  },
  'snapshot.max.threads.multiplier': {
    ...unused({ type: 'INT', default: 1 }, 'tables are divided by their pages, into eight ranges per connection.'),
    valid: atLeast(1),
  },
  'incremental.snapshot.allow.schema.changes': unused(
    { type: 'BOOLEAN', default: false },
    'as in Debezium for PostgreSQL; a chunk whose table changes is read again.',
  ),
  'signal.emit.failure.max.retries': {
    ...unused(
      { type: 'INT', default: 0 },
      'a marker that cannot be written is a lost connection, tried again as such.',
    ),
    valid: atLeast(0),
  },
  'signal.emit.failure.backoff.ms': {
    ...unused({ type: 'LONG', default: 10_000 }, 'see signal.emit.failure.max.retries.'),
    valid: between(1, 2_147_483_647),
  },
  'internal.log.position.check.enable': unused(
    { type: 'BOOLEAN', default: true },
    'offset.mismatch.strategy says what a lost position leads to.',
  ),
  'internal.offset.activity.monitor.interval.ms': {
    ...unused(
      { type: 'LONG', default: 600_000 },
      'slot.monitor.interval.ms and slot.wal.budget.bytes watch that offsets move.',
    ),
    valid: atLeast(0),
  },
  'internal.advanced.metrics.enable': unused({ type: 'BOOLEAN', default: false }, 'the worker has its own metrics.'),
  'statistics.metrics.enabled': unused({ type: 'BOOLEAN', default: true }, 'the worker has its own metrics.'),
  'custom.metric.tags': {
    ...unused({ type: 'STRING', default: null }, 'metrics have the labels of the worker.'),
    valid: {
      description: 'name=value, separated by commas',
      check: (_: string, value: unknown) =>
        value === null ||
        String(value)
          .split(',')
          .every((pair) => /^[^=]+=[^=]+$/.test(pair.trim()))
          ? null
          : 'must be pairs like name=value, separated by commas',
    },
  },
  'custom.sanitize.pattern': unused(
    { type: 'STRING', default: null },
    'options of type PASSWORD and config providers keep secrets out of logs.',
  ),
  'openlineage.integration.enabled': unused(
    { type: 'BOOLEAN', default: false },
    'OpenLineage is not supported; neither have the other options openlineage.integration.*.',
  ),
} as const satisfies ConfigKeys
