/**
 * Parity with the recorded corpus: `run.ts [--lines N] [case…]`, cases by the start of their names. Needs TEST_PG_URL,
 * and TEST_KAFKA_BROKERS for the cases whose signals come from there.
 * Prints differences per case and `N of M cases equal`; exit status 1 when a case differs that is not known to.
 */
import { caseNames, knownDifferences, playCase } from './tasks.ts'

const args = process.argv.slice(2)
const lines = args[0] === '--lines' ? Number(args.splice(0, 2)[1]) : 5
const url = process.env['TEST_PG_URL'] ?? ''
const brokers = (process.env['TEST_KAFKA_BROKERS'] ?? '').split(',').filter((broker) => broker !== '')
const print = (text: string) => process.stdout.write(`${text}\n`)

if (url === '') {
  print('TEST_PG_URL is not set: run `npm run stack -- up` and export what `npm run --silent stack -- env` prints')
  process.exitCode = 1
} else {
  const known = await knownDifferences()
  const names = (await caseNames()).filter((name) => args.length === 0 || args.some((arg) => name.startsWith(arg)))
  let equalCases = 0
  for (const name of names) {
    const reason = known[name]
    let problems: readonly string[]
    try {
      const { equal, total, differences } = await playCase(name, { pgUrl: url, brokers })
      print(`${name}: ${equal} of ${total} records equal`)
      problems = differences
    } catch (error) {
      print(`${name}: not played to its end`)
      problems = [error instanceof Error ? error.message : String(error)]
    }
    for (const line of problems.slice(0, lines)) print(`  ${line}`)
    if (problems.length === 0) equalCases += 1
    else if (reason === undefined) process.exitCode = 1
    else print(`  known: ${reason}`)
  }
  print(`${equalCases} of ${names.length} cases equal`)
}
