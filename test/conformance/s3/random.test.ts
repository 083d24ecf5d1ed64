import { test } from 'node:test'
import { seededRandom } from '../../support/random.ts'
import { testSeed } from '../../support/seed.ts'
import { MemoryStore } from './memory-store.ts'
import { randomCase } from './random-case.ts'
import { runRandomCase } from './random-run.ts'

const cases = 120
const first = testSeed

// Against statements S20–S40, S44–S47, S51, S53–S56, S58–S62 all at once, told a second time by the model.
test(`random records and options: objects, rows, reports and offsets are the model's, seeds from ${first}`, async (t) => {
  for (let seed = first; seed < first + cases; seed++) {
    const store = new MemoryStore()
    const objects = async () => store.objects
    try {
      await runRandomCase(randomCase(seededRandom(seed)), { store, bucket: 'lake', objects })
    } catch (error) {
      t.diagnostic(`seed ${seed}`)
      throw error
    }
  }
})
