/** Cases of the recorded corpus, played against the connector's task. */
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Comparison, compareRecords } from './compare.ts'
import { type NormalRecord, parseExact } from './normalise.ts'
import { type GoldenCase, TaskPlayer } from './task-player.ts'

export const corpus = new URL('../golden/postgres/', import.meta.url).pathname

/** Cases that are known to differ, with the reason. */
export async function knownDifferences(): Promise<Readonly<Record<string, string>>> {
  return JSON.parse(await readFile(new URL('not-equal.json', import.meta.url), 'utf8')) as Record<string, string>
}

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
