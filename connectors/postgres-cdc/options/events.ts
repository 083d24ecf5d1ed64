import { atLeast, type ConfigKeys, oneOf, type Validator } from '../../../worker/api/config.ts'
import { keyColumnsProblem } from '../filters.ts'
import { listProblem } from '../pattern-list.ts'

const checked = (description: string, problem: (text: string) => string | null): Validator => ({
  description,
  check: (_, value) => (value === null ? null : problem(String(value))),
})
const patterns = checked('list of regular expressions', listProblem)
const filters = 'Filters'

function operationsProblem(text: string): string | null {
  const items = text.split(',').map((item) => item.trim())
  if (items.length === 1 && items[0] === 'none') return null
  const wrong = items.find((item) => !['c', 'u', 'd', 't', 'r'].includes(item))
  return wrong === undefined ? null : `'${wrong}' is none of c, u, d, t, r, none`
}

/** What is captured, and by which key. */
export const filterOptions = {
  'schema.include.list': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for the schemas to capture.',
  },
  'schema.exclude.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for the schemas not to capture.',
  },
  'table.include.list': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for `schema.table` of the tables to capture; each matches the whole name, in any case.',
  },
  'table.exclude.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for `schema.table` of the tables not to capture.',
  },
  'column.include.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for `schema.table.column` of the columns in event values.',
  },
  'column.exclude.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for `schema.table.column` of the columns left out of event values.',
  },
  'database.include.list': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: filters,
    valid: patterns,
    doc: 'Has no effect: a connector captures `database.dbname`.',
  },
  'database.exclude.list': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: filters,
    doc: 'Has no effect: a connector captures `database.dbname`.',
  },
  'table.ignore.builtin': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: filters,
    doc: 'Leaves system tables out whatever the lists say.',
  },
  'message.key.columns': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: checked('<regex>:<columns>;…', keyColumnsProblem),
    doc: 'Key columns in place of the primary key: `<regex for schema.table>:<column>,<column>;…`.',
  },
  'message.prefix.include.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for the prefixes of logical messages to capture.',
  },
  'message.prefix.exclude.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for the prefixes of logical messages not to capture.',
  },
  'skipped.operations': {
    type: 'STRING',
    default: 't',
    importance: 'LOW',
    group: filters,
    valid: checked('c, u, d, t, r or none', operationsProblem),
    doc: 'Operations without events: c create, u update, d delete, t truncate, r read; or `none`.',
  },
  'snapshot.include.collection.list': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    valid: patterns,
    doc: 'Regular expressions for the captured tables that the snapshot reads; all by default.',
  },
  'signal.data.collection': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: filters,
    doc: 'Table of signals (`schema.table`).',
  },
} as const satisfies ConfigKeys

const values = 'Values'

/** How values become fields. */
export const valueOptions = {
  'time.precision.mode': {
    type: 'STRING',
    default: 'adaptive',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf(
      'adaptive',
      'adaptive_time_microseconds',
      'connect',
      'isostring',
      'microseconds',
      'nanoseconds',
      'structured',
    ),
    doc: "Form of dates and times: by the column's precision, Connect's own types, ISO strings, fixed units, or structs.",
  },
  'decimal.handling.mode': {
    type: 'STRING',
    default: 'precise',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf('precise', 'string', 'double'),
    doc: 'Form of numeric and money: Decimal, text, or double (which loses digits).',
  },
  'hstore.handling.mode': {
    type: 'STRING',
    default: 'json',
    importance: 'LOW',
    group: values,
    valid: oneOf('json', 'map'),
    doc: 'Form of hstore.',
  },
  'interval.handling.mode': {
    type: 'STRING',
    default: 'numeric',
    importance: 'LOW',
    group: values,
    valid: oneOf('numeric', 'string'),
    doc: 'Form of interval: microseconds (a month counts 365.25/12 days) or ISO 8601.',
  },
  'binary.handling.mode': {
    type: 'STRING',
    default: 'bytes',
    importance: 'LOW',
    group: values,
    valid: oneOf('bytes', 'base64', 'base64-url-safe', 'hex'),
    doc: 'Form of bytea and of unknown types.',
  },
  'money.fraction.digits': {
    type: 'SHORT',
    default: 2,
    importance: 'LOW',
    group: values,
    valid: atLeast(0),
    doc: 'Scale of money in precise mode.',
  },
  'include.unknown.datatypes': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: values,
    doc: 'Includes columns of types without a mapping, as bytes of their text, instead of leaving them out.',
  },
  'unavailable.value.placeholder': {
    type: 'STRING',
    default: '__debezium_unavailable_value',
    importance: 'MEDIUM',
    group: values,
    doc: 'Stands for an unchanged TOAST value that the server did not send; `hex:` begins hexadecimal bytes.',
  },
  'schema.name.adjustment.mode': {
    type: 'STRING',
    default: 'none',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf('none', 'avro', 'avro_unicode'),
    doc: 'Replaces characters in schema names that Avro does not allow.',
  },
  'field.name.adjustment.mode': {
    type: 'STRING',
    default: 'none',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf('none', 'avro', 'avro_unicode'),
    doc: 'Replaces characters in field names that Avro does not allow.',
  },
  'column.propagate.source.type': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: values,
    valid: patterns,
    doc: 'Regular expressions for `schema.table.column` of columns whose type, length and scale stand in the schema parameters.',
  },
  'datatype.propagate.source.type': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: values,
    valid: patterns,
    doc: 'The same by type name.',
  },
  'include.schema.comments': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: values,
    doc: 'Has no effect with PostgreSQL, as in Debezium.',
  },
  'schema.refresh.mode': {
    type: 'STRING',
    default: 'columns_diff',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf('columns_diff', 'columns_diff_exclude_unchanged_toast'),
    doc: 'Has no effect with pgoutput, which announces schemas.',
  },
  'tombstones.on.delete': {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    group: values,
    doc: 'A tombstone follows each delete, so that compacted topics forget the key.',
  },
  'skip.messages.without.change': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: values,
    doc: 'Drops updates that change no captured column; needs REPLICA IDENTITY FULL.',
  },
  'provide.transaction.metadata': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: values,
    doc: 'Writes BEGIN and END of transactions to a topic, and the place in its transaction into each event.',
  },
  'extended.headers.enabled': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: values,
    doc: 'Adds headers that name the connector, task and run.',
  },
  'event.processing.failure.handling.mode': {
    type: 'STRING',
    default: 'fail',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf('fail', 'warn', 'skip', 'ignore'),
    doc: 'What becomes of a streamed change with a value that event.converting.failure.handling.mode=fail refuses: `fail` the record (as errors.tolerance says: by default the task), or leave the change out with a warning (`warn`) or without (`skip`, `ignore`).',
  },
  'event.converting.failure.handling.mode': {
    type: 'STRING',
    default: 'warn',
    importance: 'MEDIUM',
    group: values,
    valid: oneOf('fail', 'warn', 'skip'),
    doc: 'What to do when a value does not fit its schema: fail the task, or null with or without a warning.',
  },
  converters: {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: values,
    doc: 'Names of converters of columns, comma-separated: each with `<name>.type`, the file of a module below plugin.path that makes a `CustomConverter`, and its options `<name>.…`. The first that takes a column counts.',
  },
  'post.processors': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: values,
    doc: 'Names of processors that change events before they are emitted: each with `<name>.type` `io.debezium.processors.reselect.ReselectColumnsPostProcessor` and its options `<name>.reselect.*`.',
  },
} as const satisfies ConfigKeys
