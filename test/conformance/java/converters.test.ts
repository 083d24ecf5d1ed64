import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compareConverters, steps } from '../../parity/converters/compare.ts'
import { testSeed } from '../../support/seed.ts'
import { JavaHarness, requireHarness } from './harness.ts'

describe('converters beside those of Java', { skip: requireHarness().skip }, () => {
  it('write and read the same on random data, and refuse the same messages (statements 154–157)', async (t) => {
    await using java = await JavaHarness.open()
    const seed = testSeed
    t.diagnostic(`seed ${seed}; npm run parity converters -- --seed ${seed} --count 3000`)
    const { counts, differences } = await compareConverters(java, { count: 3000, seed })
    assert.deepEqual(differences, [])
    for (const step of steps) {
      assert.ok(counts[step].equal > 500, `${step}: hardly anything was converted`)
      t.diagnostic(`${step}: ${JSON.stringify(counts[step])}`)
    }
  })
})
