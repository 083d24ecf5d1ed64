/**
 * `npm run parity postgres [--lines N] [--jobs N] [case …]`: every recorded case played against a worker of our own,
 * driven by REST, its records read from Kafka. Cases by the start of their names. Exit status 1 when a case differs
 * that is not known to (`test/conformance/postgres/not-equal.json`).
 */
import { parseArgs } from 'node:util'
import { caseNames, knownDifferences, playCaseWith } from '../conformance/postgres/tasks.ts'
import { ClusterUnderTest } from '../support/worker-process.ts'
import { WorkerPlayer } from './postgres/worker-player.ts'

/** The setup of the recording, where it differs from the one of other tests. */
const workerOptions: Readonly<Record<string, string>> = {
  'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { lines: { type: 'string', default: '5' }, jobs: { type: 'string', default: '3' } },
})
const print = (text: string) => process.stdout.write(`${text}\n`)
const brokers = (process.env['TEST_KAFKA_BROKERS'] ?? '').split(',')
const pgUrl = process.env['TEST_PG_URL'] ?? ''

async function main(): Promise<void> {
  const known = await knownDifferences()
  const names = (await caseNames()).filter(
    (name) => positionals.length === 0 || positionals.some((start) => name.startsWith(start)),
  )
  await using cluster = await ClusterUnderTest.open(brokers, workerOptions)
  const worker = await (await cluster.start()).ready()
  const waiting = [...names]
  let equalCases = 0
  const play = async (name: string): Promise<void> => {
    const { head, problems } = await outcome(name, async (folder, id) =>
      WorkerPlayer.play({ worker, brokers, pgUrl }, folder, id),
    )
    const reason = known[name]
    print([`${name}: ${head}`, ...problems.slice(0, Number(values.lines)).map((line) => `  ${line}`)].join('\n'))
    if (problems.length === 0) equalCases += 1
    else if (reason === undefined) process.exitCode = 1
    else print(`  known: ${reason}`)
  }
  const job = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await play(name)
  }
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, job))
  await worker.signal('SIGTERM')
  print(`postgres: ${equalCases} of ${names.length} cases equal`)
}

async function outcome(name: string, player: Parameters<typeof playCaseWith>[1]) {
  try {
    const { equal, total, differences } = await playCaseWith(name, player)
    return { head: `${equal} of ${total} records equal`, problems: differences }
  } catch (error) {
    return { head: 'not played to its end', problems: [error instanceof Error ? error.message : String(error)] }
  }
}

await main()
