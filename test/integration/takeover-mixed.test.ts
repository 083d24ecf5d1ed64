import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requireJavaConnect } from '../support/java-connect.ts'
import {
  ask,
  assertForwards,
  assertNewTaskConfigs,
  complaints,
  lastRebalance,
  MixedGroup,
} from '../support/mixed-group.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { textOf, topicRecords } from '../support/topic-records.ts'
import { ClusterUnderTest } from '../support/worker-process.ts'

const kafka = requireService('kafka')
const skip = skipUnless(kafka, requireJavaConnect())

test('Kafka Connect and Sluice share one group, whoever leads it, and take over from each other', {
  skip,
  timeout: 350_000,
}, async (t) => {
  await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, {
    'exactly.once.source.support': 'enabled',
  })
  const group = new MixedGroup(cluster, kafka.settings.brokers)
  let isBroken = false
  const step = (name: string, body: () => Promise<void>): Promise<void> =>
    t.test(name, { skip: isBroken && 'a step before it failed' }, async () => {
      isBroken = true
      await body()
      isBroken = false
    })
  let java = await group.startJava()
  let sluice = await group.startSluice()

  await step('Kafka Connect leads: connectors are spread, requests are forwarded and signed', async () => {
    for (const through of [java, sluice, java, sluice]) await group.create(through)
    await group.write()
    await group.isSpread([java, sluice])
    assert.deepEqual(lastRebalance(sluice), { ...lastRebalance(sluice), leader: java.url, protocolVersion: 2 })
    await group.allArrived()
    await assertForwards(group, [java, sluice])
    await assertNewTaskConfigs(group, sluice, [java, sluice])
  })

  await step('a Sluice worker that is asked to stop leaves a group that Kafka Connect leads', async () => {
    const rebalances = sluice.output.split('Joined group at generation').length
    await group.write()
    assert.equal(await sluice.signal('SIGTERM'), 0, sluice.output.slice(-2000))
    assert.ok(sluice.output.split('Joined group at generation').length > rebalances, 'it has said good-bye')
    await group.write()
    await group.runOn([java])
    await group.allArrived()
    assert.deepEqual(complaints(java), [])
  })

  await step('a killed Sluice worker: its tasks move to Kafka Connect', async () => {
    sluice = await group.startSluice()
    await group.isSpread([java, sluice])
    await sluice.signal('SIGKILL')
    await group.write()
    await group.runOn([java])
    await group.allArrived()
  })

  await step('Kafka Connect is asked to stop: Sluice leads and runs everything', async () => {
    sluice = await group.startSluice()
    await group.isSpread([java, sluice])
    await group.write()
    await java.signal('SIGTERM')
    assert.deepEqual(complaints(java), [])
    await group.write()
    await group.runOn([sluice])
    assert.equal(lastRebalance(sluice).leader, sluice.url)
    await group.allArrived()
  })

  await step('Sluice leads: connectors are spread, requests are forwarded and signed', async () => {
    java = await group.startJava()
    await group.isSpread([java, sluice])
    assert.deepEqual(lastRebalance(sluice), { ...lastRebalance(sluice), leader: sluice.url, protocolVersion: 2 })
    await group.create(java)
    await group.create(sluice)
    await group.write()
    await group.isSpread([java, sluice])
    await assertForwards(group, [java, sluice])
    await assertNewTaskConfigs(group, java, [java, sluice])
    assert.deepEqual(complaints(java), [])
  })

  await step('a killed Java worker: its tasks move to Sluice', async () => {
    await java.signal('SIGKILL')
    await group.write()
    await group.runOn([sluice])
    await group.allArrived()
  })
  await sluice.signal('SIGTERM')
})

/** The same under each protocol, in short; keys of `sessioned` live for seconds here (KIP-507). */
for (const { protocol, version } of [
  { protocol: 'eager', version: 0 },
  { protocol: 'compatible', version: 1 },
  { protocol: 'sessioned', version: 2 },
] as const) {
  test(`${protocol}: one group of both kinds spreads, forwards and hands over; nothing is lost or doubled (statement 145)`, {
    skip,
    timeout: 200_000,
  }, async () => {
    await using cluster = await ClusterUnderTest.open(kafka.settings.brokers, {
      'connect.protocol': protocol,
      'inter.worker.key.ttl.ms': '2000',
    })
    const group = new MixedGroup(cluster, kafka.settings.brokers)
    const java = await group.startJava()
    const sluice = await group.startSluice()
    for (const through of [java, sluice, java, sluice]) await group.create(through)
    await group.write()
    await group.isSpread([java, sluice])
    assert.deepEqual(lastRebalance(sluice), { ...lastRebalance(sluice), leader: java.url, protocolVersion: version })
    const { name } = await group.ownedBy(java)
    await ask(sluice, 'POST', `/connectors/${name}/restart?includeTasks=true`)
    await group.runOn([java, sluice])
    await assertNewTaskConfigs(group, sluice, [java, sluice])
    await java.signal('SIGTERM')
    await group.write()
    await group.runOn([sluice])
    assert.equal(lastRebalance(sluice).leader, sluice.url)
    await group.allArrived()
    assert.deepEqual(complaints(java), [])
    if (protocol === 'sessioned') await assertKeysRotate(cluster)
    assert.equal(await sluice.signal('SIGTERM'), 0)
  })
}

/** Whoever led wrote new keys when the old ones had expired. */
async function assertKeysRotate(cluster: ClusterUnderTest): Promise<void> {
  const records = await topicRecords(kafka.settings.brokers, `configs-${cluster.token}`)
  const keys = records.flatMap(({ key, value }) => (textOf(key) === 'session-key' ? [textOf(value)] : []))
  assert.ok(new Set(keys).size >= 3, `${keys.length} keys`)
}
