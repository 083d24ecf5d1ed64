import { deepEqual } from 'node:assert/strict'
import { it } from 'node:test'
import { elasticsearchOptionsRounds } from '../chaos/elasticsearch-options.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { server } from './elasticsearch-subject.ts'

const random = seededRandom(testSeed)

// A sample; `npm run test:chaos -- elasticsearch-options --rounds 200` plays more.
it(`leaves what the specification makes of random records under random options (I1, I2), seed ${random.seed}`, {
  skip: server.skip,
  timeout: 300_000,
}, async (t) => {
  const results = await elasticsearchOptionsRounds({
    url: server.settings.url,
    rounds: 12,
    random,
    report: ({ seed, records, failures }) => t.diagnostic(`seed ${seed}: ${records} records, ${failures} failures`),
  })
  for (const { seed, options, differences } of results)
    deepEqual(differences, [], `seed ${seed} ${JSON.stringify(options)}`)
})
