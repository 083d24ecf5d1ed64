import { type ConfigKeys, oneOf, type Recommender, type Validator } from '../../../worker/api/config.ts'
import { recommends, timeZone } from './choices.ts'

const group = 'Partitioner'

const classOf = (kind: string) => `io.confluent.connect.storage.partitioner.${kind}Partitioner`

/** Options that each partitioner reads; one that is not among these may read any of them. */
const readBy: Readonly<Record<string, readonly string[]>> = {
  DefaultPartitioner: [],
  FieldPartitioner: ['partition.field.name'],
  TimeBasedPartitioner: ['partition.duration.ms', 'path.format', 'locale', 'timezone'],
  DailyPartitioner: ['locale', 'timezone'],
  HourlyPartitioner: ['locale', 'timezone'],
}

const shownForPartitioner: Recommender = {
  validValues: () => [],
  visible: (option, config) => {
    const name = String(config['partitioner.class']).split('.').at(-1) ?? ''
    return readBy[name]?.includes(option) ?? true
  },
}

/** Paths without blank parts; the first that has one is named, as by the Java connector. */
const fieldPaths: Validator = {
  description: 'list of paths without blank parts',
  complete: true,
  check: (option, value) => {
    for (const path of (value ?? []) as readonly string[]) {
      const refused = `Invalid value ${path} for configuration ${option}`
      if (path.trim() === '') return `${refused}: Field name cannot be null or empty`
      // As Java splits: what is empty at the end does not count.
      const parts = path.replace(/\.+$/, '').split('.')
      if (parts.some((part) => part.trim() === '')) {
        return `${refused}: Field name cannot contain an empty or whitespace-only path segment`
      }
    }
    return null
  },
}

/** Directories and the time of a record. */
export const partitionerOptions = {
  'partitioner.class': {
    type: 'CLASS',
    default: 'io.confluent.connect.storage.partitioner.DefaultPartitioner',
    importance: 'HIGH',
    group: 'Partitioner',
    order: 1,
    width: 'LONG',
    displayName: 'Partitioner Class',
    dependents: ['partition.field.name', 'partition.duration.ms', 'path.format', 'locale', 'timezone'],
    recommender: recommends(...['Default', 'Hourly', 'Daily', 'TimeBased', 'Field'].map(classOf)),
    doc: 'Directories: Default-, Field-, TimeBased-, Daily-, HourlyPartitioner of `io.confluent.connect.storage.partitioner`; `KeyPartitioner` (`key=<record key>`) and `HeaderPartitioner` (`<name>=<value>`) are additions of this sink.',
  },
  'partition.field.name': {
    type: 'LIST',
    default: [],
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 2,
    displayName: 'Partition Field Name',
    valid: fieldPaths,
    recommender: shownForPartitioner,
    doc: 'Fields of FieldPartitioner, dotted paths into structs and JSON objects; names of headers for HeaderPartitioner.',
  },
  'partition.duration.ms': {
    type: 'LONG',
    default: -1,
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 3,
    width: 'LONG',
    displayName: 'Partition Duration (ms)',
    recommender: shownForPartitioner,
    doc: 'Width of a TimeBasedPartitioner directory in ms.',
  },
  'path.format': {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 4,
    width: 'LONG',
    displayName: 'Path Format',
    recommender: shownForPartitioner,
    doc: 'Joda-Time pattern of TimeBasedPartitioner directories.',
  },
  locale: {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 5,
    displayName: 'Locale',
    recommender: shownForPartitioner,
    doc: 'Language of names of months and days in time-based directories.',
  },
  timezone: {
    type: 'STRING',
    default: '',
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 6,
    displayName: 'Timezone',
    valid: timeZone,
    recommender: shownForPartitioner,
    doc: 'Time zone of time-based directories and of scheduled rotation, e.g. `Europe/Berlin`.',
  },
  'timestamp.extractor': {
    type: 'STRING',
    default: 'Wallclock',
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 7,
    width: 'LONG',
    displayName: 'Timestamp Extractor',
    doc: '`Wallclock`, `Record` or `RecordField`: the time of a record in time-based partitioners.',
  },
  'timestamp.field': {
    type: 'STRING',
    default: 'timestamp',
    importance: 'MEDIUM',
    group: 'Partitioner',
    order: 8,
    width: 'LONG',
    displayName: 'Record Field for Timestamp Extractor',
    doc: 'Dotted path that `RecordField` reads.',
  },
  's3.schema.partition.affix.type': {
    type: 'STRING',
    default: 'NONE',
    importance: 'LOW',
    group: 'S3',
    order: 31,
    width: 'LONG',
    displayName: 'Schema Partition Affix Type',
    valid: oneOf('SUFFIX', 'PREFIX', 'NONE'),
    recommender: recommends('SUFFIX', 'PREFIX', 'NONE'),
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
