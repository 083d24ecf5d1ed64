/** Our transforms and Java's on the same random configs and records. */
import fc from 'fast-check'
import { builtinTransforms } from '../../../transforms/index.ts'
import type { ConfigDef } from '../../../worker/api/config.ts'
import { ConfigError, toError } from '../../../worker/api/errors.ts'
import type { ConnectRecord } from '../../../worker/api/record.ts'
import type { Predicate, Transformation } from '../../../worker/api/transform.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { deepFreeze } from '../../conformance/converter.ts'
import type { Answer, JavaHarness, Job } from '../../conformance/java/harness.ts'
import type { Case, Difference, Outcome } from './case.ts'
import type { Config, Subject } from './connect-cases.ts'
import { deviationOf } from './deviations.ts'
import { recordText, recordToWire } from './record-text.ts'

export interface Comparison {
  readonly total: number
  readonly differences: readonly Difference[]
  /** Differences that are meant, by reason. */
  readonly guarded: ReadonlyMap<string, number>
  /** Cases by class: compared, of them results (rather than errors on both sides). */
  readonly bySubject: ReadonlyMap<string, { total: number; results: number; different: number }>
}

const batchSize = 250

/** Draws cases of all subjects in turn. */
export function cases(subjects: readonly Subject[], records: fc.Arbitrary<ConnectRecord>): fc.Arbitrary<Case> {
  return fc.constantFrom(...subjects).chain((subject) =>
    (subject.records ?? records).chain((record) =>
      subject
        .configs(record)
        .chain(spoilt)
        .map((config) => ({ subject, config, record })),
    ),
  )
}

/** What users write into options by mistake. */
const wrongTexts = fc.constantFrom('', ' ', 'x', 'TRUE', 'yes', '-1', '0', '1.5', '99999999999', ',', 'a,,b', 'a,a')

/** Now and then an option that is missing or wrong. */
function spoilt(config: Config): fc.Arbitrary<Config> {
  const names = Object.keys(config)
  if (names.length === 0) return fc.constant(config)
  const one = fc.tuple(fc.constantFrom(...names), fc.option(wrongTexts, { freq: 2 })).map(([name, text]): Config => {
    const { [name]: _, ...rest } = config
    return text === null ? rest : { ...rest, [name]: text }
  })
  return fc.oneof({ weight: 7, arbitrary: fc.constant(config) }, { weight: 1, arbitrary: one })
}

/** Compares `count` cases; equal seeds give equal cases. */
export async function compareTransforms(
  java: JavaHarness,
  arbitrary: fc.Arbitrary<Case>,
  { count, seed }: { readonly count: number; readonly seed: number },
): Promise<Comparison> {
  const differences: Difference[] = []
  const guarded = new Map<string, number>()
  const bySubject = new Map<string, { total: number; results: number; different: number }>()
  for (let done = 0; done < count; done += batchSize) {
    const batch = fc.sample(arbitrary, { numRuns: Math.min(batchSize, count - done), seed: seed + done })
    const theirs = await javaOutcomes(java, batch)
    for (const [i, each] of batch.entries()) {
      const ours = await ourOutcome(each)
      const their = theirs[i] as Outcome
      const counts = bySubject.get(each.subject.class) ?? { total: 0, results: 0, different: 0 }
      bySubject.set(each.subject.class, counts)
      counts.total++
      if (their.kind === 'result') counts.results++
      if (isEqual(each, ours, their)) continue
      const difference = { case: each, ours, java: their }
      const why = deviationOf(difference)
      if (why !== null) {
        guarded.set(why, (guarded.get(why) ?? 0) + 1)
        continue
      }
      counts.different++
      differences.push(difference)
    }
  }
  return { total: count, differences, guarded, bySubject }
}

/**
 * Whether errors are of the config or of the record has to be equal; of a config, for Connect's own classes, their
 * words too, as users see them in the answer of `validate`.
 */
function isEqual({ subject }: Case, ours: Outcome, java: Outcome): boolean {
  if (ours.kind === 'result' && java.kind === 'result') return ours.text === java.text
  if (ours.kind !== 'refused' || java.kind !== 'refused') return ours.kind === java.kind
  if (!subject.class.startsWith('org.apache.')) return true
  // Of one option Java says where it lies in memory instead of its name.
  const told = java.message.replace(configException, '').replace(/(?<=static field: )org\..*@.*$/, '')
  return ours.problems.some(
    (problem) => problem.startsWith(told) && (told === problem || told.endsWith('static field: ')),
  )
}

const configException = /^org\.apache\.kafka\.common\.config\.ConfigException: /

async function javaOutcomes(java: JavaHarness, batch: readonly Case[]): Promise<readonly Outcome[]> {
  const jobs = batch.flatMap(({ subject, config, record }, i): Job[] => {
    const plugin = `p${i}`
    const op = subject.kind === 'predicate' ? 'test' : 'apply'
    return [
      { op: 'make', plugin, class: subject.class, config },
      { op, plugin, record: recordToWire(record) },
      { op, plugin, record: recordToWire(tombstoneOf(record)) },
    ]
  })
  const answers = await java.run(jobs)
  return batch.map(({ subject }, i): Outcome => {
    const [made, applied, afterwards] = answers.slice(3 * i, 3 * i + 3)
    if (made?.error !== undefined) return refused(errorText(made))
    if (applied === undefined || applied.error !== undefined) return { kind: 'failed', message: errorText(applied) }
    const text = (answer: Answer | undefined): string => {
      if (answer === undefined || answer.error !== undefined) return 'failed'
      return subject.kind === 'predicate' ? String(answer.result) : recordText(answer.record ?? null)
    }
    return { kind: 'result', text: `${text(applied)} then ${text(afterwards)}` }
  })
}

/**
 * What follows a delete under the same key: some transforms remember what they saw before it. It has headers of its own,
 * as it has in Java, where both records are read from text.
 */
function tombstoneOf(record: ConnectRecord): ConnectRecord {
  return record.with({ valueSchema: null, value: null, headers: [...record.headers] })
}

function refused(message: string, problems: readonly string[] = []): Outcome {
  return { kind: 'refused', message, problems }
}

function errorText(answer: Answer | undefined): string {
  const texts: string[] = []
  for (let error = answer?.error; error !== undefined; error = error.cause)
    texts.push(`${error.class}: ${error.message}`)
  return texts.length === 0 ? 'no answer' : texts.join(', caused by ')
}

async function ourOutcome({ subject, config, record }: Case): Promise<Outcome> {
  const plugin = builtinTransforms.find((p) => p.name === subject.class && p.type === subject.kind)
  if (plugin === undefined) return refused(`there is no ${subject.class}`)
  let instance: Transformation<unknown> | Predicate<unknown>
  try {
    instance = (await plugin.create()) as Transformation<unknown> | Predicate<unknown>
    instance.configure(parseConfig(plugin.config as ConfigDef, config))
  } catch (error) {
    return refused(toError(error).message, error instanceof ConfigError ? error.problems.map((p) => p.message) : [])
  }
  deepFreeze([record.key, record.value, record.headers])
  const text = (input: ConnectRecord): string => {
    if ('test' in instance) return String(instance.test(input))
    const result = instance.apply(input)
    return recordText(result === null ? null : recordToWire(result))
  }
  let first: string
  try {
    first = text(record)
  } catch (error) {
    return { kind: 'failed', message: toError(error).message }
  }
  let then = 'failed'
  try {
    then = text(tombstoneOf(record))
  } catch {
    // That it fails is all that is compared.
  }
  return { kind: 'result', text: `${first} then ${then}` }
}
