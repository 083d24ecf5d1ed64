// npm run parity postgres-live [--rounds N] [--seed N] [--jobs N] [--without OPTION …] [--validations N|all] [--dump FOLDER] [-v]: Debezium and Sluice over the same random databases.
import { parseArgs } from 'node:util'
import { requireService } from '../../../support/services.ts'
import { postgresLive, postgresLiveSummary } from './live.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    jobs: { type: 'string', default: '1' },
    validations: { type: 'string', default: '300' },
    without: { type: 'string', multiple: true, default: [] },
    dump: { type: 'string' },
    verbose: { type: 'boolean', short: 'v', default: false },
  },
})

const seed = Number(values.seed)
const result = await postgresLive({
  brokers: requireService('kafka').settings.brokers,
  pgUrl: requireService('postgres').settings.url,
  seeds: Array.from({ length: Number(values.rounds) }, (_, i) => seed + i),
  jobs: Number(values.jobs),
  without: values.without,
  validations: values.validations === 'all' ? 'all' : Number(values.validations),
  ...(values.dump === undefined ? {} : { dump: values.dump }),
  report: (outcome) => {
    const { differences, theirFailure, records } = outcome
    console.log(
      `seed ${outcome.seed}: ${records} records, ${differences.length === 0 ? 'equal' : `${differences.length} differ`}`,
    )
    if (theirFailure !== null) console.log(`  Debezium's task failed: ${theirFailure}`)
    if (differences.length === 0 && !values.verbose) return
    console.log(differences.join('\n'))
    console.log(`  options ${JSON.stringify(outcome.options)}`)
    if (values.verbose) console.log(outcome.sql.join('\n'))
  },
})
for (const { option, value, theirs } of result.validations.tooLenient) {
  console.log(`${option}=${JSON.stringify(value)}: taken here, but there ${JSON.stringify(theirs)}`)
}
console.log(postgresLiveSummary(result))
process.exitCode = result.equal === result.rounds && result.validations.tooLenient.length === 0 ? 0 : 1
