/** Notifications: records of their own topic, or log lines, about the progress of snapshots. */
import { randomUUID } from 'node:crypto'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { makeSchema, Schemas } from '../../worker/api/data.ts'
import { type SourceOffset, type SourcePartition, SourceRecord } from '../../worker/api/record.ts'

const common = 'io.debezium.connector.common'

const keySchema = makeSchema({
  type: 'STRUCT',
  name: `${common}.NotificationKey`,
  version: 1,
  fields: [{ name: 'id', schema: Schemas.string }],
})

const valueSchema = makeSchema({
  type: 'STRUCT',
  name: `${common}.Notification`,
  version: 1,
  fields: [
    { name: 'id', schema: Schemas.string },
    { name: 'type', schema: Schemas.string },
    { name: 'aggregate_type', schema: Schemas.string },
    {
      name: 'additional_data',
      schema: makeSchema({ type: 'MAP', keySchema: Schemas.string, valueSchema: Schemas.string, optional: true }),
    },
    { name: 'timestamp', schema: Schemas.int64 },
  ],
})

export interface Notification {
  readonly aggregate: 'Initial Snapshot' | 'Incremental Snapshot'
  readonly type: string
  /** Id of the signal that caused it; absent: a new one. */
  readonly id?: string
  readonly data?: Readonly<Record<string, string>>
}

export interface NotificationSettings {
  /** Topic of the channel `sink`; null without it. */
  readonly topic: string | null
  /** Channel `log`. */
  readonly logs: boolean
}

export class Notifications {
  readonly #settings: NotificationSettings
  readonly #context: {
    readonly logicalName: string
    readonly partition: SourcePartition
    readonly clock: Clock
    readonly logger: Logger
  }

  constructor(
    settings: NotificationSettings,
    context: {
      readonly logicalName: string
      readonly partition: SourcePartition
      readonly clock: Clock
      readonly logger: Logger
    },
  ) {
    this.#settings = settings
    this.#context = context
  }

  get enabled(): boolean {
    return this.#settings.topic !== null || this.#settings.logs
  }

  /**
   * The record of a notification; null where no topic is set.
   * @param offset what the record carries: a notification moves no position
   */
  record(notification: Notification, offset: SourceOffset): SourceRecord | null {
    const { logicalName, partition, clock, logger } = this.#context
    const { aggregate, type, id = randomUUID(), data = {} } = notification
    if (this.#settings.logs) logger.info({ aggregate, type, id, ...data }, 'Notification')
    if (this.#settings.topic === null) return null
    return new SourceRecord({
      sourcePartition: partition,
      sourceOffset: offset,
      topic: this.#settings.topic,
      keySchema,
      key: { id },
      valueSchema,
      value: {
        id,
        type,
        aggregate_type: aggregate,
        additional_data: new Map([['connector_name', logicalName], ...Object.entries(data)]),
        timestamp: BigInt(clock.now()),
      },
    })
  }
}
