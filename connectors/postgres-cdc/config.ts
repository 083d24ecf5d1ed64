import { type ConfigOf, defineConfig } from '../../worker/api/config.ts'
import type { ConfigProblem } from '../../worker/api/errors.ts'
import { namingStrategyOf } from './names.ts'
import { compatibilityOptions } from './options/compatibility.ts'
import { connectionOptions, replicationOptions } from './options/connection.ts'
import { filterOptions, valueOptions } from './options/events.ts'
import { engineOptions, snapshotOptions, topicOptions } from './options/runtime.ts'

const required = ['database.hostname', 'database.user', 'database.dbname', 'topic.prefix'] as const

const exclusive = ['schema', 'table', 'column', 'message.prefix'] as const

/** A comma-separated list of nothing but these; null is one. */
const only =
  (...names: readonly string[]) =>
  (value: unknown) =>
    value === null ||
    String(value)
      .split(',')
      .every((item) => item.trim() === '' || names.includes(item.trim()))

/** Values that Debezium knows and this connector does not have yet: refused, so that nothing is silently ignored. */
const notYet: readonly {
  readonly option: string
  readonly supported: (value: unknown) => boolean
  readonly instead: string
}[] = [
  {
    option: 'signal.enabled.channels',
    supported: only('source', 'kafka', 'file', 'notify', 'jmx'),
    instead: 'use source, kafka, file or notify',
  },
  { option: 'notification.enabled.channels', supported: only('sink', 'log', 'jmx'), instead: 'use sink, log or both' },
]

/** Parts that `custom` names in Debezium's terms: those that it brings along exist here, too, Java classes do not. */
const custom = [
  {
    mode: 'snapshot.mode',
    what: 'snapshotter',
    provided: [
      'always',
      'initial',
      'initial_only',
      'no_data',
      'recovery',
      'when_needed',
      'when_needed_no_data',
      'configuration_based',
    ],
    instead: 'snapshot.mode=configuration_based decides by options',
  },
  {
    mode: 'snapshot.locking.mode',
    what: 'snapshot lock mode',
    provided: ['none', 'shared'],
    instead: 'use none or shared',
  },
  {
    mode: 'snapshot.query.mode',
    what: 'snapshot query mode',
    provided: ['select_all'],
    instead: 'give statements of your own as snapshot.select.statement.overrides',
  },
] as const

interface Rules {
  readonly 'max.batch.size': number
  readonly 'max.queue.size': number
}

function validate(config: Rules & Readonly<Record<string, unknown>>): readonly ConfigProblem[] {
  const problems: ConfigProblem[] = []
  const invalid = (option: string, detail: string) =>
    problems.push({ option, message: `The '${option}' value is invalid: ${detail}` })
  for (const option of required) {
    if (config[option] === null || config[option] === '') invalid(option, 'A value is required')
  }
  for (const what of exclusive) {
    const include = `${what}.include.list`
    const exclude = `${what}.exclude.list`
    if (config[include] !== null && config[exclude] !== null) invalid(exclude, `"${include}" is already specified`)
  }
  for (const { option, supported, instead } of notYet) {
    if (!supported(config[option])) invalid(option, `${String(config[option])} is not supported: ${instead}`)
  }
  for (const { mode, what, provided, instead } of custom) {
    if (config[mode] !== 'custom') continue
    const name = String(config[`${mode}.custom.name`] ?? 'custom')
    const known: readonly string[] = provided
    if (!known.includes(name))
      invalid(
        `${mode}.custom.name`,
        `Unable to find ${name} ${what}. Please check your configuration. Classes of the JVM cannot be loaded: ${instead}, or name one of ${known.join(', ')}`,
      )
  }
  if (namingStrategyOf(String(config['topic.naming.strategy'])) === 'DefaultRegexTopicNamingStrategy') {
    for (const option of ['topic.regex', 'topic.replacement'])
      if (config[option] === null) invalid(option, 'A value is required')
    if ((config['topic.key.field.regex'] === null) !== (config['topic.key.field.replacement'] === null))
      invalid('topic.key.field.replacement', 'It must be set exactly when topic.key.field.regex is')
  }
  if (
    String(config['notification.enabled.channels'] ?? '').includes('sink') &&
    config['notification.sink.topic.name'] === null
  )
    invalid('notification.sink.topic.name', 'The channel sink of notification.enabled.channels needs a topic')
  if (
    String(config['signal.enabled.channels'] ?? '').includes('kafka') &&
    config['signal.kafka.bootstrap.servers'] === null
  )
    invalid('signal.kafka.bootstrap.servers', 'The channel kafka of signal.enabled.channels needs brokers')
  const signals = config['signal.data.collection']
  if (String(signals ?? '').trim() !== '' && !/^[^.]+\.[^.]+/.test(String(signals)))
    invalid('signal.data.collection', 'Must be schema.table')
  if (config['max.queue.size'] <= config['max.batch.size'])
    invalid('max.queue.size', 'Must be larger than max.batch.size')
  return problems
}

/** Options of the connector: Debezium's names, meanings and defaults. */
export const postgresConfig = defineConfig(
  {
    ...connectionOptions,
    ...replicationOptions,
    ...filterOptions,
    ...valueOptions,
    ...snapshotOptions,
    ...topicOptions,
    ...engineOptions,
    ...compatibilityOptions,
  },
  { validate },
)

export type PostgresConfig = ConfigOf<typeof postgresConfig>
