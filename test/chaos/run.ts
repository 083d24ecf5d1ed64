/** `npm run test:chaos -- --rounds 20 [--seed N]`: kills workers at random instants and compares both ends each time. */
import { parseArgs } from 'node:util'
import { servicesFrom } from '../../compose/pipelines/support/pipeline.ts'
import { stackEnvironment } from '../../compose/pipelines/support/session.ts'
import { seededRandom } from '../support/random.ts'
import { searchRounds } from './search-rounds.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    port: { type: 'string', default: '8183' },
  },
})
const random = seededRandom(values.seed === undefined ? undefined : Number(values.seed))
console.log(`chaos: ${values.rounds} rounds of the search pipeline, seed ${random.seed}`)
const results = await searchRounds({
  services: servicesFrom(await stackEnvironment()),
  rounds: Number(values.rounds),
  random,
  port: Number(values.port),
  instance: 'chaos',
  report: (r) => {
    const verdict = r.differences.length === 0 ? 'equal' : `${r.differences.length} DIFFERENCES`
    console.log(
      `round ${String(r.round).padStart(3)}: killed ${r.killed.join(' and ')} after ${r.afterMs} ms; ${r.documents} documents, ${verdict} after ${(r.recoveryMs / 1000).toFixed(1)} s`,
    )
    for (const difference of r.differences.slice(0, 5)) console.log(`    ${difference}`)
  },
})
const wrong = results.filter((r) => r.differences.length > 0).length
console.log(`chaos: ${results.length - wrong} of ${results.length} rounds equal (seed ${random.seed})`)
process.exitCode = wrong === 0 ? 0 : 1
