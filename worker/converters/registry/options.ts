import { atLeast, type ConfigOf, defineConfig, nonEmptyList, oneOf } from '../../api/config.ts'
import { converterTypeOption } from '../converter-type.ts'
import { registryTlsOptions } from './tls-options.ts'

const subjectStrategies = 'io.confluent.kafka.serializers.subject'

/**
 * An option of Confluent's of which only the default is there: another value, which would give data another shape, is
 * refused rather than passed over (I6).
 */
export function onlyDefault(value: boolean, group: string, meaning: string) {
  return {
    type: 'BOOLEAN',
    default: value,
    importance: 'LOW',
    group,
    valid: {
      description: `[${value}]`,
      check: (_: string, given: unknown) => (given === value ? null : `Only ${value} is supported`),
    },
    doc: `${meaning} Only ${value} is supported.`,
  } as const
}

const schemaIds = 'io.confluent.kafka.serializers.schema.id'

/** Where ids of schemas stand; ids in headers are neither written nor read, since headers have a converter of their own. */
function schemaIdOption(classes: readonly [string, ...string[]], doc: string) {
  return {
    type: 'STRING',
    default: `${schemaIds}.${classes[0]}`,
    importance: 'MEDIUM',
    valid: {
      description: `[${classes.join(', ')}]`,
      check: (_: string, given: unknown) => {
        const name = String(given)
        if (classes.includes(name.slice(name.lastIndexOf('.') + 1))) return null
        return `Only ${classes.join(' and ')} are supported: ids of schemas in headers are neither written nor read`
      },
    },
    group: 'Registry',
    doc,
  } as const
}

/** Options of every converter that keeps its schemas in a registry; names and defaults are Confluent's. */
export const registryOptions = {
  'schema.registry.url': {
    type: 'LIST',
    importance: 'HIGH',
    valid: nonEmptyList,
    group: 'Registry',
    doc: 'Addresses of the schema registry, separated by commas; the next one is asked when one does not answer.',
  },
  'auto.register.schemas': {
    type: 'BOOLEAN',
    default: true,
    importance: 'MEDIUM',
    group: 'Registry',
    doc: 'Whether schemas that the registry does not know are registered; otherwise they must be there.',
  },
  'normalize.schemas': {
    type: 'BOOLEAN',
    default: false,
    importance: 'MEDIUM',
    group: 'Registry',
    doc: 'Whether the registry brings schemas into a normal form before it compares them.',
  },
  'use.latest.version': {
    type: 'BOOLEAN',
    default: false,
    importance: 'LOW',
    group: 'Registry',
    doc: 'Whether data is written under the latest schema of the subject; without effect unless auto.register.schemas=false.',
  },
  'latest.compatibility.strict': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Registry',
    doc: 'Whether the schema that use.latest.version finds must describe the data as it is written. Data whose encoding depends on the schema (Avro, Protobuf) is never written under another one.',
  },
  'use.schema.id': {
    type: 'INT',
    default: -1,
    importance: 'LOW',
    group: 'Registry',
    doc: 'Id of the schema under which all data is written; -1 means none.',
  },
  'id.compatibility.strict': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    group: 'Registry',
    doc: 'As latest.compatibility.strict, for use.schema.id.',
  },
  'latest.cache.ttl.sec': {
    type: 'INT',
    default: -1,
    importance: 'LOW',
    group: 'Registry',
    doc: 'Seconds after which the latest schema of a subject is asked for again; -1 means never.',
  },
  'max.schemas.per.subject': {
    type: 'INT',
    default: 1000,
    importance: 'LOW',
    valid: atLeast(1),
    group: 'Registry',
    doc: 'Number of schemas that are kept in memory, per direction.',
  },
  'key.subject.name.strategy': {
    type: 'STRING',
    default: `${subjectStrategies}.TopicNameStrategy`,
    importance: 'MEDIUM',
    group: 'Registry',
    doc: 'How the subject of a key is named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.',
  },
  'value.subject.name.strategy': {
    type: 'STRING',
    default: `${subjectStrategies}.TopicNameStrategy`,
    importance: 'MEDIUM',
    group: 'Registry',
    doc: 'How the subject of a value is named: TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy.',
  },
  'key.schema.id.serializer': schemaIdOption(
    ['PrefixSchemaIdSerializer'],
    'Where the id of the schema of a key is written: before the data.',
  ),
  'key.schema.id.deserializer': schemaIdOption(
    ['DualSchemaIdDeserializer', 'PrefixSchemaIdDeserializer'],
    'Where the id of the schema of a key is read: before the data. PrefixSchemaIdDeserializer passes over the header __key_schema_id, DualSchemaIdDeserializer refuses a message with it.',
  ),
  'value.schema.id.serializer': schemaIdOption(
    ['PrefixSchemaIdSerializer'],
    'Where the id of the schema of a value is written: before the data.',
  ),
  'value.schema.id.deserializer': schemaIdOption(
    ['DualSchemaIdDeserializer', 'PrefixSchemaIdDeserializer'],
    'Where the id of the schema of a value is read: before the data. PrefixSchemaIdDeserializer passes over the header __value_schema_id, DualSchemaIdDeserializer refuses a message with it.',
  ),
  'basic.auth.credentials.source': {
    type: 'STRING',
    default: 'URL',
    importance: 'MEDIUM',
    valid: oneOf('URL', 'USER_INFO'),
    group: 'Access',
    doc: 'Where user and password come from: the addresses (https://user:password@host) or basic.auth.user.info.',
  },
  'basic.auth.user.info': {
    type: 'PASSWORD',
    default: null,
    importance: 'MEDIUM',
    group: 'Access',
    alternatives: ['schema.registry.basic.auth.user.info'],
    doc: 'User and password, separated by a colon.',
  },
  'bearer.auth.credentials.source': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: 'Access',
    doc: 'STATIC_TOKEN: the token is bearer.auth.token. OAUTHBEARER: tokens come from bearer.auth.issuer.endpoint.url, by the grant client_credentials.',
  },
  'bearer.auth.token': {
    type: 'PASSWORD',
    default: null,
    importance: 'MEDIUM',
    group: 'Access',
    doc: 'Token of an Authorization: Bearer header.',
  },
  'bearer.auth.issuer.endpoint.url': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: 'Access',
    doc: 'Address of the OAuth server that gives tokens; TLS to it is that to the registry.',
  },
  'bearer.auth.client.id': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    group: 'Access',
    doc: 'Id of the client there.',
  },
  'bearer.auth.client.secret': {
    type: 'PASSWORD',
    default: null,
    importance: 'MEDIUM',
    group: 'Access',
    doc: 'Secret of the client.',
  },
  'bearer.auth.scope': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: 'Access',
    doc: 'What the tokens are asked for.',
  },
  'bearer.auth.logical.cluster': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: 'Access',
    doc: 'Logical cluster of the registry, sent as the header target-sr-cluster.',
  },
  'bearer.auth.identity.pool.id': {
    type: 'STRING',
    default: null,
    importance: 'LOW',
    group: 'Access',
    doc: 'Identity pool of the tokens, sent as the header Confluent-Identity-Pool-Id.',
  },
  ...registryTlsOptions,
  'http.connect.timeout.ms': {
    type: 'INT',
    default: 60_000,
    importance: 'LOW',
    valid: atLeast(1),
    group: 'Requests',
    doc: 'Longest wait for a connection, in ms.',
  },
  'http.read.timeout.ms': {
    type: 'INT',
    default: 60_000,
    importance: 'LOW',
    valid: atLeast(1),
    group: 'Requests',
    doc: 'Longest wait for an answer, in ms.',
  },
  'max.retries': {
    type: 'INT',
    default: 3,
    importance: 'LOW',
    valid: atLeast(0),
    group: 'Requests',
    doc: 'How many times all addresses are asked again after none answered.',
  },
  'retries.wait.ms': {
    type: 'INT',
    default: 1000,
    importance: 'LOW',
    valid: atLeast(0),
    group: 'Requests',
    doc: 'Pause before the first repetition, in ms; doubled for each further one.',
  },
  'retries.max.wait.ms': {
    type: 'INT',
    default: 20_000,
    importance: 'LOW',
    valid: atLeast(0),
    group: 'Requests',
    doc: 'Longest pause between repetitions, in ms.',
  },
  'converter.type': converterTypeOption,
} as const

/** Only for its type: converters define their own config with these options in it. */
const registryConfig = defineConfig(registryOptions)

export type RegistryConfig = ConfigOf<typeof registryConfig>
