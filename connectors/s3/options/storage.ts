import { atLeast, type ConfigKeys, nonEmptyString } from '../../../worker/api/config.ts'

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
    valid: nonEmptyString,
    doc: 'Delimiter of directories in keys.',
  },
  'file.delim': {
    type: 'STRING',
    default: '+',
    importance: 'MEDIUM',
    group,
    valid: nonEmptyString,
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
    doc: 'Below `topics.dir`, without extension: `{{key}}`, alone or with `{{topic}}` and `{{partition}}`. Then there is one object per key, which holds its latest record; rotation and partitioners have no effect. Empty: files as by the other options. Addition of this sink.',
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
