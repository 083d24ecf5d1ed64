import { type ConfigKeys, oneOfIgnoringCase } from '../../../worker/api/config.ts'

const group = 'Partitioner'

/** Directories and the time of a record. */
export const partitionerOptions = {
  'partitioner.class': {
    type: 'CLASS',
    default: 'io.confluent.connect.storage.partitioner.DefaultPartitioner',
    importance: 'HIGH',
    group,
    doc: 'Directories: Default-, Field-, TimeBased-, Daily-, HourlyPartitioner of `io.confluent.connect.storage.partitioner`; `KeyPartitioner` (`key=<record key>`) and `HeaderPartitioner` (`<name>=<value>`) are additions of this sink.',
  },
  'partition.field.name': {
    type: 'LIST',
    default: [],
    importance: 'MEDIUM',
    group,
    doc: 'Fields of FieldPartitioner, dotted paths into structs and JSON objects; names of headers for HeaderPartitioner.',
  },
  'partition.duration.ms': {
    type: 'LONG',
    default: -1,
    importance: 'MEDIUM',
    group,
    doc: 'Width of a TimeBasedPartitioner directory in ms.',
  },
  'path.format': {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group,
    doc: 'Joda-Time pattern of TimeBasedPartitioner directories.',
  },
  locale: {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group,
    doc: 'Language of names of months and days in time-based directories.',
  },
  timezone: {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group,
    doc: 'Time zone of time-based directories and of scheduled rotation, e.g. `Europe/Berlin`.',
  },
  'timestamp.extractor': {
    type: 'STRING',
    default: 'Wallclock',
    importance: 'MEDIUM',
    group,
    doc: '`Wallclock`, `Record` or `RecordField`: the time of a record in time-based partitioners.',
  },
  'timestamp.field': {
    type: 'STRING',
    default: 'timestamp',
    importance: 'MEDIUM',
    group,
    doc: 'Dotted path that `RecordField` reads.',
  },
  's3.schema.partition.affix.type': {
    type: 'STRING',
    default: 'NONE',
    importance: 'LOW',
    group,
    valid: oneOfIgnoringCase('NONE', 'PREFIX', 'SUFFIX'),
    doc: 'Adds a directory `schema_name=<name of the value schema>` before or after the others.',
  },
  'partitioner.max.open.files': {
    type: 'INT',
    default: -1,
    importance: 'LOW',
    group,
    doc: 'Open directories of one topic partition before all are committed; -1 means no limit.',
  },
} as const satisfies ConfigKeys
