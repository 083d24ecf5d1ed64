/** Connector options that the runtime of a task reads, typed; the definitions are those that REST validates by. */
import { type ConfigOf, defineConfig } from '../api/config.ts'
import type { RawConfig } from '../api/connector.ts'
import { ConfigError, ConnectError } from '../api/errors.ts'
import { parseConfig } from '../config/config-def.ts'
import { baseKeys, sinkKeys, sourceKeys } from '../config/connector-options.ts'
import type { Subscription } from '../kafka/types.ts'
import type { TaskId } from './worker-types.ts'

const commonOptions = defineConfig(baseKeys)
const sourceOptions = defineConfig({ ...baseKeys, ...sourceKeys })
const sinkOptions = defineConfig({ ...baseKeys, ...sinkKeys })

export type CommonOptions = ConfigOf<typeof commonOptions>
export type SourceOptions = ConfigOf<typeof sourceOptions>
export type SinkOptions = ConfigOf<typeof sinkOptions>

export function parseCommonOptions(config: RawConfig): CommonOptions {
  return parseConfig(commonOptions, config)
}

export function parseSourceOptions(config: RawConfig): SourceOptions {
  return parseConfig(sourceOptions, config)
}

export function parseSinkOptions(config: RawConfig): SinkOptions {
  return parseConfig(sinkOptions, config)
}

/** @throws ConnectError with Connect's text when there are more tasks than `tasks.max` and that is enforced */
export function checkTaskCount(connector: string, taskCount: number, options: CommonOptions): void {
  const max = options['tasks.max']
  if (taskCount <= max || !options['tasks.max.enforce']) return
  throw new ConnectError(
    'fatal',
    'CONNECT_TASKS_MAX',
    `The connector ${connector} has generated ${taskCount} tasks, which is greater than ${max}, the maximum number ` +
      'of tasks it is configured to create. This behaviour should be considered a bug and is disallowed. If ' +
      "necessary, it can be permitted by reconfiguring the connector with 'tasks.max.enforce' set to false; however, " +
      'this option will be removed in a future release of Kafka Connect.',
    { context: { connector, taskCount } },
  )
}

/** What a sink consumes; checked again at every start, as in Connect. @throws ConfigError */
export function subscriptionOf(options: SinkOptions): Subscription {
  const topics = [...new Set(options.topics.filter((topic) => topic !== ''))]
  const regex = options['topics.regex'].trim()
  const problem = (option: string, message: string): ConfigError => new ConfigError([{ option, message }])
  if (topics.length > 0 && regex !== '') {
    throw problem('topics', 'topics and topics.regex are mutually exclusive options, but both are set.')
  }
  const deadLetters = options['errors.deadletterqueue.topic.name'].trim()
  if (topics.length > 0) {
    if (topics.includes(deadLetters)) {
      const list = topics.join(', ')
      throw problem(
        'topics',
        `The DLQ topic '${deadLetters}' may not be included in the list of topics ('topics=[${list}]') consumed by the connector`,
      )
    }
    return { kind: 'topics', topics }
  }
  if (regex === '') throw problem('topics', 'Must configure one of topics or topics.regex')
  const pattern = new RegExp(`^(?:${regex})$`, 'u')
  if (deadLetters !== '' && pattern.test(deadLetters)) {
    throw problem(
      'topics.regex',
      `The DLQ topic '${deadLetters}' may not be matched by the regex for the topics ('topics.regex=${regex}') consumed by the connector`,
    )
  }
  return { kind: 'pattern', pattern }
}

export function taskName(id: TaskId): string {
  return `${id.connector}-${id.task}`
}
