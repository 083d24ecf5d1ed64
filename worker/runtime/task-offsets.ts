/** Where a source task writes its offsets; in the task's own thread. */
import { ConnectError } from '../api/errors.ts'
import { type OffsetSink, producerOffsetSink } from '../cluster/offset-writer.ts'
import type { Producer } from '../kafka/types.ts'
import { offsetProducerProperties, producerProperties, sameCluster } from './client-properties.ts'
import { BackedUpOffsets, type OffsetLayout, offsetLayout } from './offset-layout.ts'
import { deadline } from './run-state.ts'
import type { TaskEnvironment } from './task-environment.ts'

/** How long clients of a stopped task may take for what is outstanding. */
const closeTimeoutMs = 30_000

export interface TaskOffsets {
  readonly sink: OffsetSink
  readonly layout: OffsetLayout
  /** For exactly-once: what became of the transaction of the writes so far. */
  confirm(): void
  discard(): void
}

/**
 * Opens the sink; the connector's own topic is created when it is not there.
 * @param options.producer the task's; transactional in exactly-once mode, so that offsets join its transactions
 * @param options.hard aborted when nothing outstanding is to be waited for
 */
export async function openTaskOffsets(options: {
  readonly env: TaskEnvironment
  readonly producer: Producer
  readonly resources: AsyncDisposableStack
  readonly hard: AbortSignal
}): Promise<TaskOffsets> {
  const { env, producer, resources, hard } = options
  const { settings, services, scope, logger, id } = env
  const layout = offsetLayout(scope, id, settings)
  const workersSink = (): OffsetSink => {
    const topic = settings.offsetTopic
    if (topic === null) return { write: (records) => services.writeOffsets(records) }
    const own = offsetProducerProperties(scope, id)
    const joins = !settings.exactlyOnceSource && sameCluster(own, producerProperties(scope, id))
    if (joins) return producerOffsetSink(producer, topic)
    const separate = env.kafka.producer(own)
    resources.defer(() => separate.close(hard.aborted ? 0 : closeTimeoutMs))
    return producerOffsetSink(separate, topic)
  }
  const nothing = (): void => undefined
  if (layout.topic === null) return { sink: workersSink(), layout, confirm: nothing, discard: nothing }
  const primary = producerOffsetSink(producer, layout.topic)
  if (layout.isWorkers) return { sink: primary, layout, confirm: nothing, discard: nothing }
  // Opens the store on the main thread, which creates the topic.
  await services.readOffsets(id.connector, [])
  const sink = new BackedUpOffsets({
    primary,
    backup: workersSink(),
    logger,
    transactional: settings.exactlyOnceSource,
  })
  resources.defer(async () => {
    using limit = deadline(closeTimeoutMs, hard)
    await sink.close(limit.signal)
  })
  return { sink, layout, confirm: () => sink.confirm(), discard: () => sink.discard() }
}

/** In a transaction, offsets and records of one topic would wait for each other (statement 125). @throws ConnectError */
export function refuseOwnOffsetTopic(topic: string, layout: OffsetLayout, exactlyOnce: boolean): void {
  if (!exactlyOnce || topic !== layout.topic) return
  throw new ConnectError(
    'fatal',
    'CONNECT_OWN_OFFSET_TOPIC',
    'Source tasks may not produce to their own offsets topics when exactly-once support is enabled',
    { context: { topic } },
  )
}
