// npm run parity converters: our converters and Java's on the same random data, both ways.
import { parseArgs } from 'node:util'
import { JavaHarness } from '../conformance/java/harness.ts'
import { freshSeed } from '../support/seed.ts'
import { compareConverters, steps, verdicts } from './converters/compare.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: String(freshSeed()) },
    only: { type: 'string' },
    lines: { type: 'string', default: '10' },
    wordings: { type: 'boolean', default: false },
  },
})

const count = Number(values.count)
const seed = Number(values.seed)
await using java = await JavaHarness.open()
console.log(`Kafka Connect's converters on Java ${java.javaVersion}; seed ${seed}`)
const started = Date.now()
const { counts, differences, wordings } = await compareConverters(java, {
  count,
  seed,
  ...(values.only === undefined ? {} : { only: values.only }),
})
for (const { subject, step, input, ours, java: theirs } of differences.slice(0, Number(values.lines))) {
  console.log(
    `\n${step} ${subject}\n  input ${input.slice(0, 2000)}\n  ours  ${ours.slice(0, 2000)}\n  java  ${theirs.slice(0, 2000)}`,
  )
}
if (values.wordings) for (const [text, times] of wordings) console.log(`${String(times).padStart(6)}  ${text}`)
for (const step of steps) {
  console.log(`${step.padEnd(8)}${verdicts.map((verdict) => ` ${counts[step][verdict]} ${verdict}`).join(',')}`)
}
const sum = (verdict: (typeof verdicts)[number]): number => steps.reduce((n, step) => n + counts[step][verdict], 0)
const total = verdicts.reduce((n, verdict) => n + sum(verdict), 0)
if (sum('guarded') > 0) console.log('guarded: Java goes on with other data than it was given; ours keeps it or refuses')
const seconds = ((Date.now() - started) / 1000).toFixed(0)
console.log(
  `${total - differences.length} of ${total} equal (${count} pairs of schema and value, ${seconds} s, seed ${seed}), ${sum('guarded')} of them guarded`,
)
process.exitCode = differences.length === 0 ? 0 : 1
