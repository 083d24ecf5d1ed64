import type { ConfigProblem } from '../../worker/api/errors.ts'
import { checkAwsCredentials } from '../common/aws-credentials.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { compileNameFormat } from './index-name-format.ts'

/** One rule between options: the message goes to every option named. */
type Rule = (config: ElasticsearchSinkConfig) => readonly [message: string, ...options: string[]] | null

const isSet = (value: unknown): boolean => value !== null && value !== ''

/** Whether topics go to data streams, of either mode. */
export function usesDataStreams(config: ElasticsearchSinkConfig): boolean {
  const usage = config['external.resource.usage'].toLowerCase()
  return usage === 'datastream' || usage === 'alias_datastream' || namesDataStreams(config)
}

/** Whether data stream names are made from type, dataset and namespace. */
export function namesDataStreams(config: ElasticsearchSinkConfig): boolean {
  return config['data.stream.type'].toLowerCase() !== 'none' && config['data.stream.dataset'] !== ''
}

const rules: readonly Rule[] = [
  (c) =>
    isSet(c['connection.username']) === isSet(c['connection.password'])
      ? null
      : [
          'Both connection.username and connection.password must be set, or neither',
          'connection.username',
          'connection.password',
        ],
  (c) =>
    (c['external.resource.usage'].toLowerCase() !== 'disabled') === c['topic.to.external.resource.mapping'].length > 0
      ? null
      : [
          'external.resource.usage other than disabled needs topic.to.external.resource.mapping, and the other way round',
          'external.resource.usage',
          'topic.to.external.resource.mapping',
        ],
  (c) =>
    c['external.resource.usage'].toLowerCase() !== 'disabled' &&
    (c['data.stream.type'].toLowerCase() !== 'none' || isSet(c['data.stream.dataset']))
      ? [
          'Existing resources and names of data streams exclude each other',
          'topic.to.external.resource.mapping',
          'data.stream.type',
          'data.stream.dataset',
        ]
      : null,
  (c) =>
    c['topic.to.external.resource.mapping'].length > c['max.external.resource.mappings']
      ? [
          `More than max.external.resource.mappings=${c['max.external.resource.mappings']} pairs`,
          'topic.to.external.resource.mapping',
          'max.external.resource.mappings',
        ]
      : null,
  (c) =>
    (c['data.stream.type'].toLowerCase() !== 'none') === isSet(c['data.stream.dataset'])
      ? null
      : ['data.stream.type and data.stream.dataset must be set together', 'data.stream.type', 'data.stream.dataset'],
  (c) =>
    c['data.stream.timestamp.field'].length > 0 && !usesDataStreams(c)
      ? [
          'data.stream.timestamp.field needs a data stream: set data.stream.type and data.stream.dataset',
          'data.stream.timestamp.field',
        ]
      : null,
  (c) =>
    usesDataStreams(c) && c['write.method'].toLowerCase() !== 'insert'
      ? ['Data streams take write.method=insert only', 'write.method']
      : null,
  (c) =>
    usesDataStreams(c) && c['behavior.on.null.values'].toLowerCase() === 'delete'
      ? ['Data streams do not delete: use ignore or fail', 'behavior.on.null.values']
      : null,
  (c) =>
    c['key.ignore'] && c['topic.key.ignore'].length > 0
      ? ['topic.key.ignore has no meaning with key.ignore=true', 'key.ignore', 'topic.key.ignore']
      : null,
  (c) =>
    c['schema.ignore'] && c['topic.schema.ignore'].length > 0
      ? ['topic.schema.ignore has no meaning with schema.ignore=true', 'schema.ignore', 'topic.schema.ignore']
      : null,
  (c) =>
    isSet(c['kerberos.user.principal']) || isSet(c['kerberos.keytab.path'])
      ? [
          'Kerberos is not supported yet: use basic authentication, auth.api.key or auth.bearer.token',
          'kerberos.user.principal',
          'kerberos.keytab.path',
        ]
      : null,
  (c) =>
    c['linger.ms'] > c['flush.timeout.ms']
      ? ['linger.ms must not be larger than flush.timeout.ms', 'linger.ms', 'flush.timeout.ms']
      : null,
  (c) =>
    c['max.buffered.records'] < c['batch.size'] * c['max.in.flight.requests']
      ? [
          'max.buffered.records must be at least batch.size × max.in.flight.requests',
          'max.buffered.records',
          'batch.size',
          'max.in.flight.requests',
        ]
      : null,
  (c) =>
    !isSet(c['proxy.host']) && (isSet(c['proxy.username']) || isSet(c['proxy.password']))
      ? [
          'Credentials of a proxy need proxy.host',
          'proxy.host',
          ...(['proxy.username', 'proxy.password'] as const).filter((option) => isSet(c[option])),
        ]
      : null,
  (c) =>
    isSet(c['proxy.host']) && isSet(c['proxy.username']) !== isSet(c['proxy.password'])
      ? ['Both proxy.username and proxy.password must be set, or neither', 'proxy.username', 'proxy.password']
      : null,
  (c) => {
    const given = sslMaterial(c)
    const ssl = c['elastic.security.protocol'].toUpperCase() === 'SSL'
    if (!ssl && given) return ['elastic.https.ssl.* needs elastic.security.protocol=SSL', 'elastic.security.protocol']
    return ssl && !given
      ? [
          'elastic.security.protocol=SSL needs a truststore or a keystore in elastic.https.ssl.*',
          'elastic.security.protocol',
        ]
      : null
  },
  (c) => missingCredential(c),
  (c) =>
    c['index.name.format'] !== '${topic}' && (usesDataStreams(c) || c['topic.to.external.resource.mapping'].length > 0)
      ? [
          'index.name.format names indices only: leave it out with data streams and existing resources',
          'index.name.format',
        ]
      : null,
  (c) =>
    deletes(c) && formatNeedsValueOrTime(c['index.name.format'])
      ? [
          'A tombstone has neither the value nor the time of its document: take ${field:…} and ${timestamp:…} out of index.name.format or do not delete',
          'index.name.format',
          'behavior.on.null.values',
        ]
      : null,
  (c) => routingProblem(c),
  (c) => mergeProblem(c),
]

function sslMaterial(c: ElasticsearchSinkConfig): boolean {
  return (
    isSet(c['elastic.https.ssl.truststore.location']) ||
    isSet(c['elastic.https.ssl.truststore.certificates']) ||
    isSet(c['elastic.https.ssl.keystore.location']) ||
    isSet(c['elastic.https.ssl.keystore.certificate.chain'])
  )
}

function deletes(c: ElasticsearchSinkConfig): boolean {
  return c['behavior.on.null.values'].toLowerCase() === 'delete'
}

function formatNeedsValueOrTime(template: string): boolean {
  const format = compileNameFormat(template)
  return typeof format !== 'string' && format.dependsOnValueOrTime
}

function routingProblem(c: ElasticsearchSinkConfig): ReturnType<Rule> {
  const from = c['routing.from'].toLowerCase()
  const needsField = from === 'value' || from === 'header'
  if (needsField !== isSet(c['routing.field'])) {
    return ['routing.field belongs to routing.from=value or header', 'routing.from', 'routing.field']
  }
  if (from !== 'none' && usesDataStreams(c)) return ['Data streams take no routing value', 'routing.from']
  return from === 'value' && deletes(c)
    ? [
        'A tombstone has no value: use routing.from=key or header, or do not delete',
        'routing.from',
        'behavior.on.null.values',
      ]
    : null
}

/** Whether documents are merged record by record. */
export function merges(c: ElasticsearchSinkConfig): boolean {
  return c['write.method'].toLowerCase() === 'merge'
}

function mergeProblem(c: ElasticsearchSinkConfig): ReturnType<Rule> {
  if (!merges(c)) {
    const given = mergeFieldOptions.filter((option) => c[option].length > 0)
    return given.length > 0 ? ['merge.* options need write.method=merge', 'write.method', ...given] : null
  }
  if (c['key.ignore'] || c['topic.key.ignore'].length > 0 || c['use.autogenerated.ids']) {
    return [
      'write.method=merge needs ids of the records: it excludes key.ignore, topic.key.ignore and use.autogenerated.ids',
      'write.method',
      'key.ignore',
      'topic.key.ignore',
      'use.autogenerated.ids',
    ]
  }
  if (c['external.version.header'] !== '') {
    return [
      'write.method=merge counts by offsets, not by external.version.header',
      'write.method',
      'external.version.header',
    ]
  }
  return twiceMerged(c)
}

const mergeFieldOptions = [
  'merge.increment.fields',
  'merge.set.once.fields',
  'merge.max.fields',
  'merge.min.fields',
  'merge.append.fields',
  'merge.created.field',
  'merge.updated.field',
  'merge.id.fields',
  'merge.nest.fields',
] as const

/** A path can be merged in one way only. */
function twiceMerged(c: ElasticsearchSinkConfig): ReturnType<Rule> {
  const seen = new Map<string, string>()
  for (const option of mergeFieldOptions.slice(0, 5)) {
    for (const path of c[option]) {
      const other = seen.get(path)
      if (other !== undefined) return [`The field '${path}' stands in ${other} and in ${option}`, other, option]
      seen.set(path, option)
    }
  }
  return null
}

function missingCredential(c: ElasticsearchSinkConfig): ReturnType<Rule> {
  switch (c['auth.type'].toLowerCase()) {
    case 'basic':
      return isSet(c['connection.username'])
        ? null
        : ['auth.type=basic needs connection.username', 'auth.type', 'connection.username']
    case 'api_key':
      return isSet(c['auth.api.key']) ? null : ['auth.type=api_key needs auth.api.key', 'auth.type', 'auth.api.key']
    case 'bearer':
      return isSet(c['auth.bearer.token'])
        ? null
        : ['auth.type=bearer needs auth.bearer.token', 'auth.type', 'auth.bearer.token']
    case 'sigv4':
      return sigv4Problem(c)
    default:
      return null
  }
}

function sigv4Problem(c: ElasticsearchSinkConfig): ReturnType<Rule> {
  if (!isSet(c['aws.region'])) return ['auth.type=sigv4 needs aws.region', 'auth.type', 'aws.region']
  if (c['connection.url'].length > 1) {
    return ['auth.type=sigv4 needs the one URL of the domain: its host is signed', 'auth.type', 'connection.url']
  }
  return c['connection.compression']
    ? ['auth.type=sigv4 signs bodies before they are compressed', 'auth.type', 'connection.compression']
    : null
}

/** All violated rules between options; no I/O. */
export function checkOptions(config: ElasticsearchSinkConfig): readonly ConfigProblem[] {
  const own = rules.flatMap((rule) => {
    const violation = rule(config)
    if (violation === null) return []
    const [message, ...options] = violation
    return options.map((option) => ({ option, message }))
  })
  return [...own, ...checkAwsCredentials(config)]
}
