/** Opening of a sink's dead letter queue: its topic, and a producer of its own (KIP-298). */
import { ConnectError } from '../api/errors.ts'
import { adminProperties, deadLetterProducerProperties } from './client-properties.ts'
import { DeadLetterReporter } from './error-reporters.ts'
import type { ErrorCounters } from './retry.ts'
import type { TaskEnvironment } from './task-environment.ts'
import type { SinkOptions } from './task-options.ts'

/** @returns null when `errors.deadletterqueue.topic.name` is blank. @throws ConnectError with Connect's text */
export async function openDeadLetterQueue(
  env: TaskEnvironment,
  options: SinkOptions,
  counters: ErrorCounters,
  signal: AbortSignal,
): Promise<DeadLetterReporter | null> {
  const topic = options['errors.deadletterqueue.topic.name'].trim()
  if (topic === '') return null
  const producer = env.kafka.producer(deadLetterProducerProperties(env.scope, env.id))
  try {
    // Nothing after the hyphen, as in Connect.
    await using admin = env.kafka.admin(adminProperties(env.scope, 'connector-dlq-adminclient-'))
    if ((await admin.describeTopic(topic, signal)) === null) {
      const replicationFactor = options['errors.deadletterqueue.topic.replication.factor']
      await admin.createTopic({ topic, partitions: 1, replicationFactor }, signal)
    }
    await untilKnown(env, () => producer.partitionsOf(topic, signal), signal)
  } catch (error) {
    await producer.close(0)
    const message = `Could not initialize dead letter queue with topic=${topic}`
    throw new ConnectError('fatal', 'CONNECT_DLQ_INIT', message, { cause: error, context: { topic } })
  }
  return new DeadLetterReporter({
    id: env.id,
    topic,
    contextHeaders: options['errors.deadletterqueue.context.headers.enable'],
    producer,
    logger: env.logger,
    counters,
  })
}

/** A topic that was just created takes a moment until every broker tells of it. */
async function untilKnown(env: TaskEnvironment, load: () => Promise<number>, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await load()
      return
    } catch (error) {
      if (attempt === 20 || signal.aborted || !(error instanceof ConnectError) || error.kind !== 'retriable')
        throw error
      await env.clock.sleep(250, signal)
    }
  }
}
