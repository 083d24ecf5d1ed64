/** Random options and records: the S3 sink on a real server against the model of what Confluent's writes. */
import { parseArgs } from 'node:util'
import { randomCase } from '../conformance/s3/random-case.ts'
import { lakeStore, runRandomCase } from '../conformance/s3/random-run.ts'
import { openLake } from '../support/lake.ts'
import { seededRandom } from '../support/random.ts'
import { freshSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'

const { values } = parseArgs({ options: { cases: { type: 'string', default: '200' }, seed: { type: 'string' } } })
const first = Number(values.seed ?? freshSeed())
const cases = Number(values.cases)
const { settings } = requireService('s3')

let different = 0
for (let seed = first; seed < first + cases; seed++) {
  await using lake = await openLake(settings)
  try {
    await runRandomCase(randomCase(seededRandom(seed)), lakeStore(lake))
  } catch (error) {
    different++
    console.log(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
console.log(`s3-random: ${cases - different} of ${cases} cases equal, seeds from ${first}`)
process.exitCode = different === 0 ? 0 : 1
