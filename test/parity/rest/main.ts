// npm run parity rest [--docs] [--headers] [--strict] [-v] [prefix of request ids …]
import { parseArgs } from 'node:util'
import { requireService } from '../../support/services.ts'
import { describeOutcome, restParity, summary } from './parity.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    docs: { type: 'boolean', default: false },
    headers: { type: 'boolean', default: false },
    strict: { type: 'boolean', default: false },
    verbose: { type: 'boolean', short: 'v', default: false },
  },
})

const { brokers } = requireService('kafka').settings
const result = await restParity(brokers, values, (outcome) => {
  const isShown = positionals.length === 0 || positionals.some((prefix) => outcome.step.id.startsWith(prefix))
  if (isShown) console.log(describeOutcome(outcome, values.verbose))
})
const slow = result.outcomes.filter((outcome) => outcome.durationMs > 5000)
for (const { step, durationMs } of slow) console.log(`slow: ${step.id} took ${Math.round(durationMs)} ms`)
for (const line of summary(result)) console.log(line)
process.exitCode = result.equal + result.better === result.total ? 0 : 1
