/**
 * Plays cases of the corpus against the task: `node test/conformance/postgres/tasks.ts [--lines N] [name…]`.
 * Prints differences per case and `N of M cases equal` at the end.
 */
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Comparison, compareRecords } from './compare.ts'
import { type NormalRecord, parseExact } from './normalise.ts'
import { type GoldenCase, TaskPlayer } from './task-player.ts'

export const corpus = new URL('../golden/postgres/', import.meta.url).pathname

export async function caseNames(): Promise<readonly string[]> {
  return (await readdir(corpus)).sort()
}

/** Plays one case and compares. */
export async function playCase(name: string, pgUrl: string): Promise<Comparison> {
  const folder = join(corpus, name)
  const spec = JSON.parse(await readFile(join(folder, 'case.json'), 'utf8')) as GoldenCase
  const lines = (await readFile(join(folder, 'expected.jsonl'), 'utf8')).split('\n').filter((line) => line !== '')
  const expected = lines.map((line) => parseExact(line)?.value as unknown as NormalRecord)
  const actual = await TaskPlayer.play(folder, pgUrl, randomBytes(4).toString('hex'))
  return compareRecords(expected, actual, new Set(['additional_data', ...(spec.maps ?? [])]))
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const args = process.argv.slice(2)
  const lines = args[0] === '--lines' ? Number(args.splice(0, 2)[1]) : 5
  const url = process.env['TEST_PG_URL'] ?? ''
  const names = (await caseNames()).filter((name) => args.length === 0 || args.some((arg) => name.startsWith(arg)))
  let equalCases = 0
  for (const name of names) {
    try {
      const { equal, total, differences } = await playCase(name, url)
      if (differences.length === 0 && equal === total) equalCases += 1
      process.stdout.write(`${name}: ${equal} of ${total} records equal\n`)
      for (const line of differences.slice(0, lines)) process.stdout.write(`  ${line}\n`)
    } catch (error) {
      process.stdout.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
  process.stdout.write(`${equalCases} of ${names.length} cases equal\n`)
}
