/**
 * The stream application in the middle, as a team would write it: an ordinary consumer and a transactional producer.
 * It is no part of the worker.
 *
 * - *calculate step*: folds the items of a conversation into where its review stands;
 * - *joins*: users ⋈ conversations ⋈ steps, one document per conversation;
 * - *maybe tombstone*: a closed conversation becomes a null value under the same key.
 *
 * Usage: stream.ts <brokers> <shop>; topics and group are named after the shop
 */
import { type EachBatchPayload, Kafka, logLevel } from 'kafkajs'

const [brokers, shop] = process.argv.slice(2)
if (brokers === undefined || shop === undefined) throw new Error('usage: stream.ts <brokers> <shop>')
const topics = { users: `${shop}.users`, conversations: `${shop}.conversations`, items: `${shop}.conversation_items` }
const target = `${shop}.documents`
const groupId = `${shop}-documents`

interface Conversation {
  userUid: string
  subject: string
  closed: boolean
  known: boolean
  /** Item types by id. */
  readonly items: Map<string, string>
}

const users = new Map<string, string>()
const conversations = new Map<string, Conversation>()
const conversationsOfUser = new Map<string, Set<string>>()

function conversation(uid: string): Conversation {
  let found = conversations.get(uid)
  if (found === undefined) {
    found = { userUid: '', subject: '', closed: false, known: false, items: new Map() }
    conversations.set(uid, found)
  }
  return found
}

/** Where the review of a conversation stands, from its items in order of their ids. */
function stepOf(items: ReadonlyMap<string, string>): string {
  let step = 'needs_review_invite'
  const inOrder = [...items].sort(([a], [b]) => Number(BigInt(a) - BigInt(b)))
  for (const [, type] of inOrder) {
    if (type === 'review_invite' && step === 'needs_review_invite') step = 'needs_review'
    else if (type === 'review') step = 'needs_review_response'
    else if (type === 'message' && step === 'needs_review_response') step = 'finished'
  }
  return step
}

/** Takes one change in; gives the conversations whose documents may have changed. */
function apply(topic: string, key: Buffer | null, value: Buffer | null): readonly string[] {
  if (key === null || value === null) return []
  const row = JSON.parse(value.toString()) as Record<string, string | null>
  switch (topic) {
    case topics.users: {
      users.set(`${row['uid']}`, `${row['first_name']} ${row['last_name']}`)
      return [...(conversationsOfUser.get(`${row['uid']}`) ?? [])]
    }
    case topics.conversations: {
      const uid = `${row['uid']}`
      const entry = conversation(uid)
      entry.userUid = `${row['user_uid']}`
      entry.subject = `${row['subject']}`
      entry.closed = row['closed_at'] !== null
      entry.known = true
      let of = conversationsOfUser.get(entry.userUid)
      if (of === undefined) conversationsOfUser.set(entry.userUid, (of = new Set()))
      of.add(uid)
      return [uid]
    }
    default: {
      const uid = `${row['conversation_uid']}`
      conversation(uid).items.set(`${row['id']}`, `${row['type']}`)
      return [uid]
    }
  }
}

function documentOf(uid: string): { key: string; value: string | null } | null {
  const entry = conversation(uid)
  const user = users.get(entry.userUid)
  if (!entry.known || user === undefined) return null
  if (entry.closed) return { key: uid, value: null }
  return {
    key: uid,
    value: JSON.stringify({
      conversation_uid: uid,
      user_uid: entry.userUid,
      user,
      subject: entry.subject,
      step: stepOf(entry.items),
      items: entry.items.size,
    }),
  }
}

const kafka = new Kafka({
  brokers: brokers.split(','),
  clientId: groupId,
  logLevel: logLevel.NOTHING,
  retry: { retries: 20 },
})
const consumer = kafka.consumer({ groupId, sessionTimeout: 10_000, rebalanceTimeout: 10_000, maxWaitTimeInMs: 20 })
const producer = kafka.producer({ transactionalId: groupId, maxInFlightRequests: 1 })
const admin = kafka.admin()

// The state lives in memory: after a restart it is read again from the beginning, and what the group has committed
// before is only taken in, not sent again.
const restoreUntil = new Map<string, bigint>()

async function eachBatch({ batch, heartbeat }: EachBatchPayload): Promise<void> {
  const changed = new Set<string>()
  const until = restoreUntil.get(`${batch.topic}:${batch.partition}`) ?? 0n
  for (const message of batch.messages) {
    const touched = apply(batch.topic, message.key, message.value)
    if (BigInt(message.offset) >= until) for (const uid of touched) changed.add(uid)
  }
  const messages = [...changed].map(documentOf).filter((message) => message !== null)
  const next = (BigInt(batch.lastOffset()) + 1n).toString()
  if (BigInt(next) <= until) return
  const transaction = await producer.transaction()
  try {
    for (let i = 0; i < messages.length; i += 2_000) {
      await transaction.send({ topic: target, messages: messages.slice(i, i + 2_000) })
    }
    await transaction.sendOffsets({
      consumerGroupId: groupId,
      topics: [{ topic: batch.topic, partitions: [{ partition: batch.partition, offset: next }] }],
    })
    await transaction.commit()
  } catch (error) {
    await transaction.abort()
    throw error
  }
  await heartbeat()
}

await Promise.all([admin.connect(), producer.connect(), consumer.connect()])
for (const { topic, partitions } of await admin.fetchOffsets({ groupId, topics: Object.values(topics) })) {
  for (const { partition, offset } of partitions)
    restoreUntil.set(`${topic}:${partition}`, BigInt(offset) < 0n ? 0n : BigInt(offset))
}
await admin.disconnect()
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
    for (const partition of partitions) consumer.seek({ topic, partition, offset: '0' })
  }
})
await consumer.subscribe({ topics: Object.values(topics), fromBeginning: true })
await consumer.run({ autoCommit: false, eachBatch })

process.once('SIGTERM', () => {
  void Promise.allSettled([consumer.disconnect(), producer.disconnect()]).then(() => process.exit(0))
})
