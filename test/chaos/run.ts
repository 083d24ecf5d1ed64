/**
 * `npm run test:chaos -- [search|elasticsearch] --rounds 20 [--seed N]`: things go wrong at random instants, and both
 * ends are compared each time. `search`, the default, kills workers of the pipeline; `elasticsearch` also lets the
 * server be busy, slow, cut off and gone.
 */
import { parseArgs } from 'node:util'
import { servicesFrom } from '../../compose/pipelines/support/pipeline.ts'
import { stackEnvironment } from '../../compose/pipelines/support/session.ts'
import { seededRandom } from '../support/random.ts'
import { elasticsearchRounds } from './elasticsearch-rounds.ts'
import { searchRounds } from './search-rounds.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    port: { type: 'string', default: '8183' },
  },
})
const random = seededRandom(values.seed === undefined ? undefined : Number(values.seed))
const services = servicesFrom(await stackEnvironment())
const rounds = Number(values.rounds)
const port = Number(values.port)
const [scenario = 'search'] = positionals
console.log(`chaos: ${rounds} rounds of ${scenario}, seed ${random.seed}`)
const results = scenario === 'elasticsearch' ? await elasticsearch() : await search()
const wrong = results.filter((r) => r.differences.length > 0).length
console.log(`chaos: ${results.length - wrong} of ${results.length} rounds equal (seed ${random.seed})`)
process.exitCode = wrong === 0 ? 0 : 1

function verdict({ differences }: { readonly differences: readonly string[] }): string {
  return differences.length === 0 ? 'equal' : `${differences.length} DIFFERENCES`
}

function print(line: string, { differences }: { readonly differences: readonly string[] }): void {
  console.log(line)
  for (const difference of differences.slice(0, 5)) console.log(`    ${difference}`)
}

async function search() {
  return await searchRounds({
    services,
    rounds,
    random,
    port,
    instance: 'chaos',
    report: (r) => {
      const killed = `killed ${r.killed.join(' and ')} after ${r.afterMs} ms`
      const after = `${verdict(r)} after ${(r.recoveryMs / 1000).toFixed(1)} s`
      print(`round ${String(r.round).padStart(3)}: ${killed}; ${r.documents} documents, ${after}`, r)
    },
  })
}

async function elasticsearch() {
  return await elasticsearchRounds({
    brokers: services.kafkaBrokers,
    rounds,
    random,
    port,
    report: (r) => {
      const counts = `${r.records} records, ${r.deadLetters} dead letters, ${r.faults} requests disturbed`
      const after = `${verdict(r)} after ${(r.recoveryMs / 1000).toFixed(1)} s`
      print(`round ${String(r.round).padStart(3)}: ${r.disaster.padEnd(7)} ${counts}; ${after}`, r)
    },
  })
}
