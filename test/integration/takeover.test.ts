import { test } from 'node:test'
import { requireJavaConnect } from '../support/java-connect.ts'
import { requireService, skipUnless } from '../support/services.ts'
import { TakeOver } from '../support/takeover.ts'

const kafka = requireService('kafka')
const postgres = requireService('postgres')
const skip = skipUnless(kafka, postgres, requireJavaConnect())

test('a group goes from Kafka Connect to Sluice and back: nothing is lost, doubled or forgotten', {
  skip,
  timeout: 300_000,
}, async (t) => {
  await using run = await TakeOver.open(kafka.settings.brokers, postgres.settings.url)
  let isBroken = false
  const step = (name: string, body: () => Promise<void>): Promise<void> =>
    t.test(name, { skip: isBroken && 'a step before it failed' }, async () => {
      isBroken = true
      await body()
      isBroken = false
    })
  await step('Kafka Connect creates connectors, pauses one, stops one, commits offsets', () =>
    run.createOnKafkaConnect(),
  )
  await step('Sluice has the same connectors, states and offsets, and goes on from there', () => run.goOnWithSluice())
  await step('Kafka Connect reads what Sluice wrote, and goes on from there', () => run.goBackToKafkaConnect())
  await step('both kinds wrote the offsets of a partition under one key', () => run.assertOneKeyPerPartition())
})
