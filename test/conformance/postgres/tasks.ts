/** Cases of the recorded corpus, played against the connector's task. */
import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Servers } from './case-database.ts'
import { type Comparison, compareRecords } from './compare.ts'
import type { GoldenCase } from './golden-case.ts'
import { type NormalRecord, parseExact } from './normalise.ts'
import { TaskPlayer } from './task-player.ts'

export const corpus = new URL('../golden/postgres/', import.meta.url).pathname

/** Cases that are known to differ, with the reason. */
export async function knownDifferences(): Promise<Readonly<Record<string, string>>> {
  return JSON.parse(await readFile(new URL('not-equal.json', import.meta.url), 'utf8')) as Record<string, string>
}

export async function caseNames(): Promise<readonly string[]> {
  return (await readdir(corpus)).sort()
}

/** Numbers of the Postgres statements that cases say they cover. */
export async function coveredStatements(): Promise<ReadonlySet<number>> {
  const covers = await Promise.all(
    (await caseNames()).map(async (name) => {
      const spec = JSON.parse(await readFile(join(corpus, name, 'case.json'), 'utf8')) as GoldenCase
      return spec.covers ?? []
    }),
  )
  return new Set(covers.flat())
}

type Player = (folder: string, id: string) => Promise<readonly NormalRecord[]>

/** Plays one case against the task itself and compares. */
export async function playCase(name: string, servers: Servers): Promise<Comparison> {
  return await playCaseWith(name, (folder, id) => TaskPlayer.play(folder, servers, id))
}

/** Whether the connector of a case talks to Kafka itself. */
export async function needsKafka(name: string): Promise<boolean> {
  return (await readFile(join(corpus, name, 'connector.json'), 'utf8')).includes('${bootstrap}')
}

/** Plays one case and compares. @param player gets the folder of the case and an id for everything that it creates */
export async function playCaseWith(name: string, player: Player): Promise<Comparison> {
  const folder = join(corpus, name)
  const spec = JSON.parse(await readFile(join(folder, 'case.json'), 'utf8')) as GoldenCase
  const lines = (await readFile(join(folder, 'expected.jsonl'), 'utf8')).split('\n').filter((line) => line !== '')
  const expected = lines.map((line) => parseExact(line)?.value as unknown as NormalRecord)
  const actual = await player(folder, randomBytes(4).toString('hex'))
  return compareRecords(expected, actual, new Set(['additional_data', ...(spec.maps ?? [])]))
}
