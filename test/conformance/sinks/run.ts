/** The recorded cases of one sink from the command line, for `npm run parity`. */
import { writeFileSync } from 'node:fs'
import { sinkCases } from './corpus.ts'
import { type Difference, describeDifference, isOrderOfMembers } from './exact-json.ts'
import { casesAtATime, ownExpectations, type SinkSuite, SuiteRun } from './suite.ts'

const usage = '[--ignore-order] [--lines N] [--changes FILE] [case …]'

/**
 * Plays the named cases (by the start of their names; default all) and prints what differs.
 * `--ignore-order` lets lines differ in the order of their JSON members; without it they are compared by their bytes.
 * `--changes` writes the differences in the form of `own-expectations.json`, to be judged and given a reason.
 * @returns exit status: 0 when every case is as expected
 */
export async function runSinkCases(suite: SinkSuite, args: readonly string[]): Promise<number> {
  const { lines, changes, ignoreOrder, wanted } = readArguments(args)
  const names = sinkCases(suite.sink).filter((name) => wanted.length === 0 || wanted.some((w) => name.startsWith(w)))
  const own = ownExpectations(suite.sink)
  const found = new Map<string, readonly Difference[]>()
  let passed = 0
  let skipped = 0
  await using run = await SuiteRun.open(suite)
  const playNext = async (): Promise<void> => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      const missing = run.missing.get(name)
      if (missing !== undefined) {
        print(`${name}: skipped, ${missing}`)
        skipped += 1
        continue
      }
      const played = await run.differences(name).catch((error: unknown) => String(error))
      if (typeof played === 'string') print(`${name}: not played to its end: ${played}`)
      else {
        const outcome = ignoreOrder ? played.filter((difference) => !isOrderOfMembers(difference)) : played
        if (outcome.length === 0) passed += 1
        else found.set(name, outcome)
        const reason = own.get(name)?.reason
        const note = reason === undefined ? '' : ` (differs from the reference: ${reason})`
        print(`${name}: ${outcome.length === 0 ? 'equal' : `${outcome.length} differences`}${note}`)
        for (const difference of outcome.slice(0, lines)) print(`  ${describeDifference(difference)}`)
      }
    }
  }
  const count = names.length
  await Promise.all(Array.from({ length: casesAtATime }, playNext))
  if (changes !== null) writeChanges(changes, found)
  print(`${suite.sink}: ${passed} of ${count} cases equal${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  return passed + skipped === count ? 0 : 1
}

function readArguments(args: readonly string[]) {
  let lines = 5
  let changes: string | null = null
  let ignoreOrder = false
  const wanted: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string
    if (arg === '--lines') lines = Number(args[++i])
    else if (arg === '--ignore-order') ignoreOrder = true
    else if (arg === '--changes') changes = args[++i] ?? null
    else if (arg.startsWith('-')) throw new Error(`unknown option ${arg}; usage: ${usage}`)
    else wanted.push(arg)
  }
  return { lines, changes, ignoreOrder, wanted }
}

function writeChanges(file: string, found: ReadonlyMap<string, readonly Difference[]>): void {
  const cases = [...found].sort().map(([name, differences]) => {
    const changes = differences.map(({ path, actual }) => ({ path, ...(actual !== undefined && { value: actual }) }))
    return [name, { reason: '', changes }]
  })
  const text = JSON.stringify(Object.fromEntries(cases), (_, v) => (typeof v === 'bigint' ? Number(v) : v), 1)
  writeFileSync(file, `${text}\n`)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
