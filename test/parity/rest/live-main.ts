// npm run parity rest-live [-v] [text in a request …]: every option with odd values, asked of both kinds of worker at once.
import { parseArgs } from 'node:util'
import { requireService } from '../../support/services.ts'
import { liveParity, liveSummary } from './live.ts'
import { describeOutcome } from './parity.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { verbose: { type: 'boolean', short: 'v', default: false } },
})

const { brokers } = requireService('kafka').settings
const result = await liveParity(brokers, 1, (outcome) => {
  const { step, answer, verdict } = outcome
  const text = `${step.method} ${step.path} ${step.request ?? ''}`
  if (positionals.length > 0 && !positionals.some((part) => text.includes(part))) return
  if (verdict !== 'better') console.log(describeOutcome(outcome, values.verbose))
  else if (values.verbose) {
    console.log(
      `- ${step.id}: better: ${text}\n    ${JSON.stringify(step.json ?? step.text)}\n    ${JSON.stringify(answer.json)}`,
    )
  }
})
console.log(liveSummary(result))
process.exitCode = result.different.length === 0 ? 0 : 1
