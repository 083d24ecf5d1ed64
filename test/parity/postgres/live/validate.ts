/** Configurations with a wrong or odd value, given to both connectors to validate: which options have errors. */
import { type Random, seededRandom } from '../../../support/random.ts'
import type { WorkerUnderTest } from '../../../support/worker-process.ts'
import { pickFrom } from './types.ts'

export interface ValidationInput {
  readonly java: WorkerUnderTest
  readonly sluice: WorkerUnderTest
  readonly pgUrl: string
  readonly seed: number
  /** Random ones; `all` is each option with each value. */
  readonly count: number | 'all'
}

export interface ValidationOutcome {
  readonly option: string
  readonly value: string
  /** Options with errors. */
  readonly theirs: Readonly<Record<string, readonly string[]>>
  readonly ours: Readonly<Record<string, readonly string[]>>
}

export interface ValidationsCompared {
  readonly count: number
  /** Refused here, taken there. */
  readonly stricter: number
  /** Refused there, taken here. */
  readonly tooLenient: readonly ValidationOutcome[]
}

const values: readonly string[] = [
  '',
  ' ',
  '0',
  '-1',
  '1.5',
  'x',
  'a,b',
  ',a',
  'TRUE',
  'true',
  '2147483648',
  '(',
  '[a-z',
  'none',
  'ALL',
  'a:b',
  'a.b:c',
  'ünï',
  'a b',
  'initial',
  'precise',
  ' string ',
  'c,u',
  'public.t',
  'io.debezium.schema.DefaultTopicNamingStrategy',
]

const connectorClass = 'io.debezium.connector.postgresql.PostgresConnector'
const path = '/connector-plugins/PostgresConnector/config'

/** Options of Connect itself are compared by `rest-live`; these two say where the database is. */
const foreign =
  /^(?:connector\.class|tasks\.max|name|.*converter.*|transforms|predicates|errors\..*|config\.action.*|topic\.creation.*|exactly.*|transaction\.boundary.*|offsets\.storage.*|database\.(?:hostname|port)|connector\.plugin\.version)$/

async function errorsOf(worker: WorkerUnderTest, config: object): Promise<ValidationOutcome['ours']> {
  const { status, body } = await worker.rest('PUT', `${path}/validate`, config)
  if (status !== 200) return { '': [`status ${status}`] }
  const { configs } = body as {
    readonly configs: readonly { readonly value: { readonly name: string; readonly errors: readonly string[] } }[]
  }
  const wrong = configs.map(({ value }) => value).filter(({ errors }) => errors.length > 0)
  return Object.fromEntries(wrong.map(({ name, errors }) => [name, errors]))
}

/** Options that both know, each with the same chance. */
async function commonOptions({ java, sluice }: ValidationInput): Promise<readonly string[]> {
  const [theirs, ours] = await Promise.all(
    [java, sluice].map(async (worker) => {
      const { body } = await worker.rest('GET', path)
      return (body as readonly { readonly name: string }[]).map(({ name }) => name)
    }),
  )
  const known = new Set(ours)
  return (theirs ?? []).filter((name) => known.has(name) && !foreign.test(name)).sort()
}

type Case = readonly [option: string, value: string]

function casesOf(count: number | 'all', random: Random, options: readonly string[]): readonly Case[] {
  if (count === 'all') return options.flatMap((option) => values.map((value): Case => [option, value]))
  return Array.from({ length: count }, (): Case => [pickFrom(random, options), pickFrom(random, values)])
}

/** Accepted here and refused by Debezium, for a reason. */
const accepted: Readonly<Record<string, string>> = {
  'topic.prefix': 'blanks around a value are cut off',
  'slot.name': 'blanks around a value are cut off',
  'replica.identity.autoset.values': 'a blank list is an empty one',
  'database.exclude.list': 'has no effect',
}

/**
 * Validates random configurations, each with one odd value. Ours may be stricter: it refuses at once what a task would
 * fail with, or ignore.
 */
export async function compareValidation(input: ValidationInput): Promise<ValidationsCompared> {
  const { java, sluice, pgUrl, seed, count } = input
  const random = seededRandom(seed)
  const server = new URL(pgUrl)
  const base = {
    name: 'x',
    'connector.class': connectorClass,
    'database.hostname': server.hostname,
    'database.port': server.port,
    'database.user': decodeURIComponent(server.username),
    'database.password': 'none',
    'database.dbname': 'postgres',
    'plugin.name': 'pgoutput',
    'topic.prefix': 'p',
  }
  const options = await commonOptions(input)
  const tooLenient: ValidationOutcome[] = []
  let stricter = 0
  const cases = casesOf(count, random, options)
  for (const [option, value] of cases) {
    const config = { ...base, [option]: value }
    const [theirs, ours] = await Promise.all([errorsOf(java, config), errorsOf(sluice, config)])
    const [isTheirs, isOurs] = [theirs, ours].map((errors) => Object.keys(errors).length > 0)
    if (isOurs && !isTheirs) stricter += 1
    if (isTheirs && !isOurs && accepted[option] === undefined) tooLenient.push({ option, value, theirs, ours })
  }
  return { count: cases.length, stricter, tooLenient }
}
