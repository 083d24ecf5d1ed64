import { Password } from '../../worker/api/config.ts'
import type { TopicProducer } from '../../worker/api/context.ts'
import { ConfigError, ConnectError } from '../../worker/api/errors.ts'
import type { SinkTaskContext } from '../../worker/api/task.ts'
import type { TopicPartition } from '../../worker/api/topic-partition.ts'
import { awsKeysOf } from '../common/aws-credentials.ts'
import type { FileRole } from '../common/metadata-message.ts'
import type { ObjectStore, WriteOptions } from '../common/object-store.ts'
import type { RoleToAssume, S3ClientOptions } from '../common/s3-client.ts'
import { Committer, type Tagging } from './committer.ts'
import { openCompression } from './compression.ts'
import type { S3SinkConfig } from './config-options.ts'
import {
  assumesRole,
  compatibilityOf,
  formatOf,
  isMetaField,
  metaFieldNames,
  partitionerOf,
  templateOf,
} from './config-rules.ts'
import { CutJournal } from './cut-journal.ts'
import { FileBuffer, type FileBufferServices, type RotationRules, skippedNullError } from './file-buffer.ts'
import { JsonEncoder } from './formats/json-encoder.ts'
import { openFormats } from './formats/open-formats.ts'
import { KeyLanes, KeyWriter } from './key-writer.ts'
import { Limiter } from './limiter.ts'
import { MemoryBudget } from './memory-budget.ts'
import type { MergeSettings } from './merged-object.ts'
import { groupFromDirectory, MetadataTopic, type MetadataTopicOptions } from './metadata-topic.ts'
import { visibleHead } from './object-upload.ts'
import type { FileLayout, OpenFile } from './open-file.ts'
import type { PartitionWriter } from './partition-writer.ts'
import { createPartitioner } from './partitioner.ts'
import { TimeZone } from './time-pattern.ts'

/** Requests of one task at a time; the SDK's agent opens at most 50 connections. */
const concurrentRequests = 16
const defaultInitialBytes = 16_384

/** How to reach the server. @throws ConfigError when store.url is no URL */
export function clientOptions(config: S3SinkConfig): S3ClientOptions {
  return {
    region: config['s3.region'],
    endpoint: endpointOf(config['store.url']),
    pathStyle: config['s3.path.style.access.enabled'],
    accelerate: config['s3.wan.mode'],
    credentials: awsKeysOf(config),
    role: assumesRole(config) ? roleOf(config) : null,
    proxy: proxyOf(config),
    attempts: Math.max(1, config['s3.part.retries']),
    backoffMs: config['s3.retry.backoff.ms'],
    checksums: config['s3.checksum.mode'].toLowerCase() === 'when_supported' ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
    expectContinue: config['s3.http.send.expect.continue'],
  }
}

function roleOf(config: S3SinkConfig): RoleToAssume {
  const endpoint = config['s3.credentials.provider.sts.endpoint']
  const region = config['s3.credentials.provider.sts.region']
  return {
    arn: config['s3.credentials.provider.sts.role.arn'],
    sessionName: config['s3.credentials.provider.sts.role.session.name'],
    externalId: config['s3.credentials.provider.sts.role.external.id'],
    region: region === '' ? config['s3.region'] : region,
    endpoint: endpoint === '' ? null : endpoint,
  }
}

/** With its user and password in front, hence a secret as a whole (I8). */
function proxyOf(config: S3SinkConfig): Password | null {
  const text = config['s3.proxy.url']
  if (text === '') return null
  const url = new URL(text.includes('://') ? text : `http://${text}`)
  const user = config['s3.proxy.user']
  const password = config['s3.proxy.password']
  if (user !== null) url.username = encodeURIComponent(user)
  if (password !== null) url.password = encodeURIComponent(password.reveal())
  return new Password(url.href)
}

function endpointOf(url: string | null): string | null {
  if (url === null || url === '') return null
  const withScheme = url.includes('://') ? url : `https://${url}`
  if (URL.canParse(withScheme)) return withScheme
  throw new ConfigError([{ option: 'store.url', message: `'${url}' is not a URL` }])
}

export interface ServiceParts {
  readonly config: S3SinkConfig
  readonly context: SinkTaskContext
  readonly store: ObjectStore
  /** Writes the messages about durable objects; null without `notify.topic`. */
  readonly topicB: TopicProducer | null
}

/** The services of all buffers of a task, from its options; loads formats and codecs. @throws ConfigError */
export async function buildServices({ config, context, store, topicB }: ServiceParts): Promise<FileBufferServices> {
  const { metrics, clock, logger } = context
  const budget = new MemoryBudget(budgetBytes(config, context))
  const layout = await fileLayout({ config, context, store }, budget)
  const written = metrics.counter('s3-records-written-total', 'Records in committed objects')
  const objects = metrics.counter('s3-objects-committed-total', 'Objects that became visible')
  const held = metrics.gauge('s3-buffered-bytes', 'Memory of open objects')
  return {
    layout,
    partitioner: createPartitioner(config),
    rotation: rotationRules(config),
    compatibility: compatibilityOf(config['schema.compatibility']),
    committer: new Committer({
      store,
      logger,
      tagging: tagging(config),
      metadataTopic: topicB && new MetadataTopic(metadataTopicOptions(config, context, layout), topicB, clock),
    }),
    journal: cutJournal(config, store),
    budget,
    clock,
    logger,
    nullValues: nullValues(config),
    retryBackoffMs: config['retry.backoff.ms'],
    takenNames: (file, known) => scanTakenNames({ file, known, store, config }),
    report: (record, error) => context.report(record, error),
    reportNull: nullReporter(config, context),
    isAssigned: ({ topic, partition }) =>
      context.assignment().some((tp) => tp.topic === topic && tp.partition === partition),
    seek: (tp, offset) => context.seek(tp, offset),
    onCommitted(files) {
      for (const file of files) {
        written.add(file.recordCount)
        objects.add(file.objects.length)
      }
      held.set(budget.usedBytes)
    },
  }
}

/** Each object that is being compressed by gzip takes 0.3 MB that cannot be packed, so by default they have more. */
function budgetBytes(config: S3SinkConfig, { rawConfig }: SinkTaskContext): number {
  const option = 's3.buffer.total.bytes'
  const isGzip = config['s3.compression.type'].toLowerCase() === 'gzip'
  return isGzip && rawConfig[option] === undefined ? 2 * config[option] : config[option]
}

/** Makes the writer of a topic partition: files by rotation or, with `file.name.template`, one object per key. */
export function writerFactory(
  config: S3SinkConfig,
  services: FileBufferServices,
): (tp: TopicPartition) => PartitionWriter {
  const template = templateOf(config)
  if (template?.kind !== 'keys') return (tp) => new FileBuffer(tp, services)
  const nullValues = config['behavior.on.null.values'].toLowerCase() === 'delete' ? 'delete' : 'ignore'
  const { layout, clock, logger, retryBackoffMs, report, reportNull, isAssigned } = services
  const shared = { layout, clock, logger, retryBackoffMs, report, reportNull, isAssigned }
  const lanes = new KeyLanes()
  const merge = mergeSettings(config, layout)
  return (tp) => new KeyWriter(tp, { ...shared, template, nullValues, lanes, merge })
}

function mergeSettings(config: S3SinkConfig, { uploads }: FileLayout): MergeSettings | null {
  if (!config['compact.merge']) return null
  const encoder = new JsonEncoder(config['json.decimal.format'].toUpperCase() === 'NUMERIC')
  const { store, write } = uploads
  return { store, write, encoder, increments: new Set(config['compact.merge.increment.fields']) }
}

function cutJournal(config: S3SinkConfig, store: ObjectStore): CutJournal | null {
  const prefix = config['commit.journal.prefix']
  if (prefix === '') return null
  return new CutJournal({ store, bucket: config['s3.bucket.name'], prefix, write: writeOptions(config) })
}

/** Looks for the first free name after that of a file whose own is taken. */
async function scanTakenNames(scan: {
  readonly file: OpenFile
  readonly known: ReadonlySet<string>
  readonly store: ObjectStore
  readonly config: S3SinkConfig
}): Promise<readonly string[]> {
  const { file, known, store, config } = scan
  const bucket = config['s3.bucket.name']
  const limit = config['max.files.scan.limit']
  const taken: string[] = []
  for (const key of file.valueKeys()) {
    const head = known.has(key) ? 'known' : await visibleHead(store, { bucket, key })
    if (head === null) return taken
    taken.push(key)
    // The names behind it would look the same: each is tried in its turn.
    if (head === 'hidden') return taken
    if (taken.length >= limit) break
  }
  const message = `${limit} names from ${taken[0]} on are taken (max.files.scan.limit)`
  throw new ConnectError('fatal', 'CONNECT_S3_NAMES_TAKEN', message)
}

/** As in Java, where the reporter exists only with `errors.tolerance=all`: else an ignored null passes in silence. */
function nullReporter(config: S3SinkConfig, context: SinkTaskContext): FileBufferServices['reportNull'] {
  const reports = config['report.null.values.to.dlq'] && context.rawConfig['errors.tolerance']?.toLowerCase() === 'all'
  return async (record) => {
    if (reports) await context.report(record, skippedNullError())
  }
}

function rotationRules(config: S3SinkConfig): RotationRules {
  const periodMs = config['rotate.schedule.interval.ms']
  return {
    flushCount: Math.max(1, config['flush.size']),
    flushBytes: config['flush.size.bytes'],
    intervalMs: config['rotate.interval.ms'],
    onPartitionChange: config['rotate.file.on.partition.change'],
    schedule: periodMs > 0 ? { periodMs, zone: new TimeZone(config.timezone) } : null,
    idleMs: config['rotate.idle.ms'],
    maxOpenFiles: config['partitioner.max.open.files'],
  }
}

async function fileLayout(
  { config, context, store }: Pick<ServiceParts, 'config' | 'context' | 'store'>,
  budget: MemoryBudget,
): Promise<FileLayout> {
  const storesSides = config['store.kafka.keys'] || config['store.kafka.headers']
  const compression = await openCompression(config['s3.compression.type'], config['s3.compression.level'])
  return {
    ...(await openFormats(config, context.rawConfig)),
    bucket: config['s3.bucket.name'],
    topicsDir: config['topics.dir'],
    directoryDelimiter: config['directory.delim'],
    fileDelimiter: config['file.delim'],
    offsetDigits: config['filename.offset.zero.pad.width'],
    namesByTemplate: templateOf(config)?.kind === 'files',
    compressionSuffix: compression?.suffix ?? '',
    tombstoneDirectory: config['tombstone.encoded.partition'],
    columnOrder: config['notify.topic'] !== '' && config['notify.include.schema'] ? columnOrder(config) : null,
    hashContent: config['notify.topic'] !== '' && config['notify.content.hash'],
    uploads: {
      store,
      limiter: new Limiter(concurrentRequests),
      budget,
      partBytes: config['s3.part.size'],
      initialBytes: config['s3.elastic.buffer.enable']
        ? config['s3.elastic.buffer.init.capacity']
        : defaultInitialBytes,
      compression,
      write: writeOptions(config),
      // A second name for equal cuts would break the deterministic names of the other rotations.
      // With a journal the names of a commit are its own; an object per key is there to be replaced.
      onlyIfAbsent:
        config['enable.conditional.writes'] &&
        config['rotate.schedule.interval.ms'] > 0 &&
        !storesSides &&
        config['commit.journal.prefix'] === '' &&
        config['file.name.template'] === '',
    },
  }
}

function columnOrder(config: S3SinkConfig): readonly string[] {
  return formatOf(config['format.class']) === 'csv' ? config['csv.columns'] : []
}

function writeOptions(config: S3SinkConfig): WriteOptions {
  return {
    contentType: 'binary/octet-stream',
    cannedAcl: config['s3.acl.canned'],
    encryption: config['s3.ssea.name'] === '' ? null : config['s3.ssea.name'],
    kmsKeyId: config['s3.sse.kms.key.id'] === '' ? null : config['s3.sse.kms.key.id'],
    customerKey: config['s3.sse.customer.key'],
    contentMd5: config['s3.send.digest'],
  }
}

function tagging(config: S3SinkConfig): Tagging | null {
  if (!config['s3.object.tagging']) return null
  const pairs = config['s3.object.tagging.key.value.pairs'].map((pair) => {
    const at = pair.indexOf(':')
    return [pair.slice(0, at), pair.slice(at + 1)] as const
  })
  const failOnError = config['s3.object.behavior.on.tagging.error'].toLowerCase() === 'fail'
  return { pairs, failOnError }
}

function metadataTopicOptions(
  config: S3SinkConfig,
  context: SinkTaskContext,
  layout: FileLayout,
): MetadataTopicOptions {
  const { values, keys, headers } = layout
  const formatByRole: Readonly<Record<FileRole, string>> = {
    value: values.format.name,
    keys: keys?.format.name ?? '',
    headers: headers?.format.name ?? '',
    tombstone: keys?.format.name ?? '',
  }
  return {
    topic: config['notify.topic'],
    granularity: config['notify.granularity'].toLowerCase() === 'commit' ? 'commit' : 'file',
    key: notifyKey(config),
    groupOf: groupOf(config),
    timeoutMs: config['notify.timeout.ms'],
    region: config['s3.region'],
    compression: config['s3.compression.type'].toLowerCase(),
    metaFields: config['format.output.meta.fields'].filter(isMetaField).map((field) => metaFieldNames[field]),
    formatOf: (role: FileRole) => formatByRole[role],
    connector: context.connector,
    task: context.task,
  }
}

function notifyKey(config: S3SinkConfig): 'group' | 'topic-partition' | 'object' {
  const key = config['notify.key'].toLowerCase()
  return key === 'object' || key === 'topic-partition' ? key : 'group'
}

/** Directories of partitions and of time say nothing about the kind of event: there the loader uses the topic. */
function groupOf(config: S3SinkConfig): (file: OpenFile) => string | null {
  const [from, name = null] = config['notify.group.from'].split(':')
  if (from === 'topic') return (file) => file.topic
  const partitioner = partitionerOf(config['partitioner.class'])
  const isEncoded = partitioner === 'Key' || partitioner === 'Header'
  if (!isEncoded && partitioner !== 'Field' && name === null) return () => null
  const delimiter = config['directory.delim']
  // With a schema prefix, the first directory is not one of the partitioner's.
  const field = name ?? (partitioner === 'Key' ? 'key' : (config['partition.field.name'][0] ?? null))
  return (file) => groupFromDirectory(file.directory, delimiter, { name: field, isEncoded })
}

/** `fail` never gets so far. */
function nullValues(config: S3SinkConfig): 'ignore' | 'write' | 'row' {
  const behavior = config['behavior.on.null.values'].toLowerCase()
  return behavior === 'write' || behavior === 'row' ? behavior : 'ignore'
}
