// npm run parity takeover: a group goes from Kafka Connect to Sluice and back, with what arrived counted.
import { requireService } from '../support/services.ts'
import { TakeOver, type Tally } from '../support/takeover.ts'

const kafka = requireService('kafka').settings
const postgres = requireService('postgres').settings

function print(direction: string, tallies: readonly Tally[]): boolean {
  for (const { what, expected, found, lost, doubled } of tallies) {
    console.log(`takeover: ${direction}: ${what}: ${found} of ${expected}, ${lost} lost, ${doubled} doubled`)
  }
  return tallies.every(({ lost, doubled }) => lost + doubled === 0)
}

/** A step that failed is told, and what had arrived by then is counted all the same. */
async function direction(run: TakeOver, name: string, step: () => Promise<void>): Promise<boolean> {
  let isDone = true
  try {
    await step()
  } catch (error) {
    isDone = false
    console.error(`takeover: ${name}:`, error)
  }
  return print(name, await run.tallies()) && isDone
}

await using run = await TakeOver.open(kafka.brokers, postgres.url)
await run.createOnKafkaConnect()
const isForth = await direction(run, 'Kafka Connect → Sluice', () => run.goOnWithSluice())
const isBack = isForth && (await direction(run, 'Sluice → Kafka Connect', () => run.goBackToKafkaConnect()))
if (isBack) await run.assertOneKeyPerPartition()
process.exitCode = isBack ? 0 : 1
