/** Debezium on Kafka Connect and the Postgres source of ours over the same random databases. */
import { startJavaWorker } from '../../../support/java-connect.ts'
import { ClusterUnderTest } from '../../../support/worker-process.ts'
import { Round, type RoundOutcome } from './round.ts'
import { compareValidation, type ValidationsCompared } from './validate.ts'

const workerOptions: Readonly<Record<string, string>> = {
  'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
}
const javaReadyMs = 90_000

export interface PostgresLiveInput {
  readonly brokers: readonly string[]
  readonly pgUrl: string
  readonly seeds: readonly number[]
  /** Rounds at a time. */
  readonly jobs: number
  /** Options to leave out, by the beginnings of their names. */
  readonly without: readonly string[]
  /** Configurations to validate before the first round. */
  readonly validations: number | 'all'
  /** Existing folder for the records of both sides. */
  readonly dump?: string
  /** Gets each round that came to its end. */
  report(outcome: RoundOutcome): void
}

export interface PostgresLive {
  readonly validations: ValidationsCompared
  readonly rounds: number
  readonly equal: number
  readonly records: number
  /** Rounds in which Debezium's task died; they are equal up to there, or they count as different. */
  readonly theirFailures: number
}

/** Starts one Java worker and one of ours, and plays all rounds with them. */
export async function postgresLive({
  brokers,
  pgUrl,
  seeds,
  jobs,
  without,
  validations,
  dump,
  report,
}: PostgresLiveInput): Promise<PostgresLive> {
  await using theirs = await ClusterUnderTest.open(brokers, workerOptions)
  await using ours = await ClusterUnderTest.open(brokers, workerOptions)
  const [java, sluice] = await Promise.all([
    startJavaWorker(theirs, ['debezium-postgres']).then((worker) => worker.ready(javaReadyMs)),
    ours.start().then((worker) => worker.ready()),
  ])
  const [seed = 0] = seeds
  const compared = await compareValidation({ java, sluice, pgUrl, seed, count: validations })
  const counts = { equal: 0, records: 0, theirFailures: 0 }
  const waiting = [...seeds]
  const job = async () => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const outcome = await new Round({ java, sluice, brokers, pgUrl, dump: dump ?? null }, seed).play(without)
      counts.records += outcome.records
      if (outcome.differences.length === 0) counts.equal += 1
      if (outcome.theirFailure !== null) counts.theirFailures += 1
      report(outcome)
    }
  }
  await Promise.all(Array.from({ length: jobs }, job))
  await Promise.all([java.signal('SIGTERM'), sluice.signal('SIGTERM')])
  return { ...counts, rounds: seeds.length, validations: compared }
}

export function postgresLiveSummary(result: PostgresLive): string {
  const { rounds, equal, records, theirFailures, validations } = result
  const { count, stricter, tooLenient } = validations
  const more = theirFailures > 0 ? `, ${theirFailures} up to where Debezium's task died` : ''
  const refused = `${count - tooLenient.length} of ${count} configurations refused as there (${stricter} more here)`
  return `postgres-live: ${equal} of ${rounds} rounds equal, ${records} records${more}; ${refused}`
}
