// npm run parity rest-fuzz [--count N] [--seed N]
import { parseArgs } from 'node:util'
import { seededRandom } from '../../support/random.ts'
import { freshSeed } from '../../support/seed.ts'
import { requireService } from '../../support/services.ts'
import { fuzzWorker } from './fuzz.ts'

const { values } = parseArgs({ options: { count: { type: 'string', default: '10000' }, seed: { type: 'string' } } })
const random = seededRandom(Number(values.seed ?? freshSeed()))
const { brokers } = requireService('kafka').settings
const { result, summary } = await fuzzWorker({ brokers, random, count: Number(values.count) })
for (const fault of result.faults) console.log(fault)
console.log(summary)
process.exitCode = result.faults.length === 0 ? 0 : 1
