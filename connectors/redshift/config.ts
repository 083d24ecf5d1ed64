import type { ConfigProblem } from '../../worker/api/errors.ts'
import { checkAwsCredentials } from '../common/aws-credentials.ts'
import { type RedshiftSinkConfig, redshiftSinkOptions } from './config-options.ts'
import { foldName } from './sql.ts'
import { tableVariables } from './table-names.ts'

export type { RedshiftSinkConfig } from './config-options.ts'

/** Options of the Redshift sink with the rules between them. */
export const redshiftSinkConfig: typeof redshiftSinkOptions = {
  keys: redshiftSinkOptions.keys,
  validate: (config: RedshiftSinkConfig) => [...checkTarget(config), ...checkCopy(config), ...checkUpsert(config)],
}

const known: ReadonlySet<unknown> = new Set(tableVariables)

function checkTarget(config: RedshiftSinkConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const workgroup = config['redshift.workgroup.name']
  const cluster = config['redshift.cluster.identifier']
  if ((workgroup === '') === (cluster === '')) {
    const message = 'exactly one of redshift.workgroup.name and redshift.cluster.identifier must be set'
    problems.push({ option: 'redshift.workgroup.name', message }, { option: 'redshift.cluster.identifier', message })
  }
  if (config['redshift.db.user'] !== '') {
    if (cluster === '')
      problems.push({ option: 'redshift.db.user', message: 'works with redshift.cluster.identifier only' })
    if (config['redshift.secret.arn'] !== '') {
      problems.push({ option: 'redshift.db.user', message: 'must not be set together with redshift.secret.arn' })
    }
  }
  problems.push(...checkAwsCredentials(config))
  for (const option of ['redshift.data.endpoint', 's3.endpoint'] as const) {
    if (config[option] !== '' && !URL.canParse(config[option])) problems.push({ option, message: 'is not a URL' })
  }
  const { 'table.name.format': format, 'ledger.table.format': ledger } = config
  const unknown = [...format.matchAll(/\$\{([^}]*)\}/g)].map(([, name]) => name).filter((name) => !known.has(name))
  if (unknown.length > 0) {
    const names = tableVariables.map((name) => `\${${name}}`).join(', ')
    problems.push({ option: 'table.name.format', message: `knows ${names}, not ${unknown.join(', ')}` })
  }
  if (ledger.split('${table}').length !== 2 || ledger === '${table}') {
    const message =
      'must hold ${table} once and text around it: tables that share a ledger take the files of each other for loaded'
    problems.push({ option: 'ledger.table.format', message })
  }
  for (const pair of config['table.name.map']) {
    if (!/^[^:]+:[^:]+$/.test(pair))
      problems.push({ option: 'table.name.map', message: `'${pair}' is not of the form from:to` })
  }
  return problems
}

/** Words of COPY that the connector writes itself, with the option that says the same. */
const reserved = /\b(FROM|IAM_ROLE|MANIFEST|REGION|MAXERROR|FORMAT|JSON|CSV|AVRO|PARQUET|ORC|GZIP|ZSTD|BZIP2|LZOP)\b/i
/** Credentials would end up in logs of the warehouse, and files that are only looked at in the ledger. */
const forbidden = /\b(CREDENTIALS|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|MASTER_SYMMETRIC_KEY|NOLOAD)\b/i

function checkCopy(config: RedshiftSinkConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  // What is in quotes are values: a date format may well hold such a word.
  const words = config['copy.options'].replaceAll(/'(?:[^'\\]|\\.)*'/g, "''")
  const [written] = reserved.exec(words) ?? []
  if (written !== undefined) {
    const message = `must not hold ${written.toUpperCase()}: the sink writes it itself, from the message or an option of its own`
    problems.push({ option: 'copy.options', message })
  }
  const [refused] = forbidden.exec(words) ?? []
  if (refused !== undefined) {
    const message = `must not hold ${refused.toUpperCase()}: credentials come from copy.iam.role, and a load must load`
    problems.push({ option: 'copy.options', message })
  }
  if (config['copy.options'].includes(';'))
    problems.push({ option: 'copy.options', message: 'must not hold a semicolon' })
  const role = config['copy.iam.role']
  if (role !== 'default' && !/^arn:aws[a-z-]*:iam::\d{12}:role\/\S+$/.test(role)) {
    problems.push({
      option: 'copy.iam.role',
      message: "must be 'default', the ARN of a role, or ARNs chained by commas",
    })
  }
  const mode = config['copy.json.mode'].toLowerCase()
  if (!['auto', 'auto ignorecase', 'noshred'].includes(mode) && !/^s3:\/\/[^/]+\/.+$/.test(config['copy.json.mode'])) {
    problems.push({ option: 'copy.json.mode', message: 'must be auto, auto ignorecase, noshred or an s3:// URL' })
  }
  const prefix = config['manifest.prefix']
  if (prefix !== '' && !/^s3:\/\/[^/]+(\/.*)?$/.test(prefix)) {
    problems.push({ option: 'manifest.prefix', message: 'must be an s3:// URL' })
  }
  const style = config['table.diststyle']
  if (style !== '' && !/^(EVEN|ALL|AUTO|KEY)$/i.test(style)) {
    problems.push({ option: 'table.diststyle', message: 'must be EVEN, ALL, AUTO or KEY' })
  }
  if (config['fields.whitelist'].length > 0 && mode === 'noshred') {
    problems.push({
      option: 'fields.whitelist',
      message: 'must be empty with copy.json.mode=noshred, which has one column',
    })
  }
  if (config['overlap.policy'].toLowerCase() === 'filter' && mode === 'noshred') {
    problems.push({
      option: 'overlap.policy',
      message: 'filter needs the columns __partition and __offset, noshred has none',
    })
  }
  return problems
}

/** What goes with upserts, and only with them. */
function checkUpsert(config: RedshiftSinkConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const refuse = (option: string, message: string) => problems.push({ option, message })
  if (config['insert.mode'].toLowerCase() !== 'upsert') {
    if (config['delete.enabled']) refuse('delete.enabled', 'works with insert.mode=upsert only')
    return problems
  }
  const keys = config['pk.fields']
  const fields = config['fields.whitelist'].map(foldName)
  if (keys.length === 0) refuse('pk.fields', 'must name the key columns when insert.mode is upsert')
  const absent = keys.filter((key) => fields.length > 0 && !fields.includes(foldName(key)))
  if (absent.length > 0) refuse('fields.whitelist', `must hold the key columns, too: ${absent.join(', ')}`)
  if (config['copy.json.mode'].toLowerCase() === 'noshred') {
    refuse('copy.json.mode', 'noshred makes one column of a row, which insert.mode=upsert finds no key in')
  }
  if (config['message.format'].toLowerCase() === 's3-event') {
    refuse('message.format', 's3-event tells no offsets, which insert.mode=upsert orders rows by')
  }
  return problems
}
