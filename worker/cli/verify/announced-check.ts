import { readMessages } from '../../../connectors/redshift/messages.ts'
import { isCovered, overlappingRows } from '../../../connectors/redshift/overlaps.ts'
import type { FileMessage } from '../../../connectors/redshift/pending-file.ts'
import { messageOptions, nameOptions } from '../../../connectors/redshift/settings.ts'
import { tableFor } from '../../../connectors/redshift/table-names.ts'
import { ConfigError, kindOf } from '../../api/errors.ts'
import { SinkRecord } from '../../api/record.ts'
import type { TopicPartition } from '../../api/topic-partition.ts'
import { createKafkaClientFactory } from '../../kafka/client.ts'
import { createTopicLog } from '../../kafka/topic-log.ts'
import type { ClientProperties, TopicLogRecord } from '../../kafka/types.ts'
import { differencesOf, type Look } from './finding.ts'
import type { LedgerEntry } from './ledger-check.ts'
import type { Warehouse } from './target.ts'

/** A message of the metadata topic, with the table that the sink loads it into. */
export interface Announced {
  readonly message: FileMessage
  readonly table: string
}

/** What the metadata topics say. */
export interface Announcements {
  readonly announced: readonly Announced[]
  /** Whether the topics still hold every message that was ever written to them. */
  readonly isComplete: boolean
  /** Records that are no messages, or none that can be loaded. */
  readonly unreadable: number
  /** Ids of the messages in the dead letter queue. */
  readonly reported: ReadonlySet<string>
}

/** Reads the metadata topics, and the dead letter queue of the sink, from beginning to end. */
export async function readAnnouncements(
  warehouse: Warehouse,
  connection: ClientProperties,
  signal: AbortSignal,
): Promise<Announcements> {
  const announced = new Map<string, Announced>()
  let unreadable = 0
  let isComplete = true
  for (const topic of warehouse.topics) {
    const begins = await readTopic(topic, connection, signal, (record) => {
      const found = announcedBy(warehouse, topic, record)
      if (found === null) unreadable++
      for (const each of found ?? []) announced.set(each.message.id, each)
    })
    if (begins === null) {
      throw new ConfigError([{ option: 'topics', message: `the metadata topic ${topic} does not exist there` }])
    }
    isComplete &&= begins.every((offset) => offset === 0n)
  }
  const reported = new Set<string>()
  if (warehouse.deadLetterTopic !== null) {
    await readTopic(warehouse.deadLetterTopic, connection, signal, (record) => {
      for (const { message } of announcedBy(warehouse, '', record) ?? []) reported.add(message.id)
    })
  }
  return { announced: [...announced.values()], isComplete, unreadable, reported }
}

/** What a record announces, as the sink reads it; null when the sink reports it. */
function announcedBy({ config }: Warehouse, topic: string, record: TopicLogRecord): readonly Announced[] | null {
  const { partition, offset, value } = record
  const names = nameOptions(config)
  try {
    const messages = readMessages(new SinkRecord({ topic, partition, offset, value }), messageOptions(config))
    return messages.map((message) => ({ message, table: tableFor(message, names) }))
  } catch (error) {
    if (kindOf(error) !== 'record') throw error
    return null
  }
}

/** @returns the first offset of each partition; null when there is no such topic */
async function readTopic(
  topic: string,
  connection: ClientProperties,
  signal: AbortSignal,
  onRecord: (record: TopicLogRecord) => void,
): Promise<readonly bigint[] | null> {
  const clients = createKafkaClientFactory()
  await using admin = clients.admin(connection)
  const described = await admin.describeTopic(topic, signal)
  if (described === null) return null
  // Before the records: what is deleted meanwhile makes the log look complete that was just read.
  const partitions = partitionsOf(topic, described.partitions)
  const begins = await admin.listOffsets(partitions, 'earliest', 'read_uncommitted', signal)
  let failure: Error | null = null
  const options = { topic, consumer: connection, admin: connection, producer: null }
  await using log = createTopicLog(clients, { ...options, onRecord, onError: (error) => (failure = error) })
  await log.start(signal)
  await log.readToEnd(signal)
  if (failure !== null) throw failure
  return partitions.map(({ partition }) => begins.get(topic, partition) ?? 0n)
}

export const partitionsOf = (topic: string, count: number): readonly TopicPartition[] =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }))

/** Metadata topic ↔ ledgers: every announced set is loaded or reported. */
export function checkAnnounced(
  { announced, unreadable, reported }: Announcements,
  ledgers: ReadonlyMap<string, readonly LedgerEntry[]>,
): Look {
  const loaded = new Set([...ledgers.values()].flatMap((entries) => entries.map(({ fileId }) => fileId)))
  const missing = announced.filter(({ message: { id } }) => !loaded.has(id) && !reported.has(id))
  // A set whose offsets others hold already is passed over without a row of its own in the ledger.
  const notCovered = missing.filter(
    ({ message, table }) => !isCovered(message, overlappingRows(message, ledgers.get(table) ?? [])),
  )
  const files = notCovered.map(({ message, table }) => `${message.files[0]?.key ?? message.id} (${table})`)
  const notes: string[] = []
  if (reported.size > 0) notes.push(`${reported.size} messages are in the dead letter queue`)
  if (unreadable > 0) notes.push(`${unreadable} records of the metadata topics are no messages`)
  if (missing.length > notCovered.length) {
    notes.push(`${missing.length - notCovered.length} sets hold nothing that others did not bring`)
  }
  return {
    what: 'metadata topic → ledgers',
    figures: { announced: announced.length, loaded: announced.length - missing.length },
    differences: differencesOf({ 'announced files are not loaded': files }),
    notes,
  }
}
