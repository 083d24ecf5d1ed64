/** Connector options that the runtime of a task reads, typed; the definitions are those that REST validates by. */
import { type ConfigOf, defineConfig } from '../api/config.ts'
import type { RawConfig } from '../api/connector.ts'
import { ConnectError } from '../api/errors.ts'
import { JavaRegex } from '../api/java-regex.ts'
import { parseConfig } from '../config/config-def.ts'
import {
  type SinkConnectorOptions,
  type SourceConnectorOptions,
  sinkConnectorOptions,
  sourceConnectorOptions,
} from '../config/connector-config.ts'
import { baseKeys } from '../config/connector-options.ts'
import type { Subscription } from '../kafka/types.ts'
import type { TaskId } from './worker-types.ts'

const commonOptions = defineConfig(baseKeys)

export type CommonOptions = ConfigOf<typeof commonOptions>
export type SourceOptions = SourceConnectorOptions
export type SinkOptions = SinkConnectorOptions

export function parseCommonOptions(config: RawConfig): CommonOptions {
  return parseConfig(commonOptions, config)
}

export function parseSourceOptions(config: RawConfig): SourceOptions {
  return parseConfig(sourceConnectorOptions, config)
}

/** Checks topics and dead letter queue too, at every start, as Connect does. */
export function parseSinkOptions(config: RawConfig): SinkOptions {
  return parseConfig(sinkConnectorOptions, config)
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

/** What a sink consumes; `topics` or `topics.regex`, never both (checked by the definition). */
export function subscriptionOf(options: SinkOptions): Subscription {
  const topics = [...new Set(options.topics)].filter((topic) => topic !== '')
  if (topics.length > 0) return { kind: 'topics', topics }
  return { kind: 'pattern', pattern: new JavaRegex(options['topics.regex']).whole }
}

export function taskName(id: TaskId): string {
  return `${id.connector}-${id.task}`
}
