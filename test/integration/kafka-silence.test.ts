import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import type { GroupEvent } from '../../worker/kafka/types.ts'
import { requireService } from '../support/services.ts'
import { openKafkaProxy } from '../support/tcp-proxy.ts'
import { eventually } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const { skip } = kafka
/** The least that a broker allows by default. */
const sessionTimeoutMs = 6_000

test('a member whose connection falls silent knows at the end of its session, and joins again', {
  skip,
  timeout: 60_000,
}, async (t) => {
  await using link = await openKafkaProxy(kafka.settings.brokers[0] ?? assert.fail('no broker'))
  const groupId = `silence-${randomUUID()}`
  await using member = createKafkaClientFactory().groupMember(
    { 'bootstrap.servers': `127.0.0.1:${link.port}` },
    { groupId, protocolType: 'connect', sessionTimeoutMs, rebalanceTimeoutMs: 10_000, heartbeatIntervalMs: 200 },
  )
  const events: GroupEvent['kind'][] = []
  member.onEvent(({ kind }) => events.push(kind))
  const protocols = [{ name: 'default', metadata: Buffer.from('state') }]
  const first = await member.join(protocols)
  await member.sync(new Map())
  link.blackHole()
  const silentAt = performance.now()
  await eventually(() => assert.ok(events.includes('lost')), 30_000)
  const knownMs = performance.now() - silentAt
  t.diagnostic(`known after ${Math.round(knownMs)} ms`)
  // Not only after request.timeout.ms, 30 s by default: until then the work would run twice (I7).
  assert.ok(knownMs < sessionTimeoutMs + 1_000)
  link.reset()
  link.heal()
  // The coordinator has forgotten the member, which is told once.
  await assert.rejects(member.join(protocols), { kind: 'fenced' })
  const next = await member.join(protocols)
  assert.ok(next.generation > first.generation)
})
