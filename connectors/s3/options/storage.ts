import { atLeast, type ConfigKeys, oneOfIgnoringCase } from '../../../worker/api/config.ts'

const group = 'Storage'

/** Where objects go: server, keys, pauses after failures. */
export const storageOptions = {
  'storage.class': {
    type: 'CLASS',
    importance: 'HIGH',
    group,
    doc: 'Always `io.confluent.connect.s3.storage.S3Storage`.',
  },
  'store.url': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group,
    alternatives: ['aws.s3.endpoint'],
    doc: 'Endpoint of an S3-compatible server; without a scheme, https is taken.',
  },
  'topics.dir': {
    type: 'STRING',
    default: 'topics',
    importance: 'HIGH',
    group,
    doc: 'First part of every key; empty leaves it out.',
  },
  'directory.delim': {
    type: 'STRING',
    default: '/',
    importance: 'MEDIUM',
    group,
    doc: 'Delimiter of directories in keys.',
  },
  'file.delim': {
    type: 'STRING',
    default: '+',
    importance: 'MEDIUM',
    group,
    doc: 'Delimiter inside file names.',
  },
  'filename.offset.zero.pad.width': {
    type: 'INT',
    default: 10,
    importance: 'LOW',
    group,
    valid: atLeast(0),
    doc: 'Digits to which offsets in names are padded.',
  },
  'file.name.template': {
    type: 'STRING',
    default: '',
    importance: 'LOW',
    group,
    doc: 'Names below `topics.dir`, without extension; empty: by the other options. `{{key}}`, alone or with `{{topic}}` and `{{partition}}`: one object per key, which holds its latest record; rotation and partitioners have no effect. `{{topic}}`, `{{partition}}` and `{{start_offset}}`, with `{{key}}`, `{{timestamp:unit=yyyy}}` (MM, dd, HH), `{{field:path}}`, `{{header:name}}` where wanted: files, cut as ever; partition and offset take `:padding=true`. Addition of this sink.',
  },
  'file.name.timestamp.timezone': {
    type: 'STRING',
    default: 'UTC',
    importance: 'LOW',
    group,
    doc: 'Time zone of `{{timestamp}}` in `file.name.template`.',
  },
  'file.name.timestamp.source': {
    type: 'STRING',
    default: 'wallclock',
    importance: 'LOW',
    group,
    valid: oneOfIgnoringCase('wallclock', 'event'),
    doc: 'Time of `{{timestamp}}` in `file.name.template`: of the clock, or of the record.',
  },
  'compact.merge': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group,
    doc: 'With `file.name.template`: records are merged into the object of their key instead of replacing it, JSON members over JSON members, each record once. The object is read and written back on condition that nobody else did; its metadata keep how far it is. Needs a server with `If-Match`. Addition of this sink.',
  },
  'compact.merge.increment.fields': {
    type: 'LIST',
    default: [],
    importance: 'LOW',
    group,
    doc: 'With `compact.merge`: members, by dotted path, whose numbers are added to what is there.',
  },
  'retry.backoff.ms': {
    type: 'LONG',
    default: 5000,
    importance: 'LOW',
    group,
    valid: atLeast(0),
    doc: 'Pause in ms of a topic partition after its requests failed in every attempt.',
  },
  'shutdown.timeout.ms': {
    type: 'LONG',
    default: 3000,
    importance: 'LOW',
    group,
    valid: atLeast(0),
    internal: true,
    doc: 'Time in ms to abort open uploads when partitions go.',
  },
} as const satisfies ConfigKeys
