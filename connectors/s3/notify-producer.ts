import type { TopicProducer } from '../../worker/api/context.ts'
import { ConfigError } from '../../worker/api/errors.ts'
import type { SinkTaskContext } from '../../worker/api/task.ts'

const prefix = 'notify.kafka.'

/** What the offsets wait for must not be had for less (I1), and messages of a partition stay in order (I4). */
const refusals: Readonly<Record<string, (text: string) => string | null>> = {
  acks: (text) =>
    text === 'all' || text === '-1' ? null : 'must be all: offsets are committed when messages are safe',
  'enable.idempotence': (text) => (text === 'true' ? null : 'must be true: repeats would come out of order'),
  'transactional.id': () => 'does not go with messages outside of transactions: remove it',
}

/**
 * Producer of the metadata topic: the task's own, or one of its own with `notify.kafka.*`.
 * @throws ConfigError for options that would weaken it, or that the worker's override policy forbids
 */
export function notifyProducer(context: SinkTaskContext): TopicProducer {
  const options = Object.entries(context.rawConfig).filter(([option]) => option.startsWith(prefix))
  if (options.length === 0) return context.producer
  const problems = options.flatMap(([option, text]) => {
    const message = refusals[option.slice(prefix.length)]?.(text.trim().toLowerCase()) ?? null
    return message === null ? [] : [{ option, message }]
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return context.producerWith(prefix)
}
