/** `npm run parity rest`: one distributed worker of ours against the recorded answers of Connect 4.3. */

import { type CompareOptions, type Difference, loadGolden } from '../../conformance/rest-golden.ts'
import { ClusterUnderTest } from '../../support/worker-process.ts'
import { replay, type StepOutcome, sectionOf } from './replay.ts'

export interface RestParity {
  readonly outcomes: readonly StepOutcome[]
  readonly total: number
  readonly equal: number
  readonly better: number
}

/** The setup of the recording, where it differs from the one of other tests. */
const workerOptions: Readonly<Record<string, string>> = {
  'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
  'connector.client.config.override.policy': 'All',
}

/**
 * Starts a worker with a group and topics of its own and plays the recording.
 * @param report is called for each answer that is neither equal nor better
 */
export async function restParity(
  brokers: readonly string[],
  options: CompareOptions,
  report: (outcome: StepOutcome) => void,
): Promise<RestParity> {
  await using cluster = await ClusterUnderTest.open(brokers, workerOptions)
  const worker = await (await cluster.start()).ready()
  const outcomes: StepOutcome[] = []
  for await (const outcome of replay({ ...options, baseUrl: worker.url })) {
    outcomes.push(outcome)
    if (outcome.verdict !== 'equal' && outcome.verdict !== 'better') report(outcome)
  }
  await worker.signal('SIGTERM')
  const count = (verdict: 'equal' | 'better'): number => outcomes.filter((o) => o.verdict === verdict).length
  return { outcomes, total: loadGolden().length, equal: count('equal'), better: count('better') }
}

const maxShown = 160
const maxDifferences = 12

/** A step whose answer differs, and where. */
export function describeOutcome({ step, verdict }: StepOutcome, verbose = false): string {
  const found = Array.isArray(verdict) ? (verdict as readonly Difference[]) : []
  const shown = verbose ? found : found.slice(0, maxDifferences)
  const value = (v: unknown): string => {
    const text = v === undefined ? '<absent>' : JSON.stringify(v)
    return verbose || text.length < maxShown ? text : `${text.slice(0, maxShown)}…`
  }
  const lines = shown.map((d) => `    ${d.path}: expected ${value(d.expected)}, got ${value(d.actual)}`)
  if (found.length > shown.length) lines.push(`    … ${found.length - shown.length} more`)
  const request = step.request === undefined ? '' : `  ${step.request.slice(0, 100)}`
  return [`- ${step.id}: ${step.method} ${step.path}${request}`, ...lines].join('\n')
}

/** Tallies per section, and the last line. */
export function summary({ outcomes, total, equal, better }: RestParity): readonly string[] {
  const sections = new Map<string, { good: number; all: number }>()
  for (const { step, verdict } of outcomes) {
    const tally = sections.get(sectionOf(step)) ?? { good: 0, all: 0 }
    tally.all++
    if (verdict === 'equal' || verdict === 'better') tally.good++
    sections.set(sectionOf(step), tally)
  }
  const tallies = [...sections].map(([name, { good, all }]) => `${name} ${good}/${all}`)
  const more = better > 0 ? `, ${better} better (4xx with a reason where Java says 500)` : ''
  return [`by section: ${tallies.join(', ')}`, `rest: ${equal} of ${total} requests equal${more}`]
}
