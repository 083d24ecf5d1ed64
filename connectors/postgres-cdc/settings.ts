/** Parsed options → what the parts of the connector take. */
import { randomBytes } from 'node:crypto'
import type { RawConfig } from '../../worker/api/connector.ts'
import { Schemas } from '../../worker/api/data.ts'
import { ConfigError, type ConfigProblem } from '../../worker/api/errors.ts'
import { JavaRegex } from '../../worker/api/java-regex.ts'
import type { Header, Headers } from '../../worker/api/record.ts'
import { ColumnMappers, mapperProblems } from './column-mappers.ts'
import type { PostgresConfig } from './config.ts'
import type { ConnectionOptions, SslMode } from './connection.ts'
import { CustomConverters, converterProblems } from './custom-converters.ts'
import type { ProcessingFailures } from './event-failures.ts'
import { Filters } from './filters.ts'
import type { NameAdjustment } from './names.ts'
import { namingStrategyOf, topicNames } from './names.ts'
import type { AutocreateMode } from './publication.ts'
import { postProcessorProblems, reselectRules } from './reselect.ts'
import type { MismatchStrategy } from './slot.ts'
import { snapshotPolicy } from './snapshot-mode.ts'
import type { RowCountOrder } from './snapshot-plan.ts'
import type { IsolationMode } from './snapshot-readers.ts'
import type { TableSchemaOptions } from './table-schema.ts'
import type { BinaryMode, ValueOptions } from './values/codec.ts'

/** Names from a validated option: the definition admits only these. */
function oneOf<T extends string>(value: string): T {
  return value as T
}

function requireText(
  config: PostgresConfig,
  option: 'database.hostname' | 'database.user' | 'database.dbname' | 'topic.prefix',
): string {
  const value = config[option]
  if (value === null)
    throw new ConfigError([{ option, message: `The '${option}' value is invalid: A value is required` }])
  return value
}

/** Larger polls gain nothing and keep that many more records alive at a time; `max.batch.size` is an upper bound. */
const mostBatchRecords = 2_048

export function connectionOptions(config: PostgresConfig, connectTimeoutMs = 60_000): ConnectionOptions {
  return {
    host: requireText(config, 'database.hostname'),
    port: config['database.port'],
    user: requireText(config, 'database.user'),
    password: config['database.password'],
    database: requireText(config, 'database.dbname'),
    sslMode: oneOf<SslMode>(config['database.sslmode']),
    sslCert: config['database.sslcert'],
    sslKey: config['database.sslkey'],
    sslPassword: config['database.sslpassword'],
    sslRootCert: config['database.sslrootcert'],
    tcpKeepAlive: config['database.tcpKeepAlive'],
    connectTimeoutMs,
    startupOptions: config['driver.options'],
    initialStatements: config['database.initial.statements'],
  }
}

function listOf(text: string | null): ReadonlySet<string> {
  return new Set((text ?? '').split(',').map((item) => item.trim()))
}

function placeholderBytes(text: string): Uint8Array {
  return new Uint8Array(text.startsWith('hex:') ? Buffer.from(text.slice(4), 'hex') : Buffer.from(text, 'utf8'))
}

function valueOptions(config: PostgresConfig): ValueOptions {
  return {
    timePrecision: oneOf<ValueOptions['timePrecision']>(config['time.precision.mode']),
    decimals: oneOf<ValueOptions['decimals']>(config['decimal.handling.mode']),
    hstore: oneOf<ValueOptions['hstore']>(config['hstore.handling.mode']),
    intervals: oneOf<ValueOptions['intervals']>(config['interval.handling.mode']),
    binary: oneOf<BinaryMode>(config['binary.handling.mode']),
    moneyFractionDigits: config['money.fraction.digits'],
    includeUnknown: config['include.unknown.datatypes'],
    placeholder: placeholderBytes(config['unavailable.value.placeholder']),
  }
}

export function filtersOf(config: PostgresConfig): Filters {
  return new Filters({
    schemaInclude: config['schema.include.list'],
    schemaExclude: config['schema.exclude.list'],
    tableInclude: config['table.include.list'],
    tableExclude: config['table.exclude.list'],
    columnInclude: config['column.include.list'],
    columnExclude: config['column.exclude.list'],
    messagePrefixInclude: config['message.prefix.include.list'],
    messagePrefixExclude: config['message.prefix.exclude.list'],
    snapshotTables: config['snapshot.include.collection.list'],
    ignoreBuiltin: config['table.ignore.builtin'],
    keyColumns: config['message.key.columns'],
    signalTable: config['signal.data.collection'],
  })
}

/** Where signals come from, and how the incremental snapshots that they ask for are taken. */
function signalSettings(config: PostgresConfig, raw: RawConfig, logicalName: string) {
  const [, schema, table] = /^([^.]+)\.(.+)$/.exec(config['signal.data.collection'] ?? '') ?? []
  const channels = listOf(config['signal.enabled.channels'])
  const signalTable = schema === undefined || table === undefined ? null : { schema, table }
  const elsewhere = ['file', 'kafka', 'notify', 'jmx'].some((channel) => channels.has(channel))
  return {
    table: signalTable,
    fromTable: channels.has('source'),
    file: channels.has('file') ? config['signal.file'] : null,
    /** Name for LISTEN; what Debezium's users do by JMX. */
    notify:
      channels.has('notify') || channels.has('jmx')
        ? (config['signal.notify.channel'] ?? `${logicalName}-signal`)
        : null,
    kafka: channels.has('kafka')
      ? { topic: config['signal.kafka.topic'] ?? `${logicalName}-signal`, properties: signalConsumer(config, raw) }
      : null,
    /** Incremental snapshots write no markers. */
    readOnly: config['read.only'],
    pollMs: config['signal.poll.interval.ms'],
    chunkRows: config['incremental.snapshot.chunk.size'],
    deletesMarker: config['incremental.snapshot.watermarking.strategy'].toUpperCase() === 'INSERT_DELETE',
    /** Whether anything can come of signals or notifications. */
    wanted: signalTable !== null || elsewhere || config['notification.enabled.channels'] !== null,
  }
}

const consumerPrefix = 'signal.consumer.'

/** Properties of the consumer of signals: nothing but what the user gave for it. */
function signalConsumer(config: PostgresConfig, raw: RawConfig): RawConfig {
  const own = Object.entries(raw)
    .filter(([option]) => option.startsWith(consumerPrefix))
    .map(([option, value]) => [option.slice(consumerPrefix.length), value] as const)
  return {
    'bootstrap.servers': config['signal.kafka.bootstrap.servers'] ?? '',
    'group.id': config['signal.kafka.groupId'],
    ...Object.fromEntries(own),
  }
}

function notificationSettings(config: PostgresConfig) {
  const channels = listOf(config['notification.enabled.channels'])
  return {
    topic: channels.has('sink') ? config['notification.sink.topic.name'] : null,
    logs: channels.has('log') || channels.has('jmx'),
  }
}

/** What becomes of changes that cannot be converted: `fail` where none is refused in the first place. */
function processingFailures(config: PostgresConfig): ProcessingFailures {
  if (config['event.converting.failure.handling.mode'] !== 'fail') return 'fail'
  const mode = oneOf<ProcessingFailures | 'ignore'>(config['event.processing.failure.handling.mode'])
  return mode === 'ignore' ? 'skip' : mode
}

/** `custom` names what is there anyway; the rules of the definition have refused everything else. */
function snapshotModes(config: PostgresConfig) {
  const policy = snapshotPolicy(config)
  if (policy === null) throw new ConfigError([{ option: 'snapshot.mode', message: 'There is no such snapshotter' }])
  const locking = config['snapshot.locking.mode']
  const isShared =
    locking === 'shared' || (locking === 'custom' && config['snapshot.locking.mode.custom.name'] === 'shared')
  return {
    policy,
    lock: isShared ? { timeoutMs: config['snapshot.lock.timeout.ms'] } : null,
    order: oneOf<RowCountOrder>(config['snapshot.tables.order.by.row.count']),
  }
}

const overridePrefix = 'snapshot.select.statement.overrides.'

function overridesOf(raw: RawConfig): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(raw)
      .filter(([option]) => option.startsWith(overridePrefix))
      .map(([option, statement]) => [option.slice(overridePrefix.length), statement]),
  )
}

/** Version 7 UUID (RFC 9562): milliseconds, then random bits. */
function uuidV7(nowMs: number): string {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(nowMs, 0, 6)
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function contextHeaders(logicalName: string, task: number, nowMs: number): Headers {
  const header = (name: string, value: string): Header => ({
    key: `__debezium.context.${name}`,
    schema: Schemas.string,
    value,
  })
  return [
    header('connectorLogicalName', logicalName),
    header('taskId', String(task)),
    header('connectorName', 'postgresql'),
    header('runId', uuidV7(nowMs)),
  ]
}

/** Letters whose events are not emitted. Debezium takes `r` and emits the rows of snapshots all the same. */
function skippedOperations(text: string): ReadonlySet<string> {
  return new Set(text.split(',').flatMap((item) => (/^\s*(?:none|r)\s*$/.test(item) ? [] : [item.trim()])))
}

const publishWords = { c: 'insert', u: 'update', d: 'delete', t: 'truncate' }

/** `publish = …` of a created publication, when the user chose what to skip. */
function publishList(raw: RawConfig, skipped: ReadonlySet<string>): readonly string[] | null {
  if (raw['skipped.operations'] === undefined) return null
  return Object.entries(publishWords)
    .filter(([letter]) => !skipped.has(letter))
    .map(([, word]) => word)
}

function streamParameters(text: string | null): Readonly<Record<string, string>> {
  const pairs = (text ?? '').split(';').map((pair) => pair.split('=').map((part) => part.trim()))
  return Object.fromEntries(
    pairs.filter(([name, value]) => name !== '' && name !== undefined && value !== undefined) as [string, string][],
  )
}

const defaultQueueBytes = 1024 * 1024
const driverHeartbeatMs = 600_000
const driverIdleMs = 10_000

/** An internal option of earlier releases meant what `trust_offset` says. */
function mismatchStrategy(config: PostgresConfig, raw: RawConfig): MismatchStrategy {
  const seeks = raw['internal.slot.seek.to.known.offset.on.start'] === 'true'
  const isGiven = raw['offset.mismatch.strategy'] !== undefined
  return seeks && !isGiven ? 'trust_offset' : oneOf<MismatchStrategy>(config['offset.mismatch.strategy'])
}

/** Problems of options whose names carry values, which the definition therefore cannot list. */
export function namedOptionProblems(raw: RawConfig): readonly ConfigProblem[] {
  return [...mapperProblems(raw), ...postProcessorProblems(raw), ...converterProblems(raw)]
}

/** Everything a session needs, in the units and types it needs. */
export function settingsOf(
  config: PostgresConfig,
  raw: RawConfig,
  {
    task,
    nowMs,
    pluginPath,
  }: { readonly task: number; readonly nowMs: number; readonly pluginPath: readonly string[] },
) {
  const problems: readonly ConfigProblem[] = namedOptionProblems(raw)
  if (problems.length > 0) throw new ConfigError(problems)
  const logicalName = requireText(config, 'topic.prefix')
  const skipped = skippedOperations(config['skipped.operations'])
  const filters = filtersOf(config)
  const topics = topicNames({
    prefix: logicalName,
    delimiter: config['topic.delimiter'],
    heartbeatPrefix: config['topic.heartbeat.prefix'],
    heartbeatName: config['topic.heartbeat.name'],
    transaction: config['topic.transaction'],
    strategy: namingStrategyOf(config['topic.naming.strategy']) ?? 'SchemaTopicNamingStrategy',
    routing: {
      regex: config['topic.regex'] ?? '.*',
      replacement: config['topic.replacement'] ?? '$0',
      unique: config['topic.key.enforce.uniqueness'],
      keyField: config['topic.key.field.name'],
      keyRegex: config['topic.key.field.regex'],
      keyReplacement: config['topic.key.field.replacement'],
    },
  })
  const values = valueOptions(config)
  const tableOptions: TableSchemaOptions = {
    values,
    filters,
    mappers: new ColumnMappers(raw),
    converters:
      config.converters === null
        ? null
        : new CustomConverters(raw, pluginPath, Buffer.from(values.placeholder).toString('utf8')),
    topics,
    schemaNames: oneOf<NameAdjustment>(config['schema.name.adjustment.mode']),
    fieldNames: oneOf<NameAdjustment>(config['field.name.adjustment.mode']),
  }
  const flushMode =
    raw['lsn.flush.mode'] === undefined && config['flush.lsn.source'] === false ? 'manual' : config['lsn.flush.mode']
  const driver = flushMode === 'connector_and_driver'
  const heartbeatMs = config['heartbeat.interval.ms']
  const idleMs = config['slot.idle.advance.interval.ms']
  const metadata = config['provide.transaction.metadata']
  return {
    connection: connectionOptions(config),
    queryTimeoutMs: config['database.query.timeout.ms'],
    logicalName,
    database: requireText(config, 'database.dbname'),
    partition: { server: logicalName },
    headers: config['extended.headers.enabled'] ? contextHeaders(logicalName, task, nowMs) : ([] as Headers),
    filters,
    topics,
    tableOptions,
    slot: config['slot.name'],
    failover: config['slot.failover'],
    streamParameters: streamParameters(config['slot.stream.params']),
    slotAttempts: config['slot.max.retries'],
    slotRetryMs: config['slot.retry.delay.ms'],
    dropSlotOnStop: config['slot.drop.on.stop'],
    publication: {
      name: config['publication.name'],
      mode: oneOf<AutocreateMode>(config['publication.autocreate.mode']),
      viaPartitionRoot: config['publish.via.partition.root'],
      publish: publishList(raw, skipped),
    },
    identities: config['replica.identity.autoset.values'],
    mismatch: mismatchStrategy(config, raw),
    statusIntervalMs: config['status.update.interval.ms'],
    confirms: flushMode !== 'manual',
    /** Time in ms after which the offset of an idle stream follows the end of the log; 0 is never. */
    idleAdvanceMs: driver ? Math.min(idleMs || driverIdleMs, config['status.update.interval.ms']) : idleMs,
    monitor: { intervalMs: config['slot.monitor.interval.ms'], budgetBytes: config['slot.wal.budget.bytes'] },
    xminIntervalMs: config['xmin.fetch.interval.ms'],
    skipped,
    tombstones: config['tombstones.on.delete'],
    skipUnchanged: config['skip.messages.without.change'],
    transactionMetadata: metadata,
    conversionFailures: oneOf<'fail' | 'warn' | 'skip'>(config['event.converting.failure.handling.mode']),
    processingFailures: processingFailures(config),
    snapshot: {
      ...snapshotModes(config),
      isolation: oneOf<IsolationMode>(config['snapshot.isolation.mode']),
      overrides: overridesOf(raw),
      readers: config['snapshot.max.threads'],
      sharesTables: !config['legacy.snapshot.max.threads'],
      delayMs: config['snapshot.delay.ms'],
      streamingDelayMs: config['streaming.delay.ms'],
    },
    reselects: reselectRules(raw),
    signals: signalSettings(config, raw, logicalName),
    notifications: notificationSettings(config),
    heartbeatMs: driver && heartbeatMs === 0 && !metadata ? driverHeartbeatMs : heartbeatMs,
    heartbeatQuery: config['heartbeat.action.query'],
    batchRecords: Math.min(config['max.batch.size'], mostBatchRecords),
    queueMessages: config['max.queue.size'],
    queueBytes: config['max.queue.size.in.bytes'] === 0 ? defaultQueueBytes : config['max.queue.size.in.bytes'],
    pollIntervalMs: Math.min(config['poll.interval.ms'], 5000),
    maxRetries: config['errors.max.retries'],
    retryMs: config['retriable.restart.connector.wait.ms'],
    retriable:
      config['internal.custom.retriable.exception'] === null
        ? null
        : new JavaRegex(config['internal.custom.retriable.exception']),
    ddlTimeoutMs: config['internal.create.slot.command.timeout'],
    guardrail: {
      max: config['guardrail.collections.max'],
      fail: config['guardrail.collections.limit.action'] === 'fail',
    },
  }
}

export type Settings = ReturnType<typeof settingsOf>
