import { type ConfigKeys, oneOfIgnoringCase } from '../../../worker/api/config.ts'

const group = 'Keys, headers, tombstones'

/** What is stored beside values. */
export const sideObjectOptions = {
  'behavior.on.null.values': {
    type: 'STRING',
    default: 'fail',
    importance: 'LOW',
    group,
    valid: oneOfIgnoringCase('fail', 'ignore', 'write', 'row', 'delete'),
    doc: 'Records without a value: stop the task, skip them, or write their keys to the tombstone directory. Additions of this sink: `row` writes a row with the fields of the key and `__op` = `d` among the others (`format.output.meta.fields` with `op`), for loads that merge; `delete` removes the object of the key (`file.name.template`).',
  },
  'report.null.values.to.dlq': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group,
    doc: 'Whether ignored nulls are reported when `errors.tolerance=all`.',
  },
  'tombstone.encoded.partition': {
    type: 'STRING',
    default: 'tombstone',
    importance: 'LOW',
    group,
    doc: 'Directory of written tombstones.',
  },
  'store.kafka.keys': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group,
    doc: 'Writes the keys of each object to an object beside it.',
  },
  'store.kafka.headers': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group,
    doc: 'Writes the headers of each object to an object beside it.',
  },
  'keys.format.class': {
    type: 'CLASS',
    default: 'io.confluent.connect.s3.format.avro.AvroFormat',
    importance: 'LOW',
    group,
    doc: 'Format of stored keys; any of those of values.',
  },
  'headers.format.class': {
    type: 'CLASS',
    default: 'io.confluent.connect.s3.format.avro.AvroFormat',
    importance: 'LOW',
    group,
    doc: 'Format of stored headers; not ByteArrayFormat.',
  },
} as const satisfies ConfigKeys
