import type { TopicPartition } from '../../api/topic-partition.ts'
import { createKafkaClientFactory } from '../../kafka/client.ts'
import type { Admin, ClientProperties } from '../../kafka/types.ts'
import { type Announcements, partitionsOf } from './announced-check.ts'
import { differencesOf, type Look, some } from './finding.ts'

/** Offsets that no file holds, both inclusive. */
interface Gap {
  readonly first: bigint
  readonly last: bigint
}

/** The offsets of a partition before the end of its last file that no file holds. */
interface PartitionGaps {
  readonly at: TopicPartition
  readonly gaps: readonly Gap[]
  /** How many offsets lie after the last file. */
  readonly behind: bigint
}

/** How the source topics are looked at. */
export interface CoverageOptions {
  readonly connection: ClientProperties
  /** Whether records between files are looked for in the topic, and count. */
  readonly readsRecords: boolean
}

/** A gap that begins this far away is sought, nearer ones are read up to. */
const seekOffsets = 10_000n
const pollMs = 500

/**
 * Source topic → files: the offsets that no file holds. Markers of transactions and what compaction took are among
 * them, and no records; filtered and dead-lettered ones are. Only the topic can tell: it is read where asked for.
 */
export async function checkCoverage(
  announcements: Announcements,
  options: CoverageOptions,
  signal: AbortSignal,
): Promise<readonly Look[]> {
  const clients = createKafkaClientFactory()
  await using admin = clients.admin(options.connection)
  const looks: Look[] = []
  const topics = announcements.announced.flatMap(({ message: { source } }) => (source === null ? [] : [source.topic]))
  for (const topic of new Set(topics)) looks.push(await checkTopic(topic, { announcements, options, admin }, signal))
  return looks
}

async function checkTopic(
  topic: string,
  { announcements, options, admin }: { announcements: Announcements; options: CoverageOptions; admin: Admin },
  signal: AbortSignal,
): Promise<Look> {
  const what = `${topic} → files`
  const described = await admin.describeTopic(topic, signal)
  if (described === null) {
    return { what, figures: {}, differences: [], notes: ['the source topic does not exist there any more'] }
  }
  const found = await gapsOf(announcements, partitionsOf(topic, described.partitions), admin, signal)
  const ranges = found.flatMap(({ at, gaps }) => gaps.map(({ first, last }) => `${at.partition}-${first}..${last}`))
  const sum = (numbers: readonly bigint[]) => numbers.reduce((total, number) => total + number, 0n)
  const uncovered = sum(found.flatMap(({ gaps }) => gaps.map(({ first, last }) => last - first + 1n)))
  const behind = sum(found.map((partition) => partition.behind))
  const lost: string[] = []
  const notes: string[] = []
  if (uncovered > 0n && options.readsRecords) {
    for (const partition of found) lost.push(...(await readGaps(partition, options.connection, signal)))
  } else if (uncovered > 0n) {
    const why = 'filtered, compacted, dead-lettered, or markers; --records tells'
    notes.push(`${uncovered} offsets lie between files (${why}): ${some(ranges, 10)}`)
  }
  if (behind > 0n) notes.push(`${behind} offsets after the last file: not written yet, or filtered`)
  const files = announcements.announced.filter(({ message }) => message.source?.topic === topic).length
  const figures = { partitions: described.partitions, files, uncovered: Number(uncovered), behind: Number(behind) }
  return { what, figures, differences: differencesOf({ 'records are in no file': lost }), notes }
}

async function gapsOf(
  { announced, isComplete }: Announcements,
  partitions: readonly TopicPartition[],
  admin: Admin,
  signal: AbortSignal,
): Promise<readonly PartitionGaps[]> {
  const begins = await admin.listOffsets(partitions, 'earliest', 'read_committed', signal)
  // Transactions that are open hold records back from the sinks, too.
  const ends = await admin.listOffsets(partitions, 'latest', 'read_committed', signal)
  return partitions.map((at) => {
    const { topic, partition } = at
    const ranges = announced
      .flatMap(({ message: { source } }) => (source?.topic === topic && source.partition === partition ? [source] : []))
      .toSorted((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1))
    const begin = begins.get(topic, partition) ?? 0n
    // Files before the first that the metadata topic remembers may have been there.
    const known = isComplete ? begin : (ranges[0]?.firstOffset ?? begin)
    let next = known > begin ? known : begin
    const end = ends.get(topic, partition) ?? 0n
    const gaps: Gap[] = []
    for (const { firstOffset, lastOffset } of ranges) {
      // A topic that was made anew ends before what files hold of the old one.
      const until = firstOffset < end ? firstOffset : end
      if (until > next) gaps.push({ first: next, last: until - 1n })
      if (lastOffset >= next) next = lastOffset + 1n
    }
    return { at, gaps, behind: end > next ? end - next : 0n }
  })
}

/** The committed records that are in the gaps of a partition, as `partition-offset`. */
async function readGaps(
  { at, gaps }: PartitionGaps,
  connection: ClientProperties,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const found: string[] = []
  const [first] = gaps
  if (first === undefined) return found
  const properties = { ...connection, 'isolation.level': 'read_committed', 'auto.offset.reset': 'earliest' }
  await using consumer = createKafkaClientFactory().consumer(properties)
  consumer.assign([at])
  consumer.seek(at, first.first)
  let position = first.first
  for (const gap of gaps) {
    if (gap.first > position + seekOffsets) consumer.seek(at, (position = gap.first))
    while (position <= gap.last) {
      signal.throwIfAborted()
      for (const batch of await consumer.poll(pollMs, signal)) {
        for (const { offset } of batch.records) if (isInGap(gaps, offset)) found.push(`${at.partition}-${offset}`)
        position = batch.nextOffset
      }
    }
  }
  return found
}

/** By halving: gaps are in order. */
function isInGap(gaps: readonly Gap[], offset: bigint): boolean {
  let low = 0
  let high = gaps.length
  while (low < high) {
    const middle = (low + high) >> 1
    const gap = gaps[middle]
    if (gap === undefined || offset < gap.first) high = middle
    else if (offset > gap.last) low = middle + 1
    else return true
  }
  return false
}
