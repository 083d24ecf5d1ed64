import { readMessages } from '../../../connectors/redshift/messages.ts'
import type { FileMessage } from '../../../connectors/redshift/pending-file.ts'
import { messageOptions, tableMap } from '../../../connectors/redshift/settings.ts'
import { tableFor } from '../../../connectors/redshift/table-definition.ts'
import { kindOf } from '../../api/errors.ts'
import { SinkRecord } from '../../api/record.ts'
import { createKafkaClientFactory } from '../../kafka/client.ts'
import { createTopicLog } from '../../kafka/topic-log.ts'
import type { ClientProperties, TopicLogRecord } from '../../kafka/types.ts'
import { type Finding, some } from './finding.ts'
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
  const { config } = warehouse
  const map = tableMap(config)
  const announced = new Map<string, Announced>()
  let unreadable = 0
  for (const topic of warehouse.topics) {
    await readTopic(topic, connection, signal, (record) => {
      const messages = messagesOf(warehouse, topic, record)
      if (messages === null) unreadable++
      for (const message of messages ?? []) {
        announced.set(message.id, { message, table: tableFor(message, config['table.name.format'], map) })
      }
    })
  }
  const reported = new Set<string>()
  if (warehouse.deadLetterTopic !== null) {
    await readTopic(warehouse.deadLetterTopic, connection, signal, (record) => {
      for (const { id } of messagesOf(warehouse, '', record) ?? []) reported.add(id)
    })
  }
  return { announced: [...announced.values()], unreadable, reported }
}

function messagesOf(warehouse: Warehouse, topic: string, record: TopicLogRecord): readonly FileMessage[] | null {
  const { partition, offset, value } = record
  try {
    return readMessages(new SinkRecord({ topic, partition, offset, value }), messageOptions(warehouse.config))
  } catch (error) {
    if (kindOf(error) !== 'record') throw error
    return null
  }
}

/** A topic that does not exist has no records. */
async function readTopic(
  topic: string,
  connection: ClientProperties,
  signal: AbortSignal,
  onRecord: (record: TopicLogRecord) => void,
): Promise<void> {
  const clients = createKafkaClientFactory()
  await using admin = clients.admin(connection)
  if ((await admin.describeTopic(topic, signal)) === null) return
  let failure: Error | null = null
  const options = { topic, consumer: connection, admin: connection, producer: null }
  await using log = createTopicLog(clients, { ...options, onRecord, onError: (error) => (failure = error) })
  await log.start(signal)
  await log.readToEnd(signal)
  if (failure !== null) throw failure
}

/** Metadata topic ↔ ledgers: every announced set is loaded or reported. */
export function checkAnnounced(
  { announced, unreadable, reported }: Announcements,
  ledgers: ReadonlyMap<string, readonly LedgerEntry[]>,
): Finding {
  const loaded = new Set([...ledgers.values()].flatMap((entries) => entries.map(({ fileId }) => fileId)))
  const missing = announced.filter(({ message: { id } }) => !loaded.has(id) && !reported.has(id))
  // A set whose offsets others hold already is passed over without a row of its own in the ledger.
  const notCovered = missing.filter(({ message, table }) => !isCovered(message, ledgers.get(table) ?? []))
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
    differences: files.length === 0 ? [] : [`${files.length} announced files are not loaded: ${some(files, 10)}`],
    notes,
  }
}

/** Whether loaded files of its directories hold every offset of a set. */
function isCovered({ source, files }: FileMessage, entries: readonly LedgerEntry[]): boolean {
  if (source === null) return false
  const directories = new Set(files.map((f) => `${f.bucket}/${f.key.slice(0, f.key.lastIndexOf('/') + 1)}`))
  let next = source.firstOffset
  for (const entry of entries) {
    if (entry.topic !== source.topic || entry.partition !== source.partition) continue
    if (!directories.has(entry.directory) || entry.first > next) continue
    if (entry.last >= next) next = entry.last + 1n
  }
  return next > source.lastOffset
}

/** Source topic → files: the offsets that no file holds. Filtered and dead-lettered records are among them. */
export async function checkCoverage(
  { announced }: Announcements,
  connection: ClientProperties,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const clients = createKafkaClientFactory()
  await using admin = clients.admin(connection)
  const findings: Finding[] = []
  const sources = announced.flatMap(({ message }) => (message.source === null ? [] : [message.source]))
  for (const topic of new Set(sources.map((source) => source.topic))) {
    const described = await admin.describeTopic(topic, signal)
    if (described === null) continue
    const partitions = Array.from({ length: described.partitions }, (_, partition) => ({ topic, partition }))
    const begins = await admin.listOffsets(partitions, 'earliest', 'read_committed', signal)
    const ends = await admin.listOffsets(partitions, 'latest', 'read_committed', signal)
    let uncovered = 0n
    let behind = 0n
    for (const { partition } of partitions) {
      const ranges = sources.filter((source) => source.topic === topic && source.partition === partition)
      let next = begins.get(topic, partition) ?? 0n
      for (const { firstOffset, lastOffset } of ranges.toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))) {
        if (firstOffset > next) uncovered += firstOffset - next
        if (lastOffset >= next) next = lastOffset + 1n
      }
      const end = ends.get(topic, partition) ?? 0n
      if (end > next) behind += end - next
    }
    const notes: string[] = []
    if (uncovered > 0n)
      notes.push(`${uncovered} offsets lie between files: filtered, compacted, dead-lettered, or markers`)
    if (behind > 0n) notes.push(`${behind} offsets after the last file: not written yet, or filtered`)
    findings.push({
      what: `${topic} → files`,
      figures: {
        partitions: partitions.length,
        files: announced.length,
        uncovered: Number(uncovered),
        behind: Number(behind),
      },
      differences: [],
      notes,
    })
  }
  return findings
}
