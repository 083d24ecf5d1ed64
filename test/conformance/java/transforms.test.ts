import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cases, compareTransforms } from '../../parity/transforms/compare.ts'
import { connectSubjects } from '../../parity/transforms/connect-cases.ts'
import { debeziumSubjects } from '../../parity/transforms/debezium-cases.ts'
import { outboxSubjects } from '../../parity/transforms/outbox-cases.ts'
import { records } from '../../parity/transforms/records.ts'
import { testSeed } from '../../support/seed.ts'
import { JavaHarness, requireHarness } from './harness.ts'

describe('transforms and predicates beside those of Java', { skip: requireHarness().skip }, () => {
  it('make the same of random records, and refuse the same configs and records', async (t) => {
    await using java = await JavaHarness.open(['debezium-postgres'])
    const seed = testSeed
    t.diagnostic(`seed ${seed}; npm run parity transforms -- --seed ${seed} --count 5000`)
    const options = { javaVersion: java.javaVersion, maxDepth: 2 }
    const subjects = [...connectSubjects, ...debeziumSubjects(options), ...outboxSubjects(options)]
    const { differences, bySubject } = await compareTransforms(java, cases(subjects, records(options)), {
      count: 5000,
      seed,
    })
    assert.deepEqual(differences, [])
    assert.equal(bySubject.size, new Set(subjects.map((subject) => subject.class)).size)
    for (const [name, { results }] of bySubject) assert.ok(results > 0, `${name}: nothing was transformed`)
  })
})
