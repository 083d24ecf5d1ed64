/**
 * `npm run test:chaos -- [scenario] --rounds 20 [--seed N]`: things go wrong at random instants, and both ends are
 * compared each time. Without a scenario: `search`.
 */
import { parseArgs } from 'node:util'
import { servicesFrom } from '../../compose/pipelines/support/pipeline.ts'
import { stackEnvironment } from '../../compose/pipelines/support/session.ts'
import { seededRandom } from '../support/random.ts'
import { freshSeed } from '../support/seed.ts'
import { elasticsearchOptionsRounds } from './elasticsearch-options.ts'
import { elasticsearchRounds } from './elasticsearch-rounds.ts'
import { postgresRounds } from './postgres-rounds.ts'
import { searchRounds } from './search-rounds.ts'
import { warehouseRounds } from './warehouse-rounds.ts'

/** What every round of every scenario tells. */
interface Round {
  readonly round: number
  readonly recoveryMs: number
  readonly differences: readonly string[]
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    port: { type: 'string', default: '8183' },
  },
})
const random = seededRandom(Number(values.seed ?? freshSeed()))
const rounds = Number(values.rounds)
const port = Number(values.port)

/** Each runs its rounds and tells of every one as it ends. */
const scenarios: Readonly<Record<string, () => Promise<readonly Round[]>>> = {
  /** Workers of the pipeline are killed. */
  search: async () =>
    searchRounds({
      services: servicesFrom(await stackEnvironment()),
      rounds,
      random,
      port,
      instance: 'chaos',
      report: (r) => print(r, `killed ${r.killed.join(' and ')} after ${r.afterMs} ms; ${r.documents} documents`),
    }),
  /** The server is busy, slow, cut off and gone, or a worker is killed. */
  elasticsearch: async () =>
    elasticsearchRounds({
      brokers: servicesFrom(await stackEnvironment()).kafkaBrokers,
      rounds,
      random,
      port,
      report: (r) =>
        print(
          r,
          `${r.disaster.padEnd(7)} ${r.records} records, ${r.deadLetters} dead letters, ${r.faults} requests disturbed`,
        ),
    }),
  /** Random records under random options of the sink, against what the specification makes of them. */
  'elasticsearch-options': async () =>
    elasticsearchOptionsRounds({
      url: null,
      rounds,
      random,
      report: (r) => {
        print(r, `seed ${r.seed}, ${r.records} records, ${r.reported} reported, ${r.failures} failures`)
        if (r.differences.length > 0) console.log(`    ${JSON.stringify(r.options)}`)
      },
    }),
  /** The server crashes, its network fails, workers are killed; exactly-once on and off in turn. */
  postgres: async () =>
    postgresRounds({
      brokers: servicesFrom(await stackEnvironment()).kafkaBrokers,
      rounds,
      random,
      port,
      instance: `${random.seed.toString(36)}${Date.now().toString(36)}`,
      report: (r) =>
        print(
          r,
          `${r.disaster.padEnd(7)} ${r.exactlyOnce ? 'exactly once' : 'at least once'}, ${r.phase.padEnd(8)}; ${r.changes} changes, ${r.events} events, ${r.repeated} repeated, ${r.confirmations} confirmations`,
        ),
    }),
  /** S3 and the warehouse misbehave, partitions change hands, or workers are killed. */
  warehouse: async () =>
    warehouseRounds({
      services: servicesFrom(await stackEnvironment()),
      rounds,
      random,
      port,
      instance: 'chaos',
      report: (r) => print(r, `${r.disaster} after ${r.afterMs} ms; ${r.events} events`),
    }),
}

function print({ round, recoveryMs, differences }: Round, what: string): void {
  const verdict = differences.length === 0 ? 'equal' : `${differences.length} DIFFERENCES`
  console.log(`round ${String(round).padStart(3)}: ${what}, ${verdict} after ${(recoveryMs / 1000).toFixed(1)} s`)
  for (const difference of differences.slice(0, 5)) console.log(`    ${difference}`)
}

const [name = 'search'] = positionals
const scenario = scenarios[name]
if (scenario === undefined) {
  console.error(`usage: npm run test:chaos -- [${Object.keys(scenarios).join('|')}] [--rounds N] [--seed N]`)
  process.exitCode = 2
} else {
  console.log(`chaos: ${rounds} rounds of ${name}, seed ${random.seed}`)
  const results = await scenario()
  const wrong = results.filter((r) => r.differences.length > 0).length
  console.log(`chaos: ${results.length - wrong} of ${results.length} rounds equal (seed ${random.seed})`)
  process.exitCode = wrong === 0 ? 0 : 1
}
