import type { RawOptionTexts } from '../../worker/api/config.ts'
import type { ConfigProblem } from '../../worker/api/errors.ts'
import { checkAwsCredentials } from '../common/aws-credentials.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'
import { parseResourceMapping, parseTopicFields, resourceMappingProblem } from './config-validators.ts'
import { compileNameFormat } from './index-name-format.ts'

/** One rule between options: the message goes to every option named. */
type Rule = (
  config: ElasticsearchSinkConfig,
  raw: RawOptionTexts,
) => readonly [message: string, ...options: string[]] | null

const isSet = (value: unknown): boolean => value !== null && value !== ''

/** Whether topics go to resources that exist, by `topic.to.external.resource.mapping`. */
export function mapsToExisting(config: ElasticsearchSinkConfig): boolean {
  return config['external.resource.usage'].toLowerCase() !== 'disabled'
}

/** Whether topics go to data streams, of either mode. */
export function usesDataStreams(config: ElasticsearchSinkConfig): boolean {
  if (!mapsToExisting(config)) return namesDataStreams(config)
  return config['external.resource.usage'].toLowerCase().endsWith('datastream')
}

/** Whether data stream names are made from type, dataset and namespace. */
export function namesDataStreams(config: ElasticsearchSinkConfig): boolean {
  return config['data.stream.type'].toLowerCase() !== 'none' && config['data.stream.dataset'] !== ''
}

const rules: readonly Rule[] = [
  (c) =>
    (c['connection.username'] === null) === (c['connection.password'] === null)
      ? null
      : [
          'Both connection.username and connection.password must be set, or neither',
          'connection.username',
          'connection.password',
        ],
  (c, raw) => existingProblem(c, raw),
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
  (c) => {
    if (!usesDataStreams(c)) return null
    if (c['write.method'].toLowerCase() !== 'insert') {
      return ['Data streams take write.method=insert only', 'write.method']
    }
    return deletes(c) ? ['Data streams do not delete: use ignore or fail', 'behavior.on.null.values'] : null
  },
  (c) =>
    c['key.ignore'] && c['topic.key.ignore'].length > 0
      ? ['topic.key.ignore has no meaning with key.ignore=true', 'key.ignore', 'topic.key.ignore']
      : null,
  (c) =>
    c['schema.ignore'] && c['topic.schema.ignore'].length > 0
      ? ['topic.schema.ignore has no meaning with schema.ignore=true', 'schema.ignore', 'topic.schema.ignore']
      : null,
  (c) =>
    asksForKerberos(c)
      ? [
          'Kerberos is not supported: take both kerberos options out and use connection.username with connection.password, auth.api.key, auth.bearer.token, or a gateway in front of the cluster that speaks it',
          'kerberos.user.principal',
          'kerberos.keytab.path',
        ]
      : null,
  (c) =>
    asksForKerberos(c) && c['connection.username'] !== null && c['connection.password'] !== null
      ? ['Kerberos and credentials of a user exclude each other', 'connection.username', 'connection.password']
      : null,
  (c) =>
    asksForKerberos(c) && isSet(c['proxy.host']) ? ['Kerberos and a proxy exclude each other', 'proxy.host'] : null,
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
  (c) => needsProxy(c, 'proxy.username'),
  (c) => needsProxy(c, 'proxy.password'),
  (c) =>
    isSet(c['proxy.host']) && isSet(c['proxy.username']) !== isSet(c['proxy.password'])
      ? ['Both proxy.username and proxy.password must be set, or neither', 'proxy.username', 'proxy.password']
      : null,
  (c, raw) => {
    // Whatever they say: an option that has its default shows that TLS is meant, too.
    const given = Object.keys(raw).some((option) => option.startsWith('elastic.https.'))
    const ssl = c['elastic.security.protocol'].toUpperCase() === 'SSL'
    if (!ssl && given) return ['elastic.https.ssl.* needs elastic.security.protocol=SSL', 'elastic.security.protocol']
    return ssl && !given
      ? [
          'elastic.security.protocol=SSL needs an option of elastic.https.ssl.*, e.g. elastic.https.ssl.truststore.location',
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

/** What is wrong with resources that are mapped; of several problems the first, as they follow from one another. */
function existingProblem(c: ElasticsearchSinkConfig, raw: RawOptionTexts): ReturnType<Rule> {
  const option = 'topic.to.external.resource.mapping'
  const pairs = c[option]
  if (mapsToExisting(c) !== pairs.length > 0) {
    return [
      'external.resource.usage other than disabled needs topic.to.external.resource.mapping, and the other way round',
      'external.resource.usage',
      option,
    ]
  }
  if (pairs.length === 0) return null
  if (c['data.stream.type'].toLowerCase() !== 'none' || isSet(c['data.stream.dataset'])) {
    return [
      'Existing resources and names of data streams exclude each other',
      option,
      'data.stream.type',
      'data.stream.dataset',
    ]
  }
  const problem = resourceMappingProblem(pairs) ?? tooManyPairs(c) ?? unmatchedTopic(pairs, raw['topics'] ?? '')
  return problem === null ? null : [problem, option]
}

function tooManyPairs(c: ElasticsearchSinkConfig): string | null {
  const most = c['max.external.resource.mappings']
  const { length } = c['topic.to.external.resource.mapping']
  return length > most ? `has ${length} pairs, more than max.external.resource.mappings=${most}` : null
}

/** Topics and mapping name the same topics; with `topics.regex` that is known only when a record comes. */
function unmatchedTopic(pairs: readonly string[], topics: string): string | null {
  if (topics.trim() === '') return null
  const named = new Set(topics.split(',').map((topic) => topic.trim()))
  const mapped = new Set(parseResourceMapping(pairs).keys())
  const [missing] = named.difference(mapped)
  if (missing !== undefined) return `Topic '${missing}' is not mapped to any resource. Add it here.`
  const [extra] = mapped.difference(named)
  return extra === undefined
    ? null
    : `Topic '${extra}' is mapped but not among topics. Add it there or take it away here.`
}

function asksForKerberos(c: ElasticsearchSinkConfig): boolean {
  return c['kerberos.user.principal'] !== null || c['kerberos.keytab.path'] !== null
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

const ownFieldOptions = [
  'merge.fence.field',
  'merge.deleted.field',
  'merge.created.field',
  'merge.updated.field',
] as const

/** A path can be merged in one way only, and what the merging itself keeps has fields of its own. */
function twiceMerged(c: ElasticsearchSinkConfig): ReturnType<Rule> {
  const seen = new Map<string, string>()
  for (const option of ownFieldOptions) {
    const field = c[option]
    if (field === '') continue
    const other = seen.get(field)
    if (other !== undefined) return [`The field '${field}' stands in ${other} and in ${option}`, other, option]
    seen.set(field, option)
  }
  for (const [topic, [first = '']] of parseTopicFields(c['merge.nest.fields'])) {
    if (first !== c['merge.fence.field'] && first !== c['merge.deleted.field']) continue
    return [`The field '${first}' is kept by the merging: topic '${topic}' needs another`, 'merge.nest.fields']
  }
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

function needsProxy(c: ElasticsearchSinkConfig, option: 'proxy.username' | 'proxy.password'): ReturnType<Rule> {
  return isSet(c[option]) && !isSet(c['proxy.host']) ? [`${option} needs proxy.host`, 'proxy.host', option] : null
}

/** All violated rules between options; no I/O. */
export function checkOptions(config: ElasticsearchSinkConfig, raw: RawOptionTexts): readonly ConfigProblem[] {
  const own = rules.flatMap((rule) => {
    const violation = rule(config, raw)
    if (violation === null) return []
    const [message, ...options] = violation
    return options.map((option) => ({ option, message }))
  })
  return [...own, ...checkAwsCredentials(config)]
}
