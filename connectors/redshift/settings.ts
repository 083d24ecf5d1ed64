import { awsKeysOf } from '../common/aws-credentials.ts'
import type { S3ClientOptions } from '../common/s3-client.ts'
import type { LoaderOptions } from './batch-loader.ts'
import type { RedshiftSinkConfig } from './config-options.ts'
import type { RunnerOptions } from './copy-runner.ts'
import type { DataApiOptions } from './data-api.ts'
import type { MessageOptions } from './messages.ts'
import { foldName } from './sql.ts'
import type { NameOptions } from './table-names.ts'
import type { TablesOptions } from './tables.ts'
import type { UpsertSettings } from './upsert-statements.ts'

/** Options of the parts of a task, from its config. */

export function storeOptions(config: RedshiftSinkConfig): S3ClientOptions {
  const endpoint = config['s3.endpoint']
  return {
    // COPY looks for a manifest in the region of the files.
    region: config['copy.region'] || config['aws.region'],
    endpoint: endpoint === '' ? null : endpoint,
    pathStyle: endpoint !== '',
    accelerate: false,
    credentials: awsKeysOf(config),
    attempts: config['max.retries'] + 1,
    backoffMs: Math.min(config['retry.backoff.ms'], 1000),
    checksums: 'WHEN_REQUIRED',
    expectContinue: false,
  }
}

export function apiOptions(config: RedshiftSinkConfig): DataApiOptions {
  const endpoint = config['redshift.data.endpoint']
  return {
    region: config['aws.region'],
    endpoint: endpoint === '' ? null : endpoint,
    credentials: awsKeysOf(config),
    workgroup: config['redshift.workgroup.name'],
    cluster: config['redshift.cluster.identifier'],
    database: config['redshift.database'],
    dbUser: config['redshift.db.user'],
    secretArn: config['redshift.secret.arn'],
    sessionKeepAliveSeconds: config['session.keepalive.seconds'],
  }
}

export function runnerOptions(config: RedshiftSinkConfig): RunnerOptions {
  return {
    pollInitialMs: config['poll.initial.ms'],
    pollMaxMs: config['poll.max.ms'],
    waitSeconds: config['poll.wait.seconds'],
    statementTimeoutMs: config['statement.timeout.ms'],
    maxRetries: config['max.retries'],
    retryBackoffMs: config['retry.backoff.ms'],
  }
}

export function tablesOptions(config: RedshiftSinkConfig): TablesOptions {
  return {
    autoCreate: config['auto.create'],
    autoEvolve: config['auto.evolve'],
    maxRetries: config['max.retries'],
    ledgerRetentionMs: config['ledger.retention.ms'],
    definition: {
      varcharBytes: config['table.varchar.bytes'],
      primaryKey: config['pk.fields'],
      distKey: config['table.distkey'],
      sortKey: listOf(config['table.sortkey']),
      fields: config['fields.whitelist'].map(foldName),
      distStyle: config['table.diststyle'],
      noshred: jsonMode(config) === 'noshred',
    },
  }
}

export function loaderOptions(config: RedshiftSinkConfig, connector: string): LoaderOptions {
  return {
    copy: {
      iamRole: config['copy.iam.role'],
      region: config['copy.region'],
      jsonMode: jsonMode(config),
      csvHeader: config['copy.csv.header'],
      options: config['copy.options'],
      maxErrors: config['copy.max.errors'],
      verifyCounts: config['verify.counts'] && config['copy.max.errors'] === 0,
      fields: config['fields.whitelist'].map(foldName),
    },
    upsert: upsertSettings(config),
    overlapPolicy: choice(config['overlap.policy'], ['fail', 'skip', 'filter', 'load']),
    onLoadError: choice(config['behavior.on.load.error'], ['fail', 'isolate', 'dlq']),
    onMissingFile: choice(config['behavior.on.missing.file'], ['fail', 'dlq', 'ignore']),
    maxFiles: config['batch.max.files'],
    maxBytes: config['batch.max.bytes'],
    lingerMs: config['batch.linger.ms'],
    maxRetries: config['max.retries'],
    manifestPrefix: config['manifest.prefix'],
    deleteManifest: config['manifest.delete'],
    connector,
  }
}

/** Null in append mode. */
function upsertSettings(config: RedshiftSinkConfig): UpsertSettings | null {
  if (config['insert.mode'].toLowerCase() !== 'upsert') return null
  const keys = config['pk.fields'].map(foldName)
  return { keys, deletes: config['delete.enabled'], fence: config['upsert.fence'] }
}

export function messageOptions(config: RedshiftSinkConfig): MessageOptions {
  return {
    format: choice(config['message.format'], ['sluice', 's3-event']),
    upsert: upsertSettings(config),
    manifestPrefix: config['manifest.prefix'],
    makesColumns: config['auto.create'] || config['auto.evolve'],
    matchesCase: jsonMode(config) === 'auto',
    noshred: jsonMode(config) === 'noshred',
  }
}

/** `copy.json.mode`: words in lower case, addresses as they are. */
function jsonMode(config: RedshiftSinkConfig): string {
  const mode = config['copy.json.mode']
  return mode.startsWith('s3://') ? mode : mode.toLowerCase()
}

export function nameOptions(config: RedshiftSinkConfig): NameOptions {
  const formats = { format: config['table.name.format'], ledgerFormat: config['ledger.table.format'] }
  return { ...formats, map: tableMap(config) }
}

/** Explicit tables by event key or topic. */
function tableMap(config: RedshiftSinkConfig): ReadonlyMap<string, string> {
  const pairs = config['table.name.map'].map((pair): [string, string] => {
    const at = pair.indexOf(':')
    return [pair.slice(0, at), pair.slice(at + 1)]
  })
  return new Map(pairs)
}

/** Parts of a text between commas. */
function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** The definition has checked the text already; the first choice is what is left when it has not. */
function choice<T extends string>(text: string, choices: readonly [T, ...T[]]): T {
  return choices.find((c) => c === text.toLowerCase()) ?? choices[0]
}
