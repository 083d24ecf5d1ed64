import { test } from 'node:test'
import { randomCase } from '../conformance/s3/random-case.ts'
import { lakeStore, runRandomCase } from '../conformance/s3/random-run.ts'
import { openLake } from '../support/lake.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { requireService } from '../support/services.ts'

const s3 = requireService('s3')
const cases = 8
const first = testSeed

// As against the memory, where there are many more of them; here names and bytes go through a server.
for (let seed = first; seed < first + cases; seed++) {
  test(`S3: random records and options give what the model says, seed ${seed}`, { skip: s3.skip }, async () => {
    await using lake = await openLake(s3.settings)
    await runRandomCase(randomCase(seededRandom(seed)), lakeStore(lake))
  })
}
