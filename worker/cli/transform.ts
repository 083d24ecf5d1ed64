/** `sluice transform test`: what the transforms of a connector make of some records, step by step. */
import { parseArgs } from 'node:util'
import { toError } from '../api/errors.ts'
import { stringifyJson } from '../api/json.ts'
import type { ConnectRecord } from '../api/record.ts'
import type { TransformationContext } from '../api/transform.ts'
import { readConnectorFile } from '../config/config-files.ts'
import { loadRegistry, pluginModules } from '../plugins/load.ts'
import { type ChainLink, createTransformationChain } from '../runtime/transformation-chain.ts'
import { systemClock } from '../util/clock.ts'
import { parseList } from '../util/text-list.ts'
import { subcommand } from './subcommand.ts'
import { type Fixture, type Outcome, outcomeOf, readFixture, recordOf, writeFixture } from './transform/fixture.ts'
import { diffLines, renderDiff } from './transform/line-diff.ts'
import { recordLines } from './transform/record-text.ts'
import { withinLimit } from './transform/time-limit.ts'

const usage = `Usage: sluice transform test <connector.json> <fixture.json> … [option …]

Prints every record of the fixtures before and after each transform of the connector, as a difference. Where a fixture
says what is expected, the outcome is compared: the exit code is 1 when a record comes out otherwise, or fails.

  --update            write what comes out into the fixtures as what is expected
  --plugin-path LIST  plugin.path of the worker: further plugins, and modules of Script
  --timeout MS        longest time that a transform may take for one record, in ms (10000)
  --now TIME          time for transforms that ask for it (ISO 8601), so that outcomes can be repeated

A fixture is a record, a list of records, or { "records": […], "expected": […] }. A record is { topic, partition, offset,
timestamp, key, value, headers }; key, value and a header's value are plain JSON, or { "schema", "payload" } as
JsonConverter writes them. Under expected, null stands for a record that was dropped and { "error" } for one that failed.
References such as \${file:…} in the config are not resolved. Colours are left out when NO_COLOR is set.
`

interface Options {
  readonly update: boolean
  readonly colour: boolean
  readonly kind: 'source' | 'sink'
  readonly timeoutMs: number
}

/** @returns the exit code: 0 as expected, 1 not, 2 wrong usage */
export async function run(args: readonly string[]): Promise<number> {
  return await subcommand(
    usage,
    () => readArguments(args),
    async ({ configFile, fixtureFiles, values }) => {
      try {
        return await test(configFile, fixtureFiles, values)
      } catch (error) {
        process.stderr.write(`${toError(error).message}\n`)
        return 1
      }
    },
  )
}

function readArguments(args: readonly string[]) {
  const { values, positionals } = parse(args)
  if (values.help) return null
  const [command, configFile, ...fixtureFiles] = positionals
  if (command !== 'test' || configFile === undefined || fixtureFiles.length === 0) throw new Error('')
  return { configFile, fixtureFiles, values }
}

function parse(args: readonly string[]) {
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      update: { type: 'boolean', default: false },
      'plugin-path': { type: 'string', default: '' },
      timeout: { type: 'string', default: '10000' },
      now: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
}

async function test(
  configFile: string,
  fixtureFiles: readonly string[],
  values: ReturnType<typeof parse>['values'],
): Promise<number> {
  const { config } = await readConnectorFile(configFile, 'transform-test')
  const timeoutMs = Number(values.timeout)
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1)
    throw new Error(`--timeout ${values.timeout} is no number of ms`)
  const pluginPath = parseList(values['plugin-path'])
  const registry = await loadRegistry(await pluginModules(pluginPath))
  const chain = await createTransformationChain(config, registry, toolContext(pluginPath, values.now))
  const connector = registry.findConnector(config)
  const options: Options = {
    update: values.update,
    colour: process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '',
    kind: connector?.type === 'source' ? 'source' : 'sink',
    timeoutMs,
  }
  try {
    let differing = 0
    let total = 0
    for (const path of fixtureFiles) {
      const fixture = await readFixture(path)
      differing += await testFixture(fixture, chain.links, options)
      total += fixture.records.length
    }
    print(`${total - differing} of ${total} as expected`)
    return differing === 0 ? 0 : 1
  } finally {
    chain.close()
  }
}

/** Metrics go nowhere. @throws Error for a time that is none */
function toolContext(pluginPath: readonly string[], now: string | undefined): TransformationContext {
  const fixed = now === undefined ? null : Date.parse(now)
  if (Number.isNaN(fixed)) throw new Error(`--now ${now} is no time; write it as 2026-01-31T12:00:00Z`)
  return {
    pluginPath,
    clock: fixed === null ? systemClock : { ...systemClock, now: () => fixed },
    metrics: {
      counter: () => ({ add: () => undefined }),
      gauge: () => ({ set: () => undefined }),
      histogram: () => ({ observe: () => undefined }),
    },
  }
}

/** @returns how many records did not come out as expected */
async function testFixture(fixture: Fixture, links: readonly ChainLink[], options: Options): Promise<number> {
  const outcomes: Outcome[] = []
  let differing = 0
  fixture.records.forEach((json, i) => {
    print(`\n=== ${fixture.path}, record ${i + 1}`)
    const outcome = outcomeOfRecord(() => recordOf(json, options.kind), links, options)
    outcomes.push(outcome)
    if (!options.update && !isExpected(outcome, fixture.expected?.[i], options)) differing++
  })
  if (options.update) {
    await writeFixture(fixture, outcomes)
    print(`\nwritten: ${fixture.path}`)
  }
  return differing
}

function outcomeOfRecord(read: () => ConnectRecord, links: readonly ChainLink[], options: Options): Outcome {
  try {
    return outcomeOf(applySteps(read(), links, options))
  } catch (error) {
    const { message } = toError(error)
    print(`failed: ${message}`)
    return { error: message }
  }
}

/** The chain's own order and predicates, with what each step changed. */
function applySteps(record: ConnectRecord, links: readonly ChainLink[], options: Options): ConnectRecord | null {
  let lines = recordLines(record)
  print(
    renderDiff(
      lines.map((text) => ({ kind: 'same', text })),
      options.colour,
    ),
  )
  let current = record
  for (const { alias, className, transformation, predicate, negate } of links) {
    print(`\n--- ${alias}: ${className}`)
    const input = current
    const limited = <T>(call: () => T): T => withinLimit(options.timeoutMs, `${alias} (${className})`, call)
    if (predicate !== null && limited(() => predicate.predicate.test(input)) === negate) {
      print(`not applied: predicate ${predicate.alias} is ${negate}${negate ? ', and negated' : ''}`)
      continue
    }
    const next = limited(() => transformation.apply(input))
    if (next === null) {
      print('dropped')
      return null
    }
    const changed = recordLines(next)
    const diff = diffLines(lines, changed)
    const isSame = diff.every((line) => line.kind === 'same')
    print(isSame ? unchanged(className, current) : renderDiff(diff, options.colour))
    lines = changed
    current = next
  }
  return current
}

/** Most of Debezium's transforms pass over records without a schema, to the surprise of who wrote the fixture by hand. */
function unchanged(className: string, { value, valueSchema }: ConnectRecord): string {
  const isBlind = className.startsWith('io.debezium.') && value !== null && valueSchema === null
  return isBlind
    ? 'unchanged: it looks at values with a schema; write { "schema", "payload" } in the fixture'
    : 'unchanged'
}

/** Without anything expected a record that fails is what is not. */
function isExpected(outcome: Outcome, expected: Outcome | undefined, options: Options): boolean {
  if (expected === undefined) return typeof outcome !== 'object' || outcome === null || !('error' in outcome)
  const [wanted, found] = [stringifyJson(expected), stringifyJson(outcome)]
  if (wanted === found) return true
  print('\nnot as expected:')
  print(renderDiff(diffLines(outcomeLines(expected), outcomeLines(outcome)), options.colour))
  return false
}

function outcomeLines(outcome: Outcome): readonly string[] {
  if (outcome === null) return ['dropped']
  if (typeof outcome !== 'object' || !('topic' in outcome)) return [stringifyJson(outcome)]
  try {
    return recordLines(recordOf(outcome, 'sink'))
  } catch {
    // An expectation written by hand may be no record at all; its own text says so best.
    return [stringifyJson(outcome)]
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`)
}
