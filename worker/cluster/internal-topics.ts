import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, kindOf, toError } from '../api/errors.ts'
import type { Admin, NewTopic } from '../kafka/types.ts'

export interface InternalTopic extends NewTopic {
  /** Option that names the topic, e.g. `config.storage.topic`. */
  readonly option: string
  /** What it holds, in the plural, e.g. `connector configurations`. */
  readonly content: string
}

export interface EnsureTopicOptions {
  readonly admin: Admin
  readonly clock: Clock
  readonly logger: Logger
  /** How long creation is tried again, in ms (`default.api.timeout.ms`). */
  readonly timeoutMs: number
  readonly retryBackoffMs: number
}

/**
 * Creates an internal topic if it is not there, and refuses one that is not compacted (Connect 2.1). A worker that
 * may not create, or may not look, relies on the topic being right.
 * @throws ConnectError with Connect's text
 */
export async function ensureInternalTopic(
  topic: InternalTopic,
  options: EnsureTopicOptions,
  signal?: AbortSignal,
): Promise<void> {
  const created = await create(topic, options, signal)
  if (created) {
    options.logger.info({ topic: topic.topic }, 'created an internal topic')
    return
  }
  await checkCompaction(topic, options, signal)
}

async function create(topic: InternalTopic, options: EnsureTopicOptions, signal?: AbortSignal): Promise<boolean> {
  const deadline = options.clock.monotonicMs() + options.timeoutMs
  const request: NewTopic = {
    topic: topic.topic,
    partitions: topic.partitions,
    replicationFactor: topic.replicationFactor,
    configs: { ...topic.configs, 'cleanup.policy': 'compact' },
  }
  for (;;) {
    try {
      return await options.admin.createTopic(request, signal)
    } catch (error) {
      signal?.throwIfAborted()
      if (isAuthorization(error)) {
        options.logger.warn({ topic: topic.topic, error }, 'not allowed to create an internal topic; it has to exist')
        return false
      }
      // Among the retriable: too few brokers for the replication factor, while a cluster starts.
      if (kindOf(error) !== 'retriable' || options.clock.monotonicMs() >= deadline) {
        throw new ConnectError(
          'fatal',
          'CONNECT_INTERNAL_TOPIC',
          `Error while attempting to create/find topic '${topic.topic}' (option '${topic.option}'): ${toError(error).message}`,
          { cause: error },
        )
      }
      options.logger.debug({ topic: topic.topic, error }, 'creating an internal topic is tried again')
      await options.clock.sleep(options.retryBackoffMs, signal)
    }
  }
}

function isAuthorization(error: unknown): boolean {
  return error instanceof ConnectError && error.code === 'CONNECT_KAFKA_AUTHORIZATION'
}

async function checkCompaction(topic: InternalTopic, options: EnsureTopicOptions, signal?: AbortSignal): Promise<void> {
  let policy: string | undefined
  try {
    policy = (await options.admin.topicConfigs(topic.topic, signal)).get('cleanup.policy')
  } catch (error) {
    signal?.throwIfAborted()
    options.logger.info({ topic: topic.topic, error }, 'cannot check the cleanup policy of an internal topic')
    return
  }
  const problem = policyProblem(topic, policy)
  if (problem !== null) throw new ConnectError('fatal', 'CONNECT_INTERNAL_TOPIC_CLEANUP', problem)
}

/** Why an internal topic must not have this `cleanup.policy`, in Connect's words; null when it may, or it is not known. */
export function policyProblem(topic: InternalTopic, policy: string | undefined): string | null {
  if (policy === undefined || policy.split(',').every((part) => part.trim() === 'compact')) return null
  return (
    `Topic '${topic.topic}' supplied via the '${topic.option}' property is required to have 'cleanup.policy=compact' ` +
    `to guarantee consistency and durability of ${topic.content}, but found the topic currently has ` +
    `'cleanup.policy=${policy}'. Continuing would likely result in eventually losing ${topic.content} and problems ` +
    `restarting this Connect cluster in the future. Change the '${topic.option}' property in the Connect worker ` +
    `configurations to use a topic with 'cleanup.policy=compact'.`
  )
}
