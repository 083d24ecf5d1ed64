// npm run parity transforms: our transforms and predicates and Java's on the same random configs and records.
import { parseArgs } from 'node:util'
import { JavaHarness } from '../conformance/java/harness.ts'
import { freshSeed } from '../support/seed.ts'
import type { Difference, Outcome } from './transforms/case.ts'
import { cases, compareTransforms } from './transforms/compare.ts'
import { connectSubjects } from './transforms/connect-cases.ts'
import { debeziumSubjects } from './transforms/debezium-cases.ts'
import { outboxSubjects } from './transforms/outbox-cases.ts'
import { recordToWire } from './transforms/record-text.ts'
import { records } from './transforms/records.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(freshSeed()) },
    only: { type: 'string', default: '' },
    lines: { type: 'string', default: '10' },
    records: { type: 'boolean', default: false },
  },
})

/** Two texts from a little before where they part. */
function parting(a: string, b: string): readonly [string, string] {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  const start = Math.max(0, at - 160)
  return [a.slice(start, at + 240), b.slice(start, at + 240)]
}

function show({ case: { subject, config, record }, ours, java }: Difference): void {
  console.log(`\n${subject.class} ${JSON.stringify(config)}`)
  if (values.records) console.log(`  record ${JSON.stringify(recordToWire(record))}`)
  const text = (outcome: Outcome): string => (outcome.kind === 'result' ? outcome.text : outcome.message)
  const [left, right] =
    ours.kind === java.kind ? parting(text(ours), text(java)) : [text(ours).slice(0, 400), text(java).slice(0, 400)]
  console.log(`  ours ${ours.kind}: ${left}\n  java ${java.kind}: ${right}`)
}

const count = Number(values.count)
const seed = Number(values.seed)
await using java = await JavaHarness.open(['debezium-postgres'])
const options = { javaVersion: java.javaVersion, maxDepth: 2 }
console.log(`Kafka Connect's transforms on Java ${java.javaVersion}; seed ${seed}`)
const started = Date.now()
const subjects = [...connectSubjects, ...debeziumSubjects(options), ...outboxSubjects(options)].filter((subject) =>
  subject.class.includes(values.only),
)
const { total, differences, guarded, bySubject } = await compareTransforms(java, cases(subjects, records(options)), {
  count,
  seed,
})
for (const difference of differences.slice(0, Number(values.lines))) show(difference)
for (const [name, { total: compared, results, different }] of [...bySubject].sort()) {
  console.log(
    `${String(compared).padStart(6)} ${String(results).padStart(6)} results ${String(different).padStart(5)} different  ${name}`,
  )
}
for (const [why, times] of guarded) console.log(`${String(times).padStart(6)} guarded: ${why}`)
const meant = [...guarded.values()].reduce((sum, n) => sum + n, 0)
const seconds = ((Date.now() - started) / 1000).toFixed(0)
console.log(`${total - differences.length} of ${total} equal (seed ${seed}, ${seconds} s), ${meant} of them guarded`)
process.exitCode = differences.length === 0 ? 0 : 1
