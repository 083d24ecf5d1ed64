import { kafkaFor } from '../support/kafka-topics.ts'
import { eventAt } from './events.ts'

/** Partitions of the source topic and of the metadata topic. */
export const partitions = 6

/** The events that one of several producers writes: every `of`th number from `from` on, below `to`. */
export interface Share {
  readonly producer: number
  readonly of: number
  readonly from: number
  readonly to: number
}

/** Writes a share of the events, with a client of its own, as another application would. */
export async function produceEvents(brokers: string, topic: string, share: Share): Promise<void> {
  const { producer: n, of: count, from, to } = share
  const producer = kafkaFor(brokers, `payroll-app-${n}`).producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    const batch = 1_000
    for (let start = from + n; start < to; start += batch * count) {
      const messages = []
      for (let i = start; i < Math.min(to, start + batch * count); i += count) {
        const { key, value, debug } = eventAt(i)
        // Spread by number, not by key: four kinds would fill at most four of the partitions unevenly.
        messages.push({ key, value, partition: i % partitions, headers: debug ? { debug: '1' } : {} })
      }
      await producer.send({ topic, messages })
    }
  } finally {
    await producer.disconnect()
  }
}
