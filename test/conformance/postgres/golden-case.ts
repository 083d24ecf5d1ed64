/** What a case of the corpus says: its files, as both players read them. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CaseRules } from './normalise.ts'

export interface Step {
  readonly sql?: string
  readonly session?: string
  readonly run?: string
  readonly query?: string
  readonly name?: string
  readonly action?: string
  readonly expectError?: boolean
  readonly noWait?: boolean
  readonly wait?: boolean
  readonly state?: string
  readonly contains?: string
  readonly seconds?: number
  readonly quiet?: number
  readonly set?: Readonly<Record<string, string | null>>
  readonly config?: Readonly<Record<string, string>>
  readonly messages?: boolean
  readonly fields?: readonly string[]
  readonly id?: string
  readonly type?: string
  readonly data?: unknown
  readonly table?: string
  /** Record that a step writes to a topic. */
  readonly topic?: string
  readonly key?: string
  readonly value?: unknown
  /** False: the number of errors is not compared. */
  readonly count?: boolean
  readonly streams?: boolean
}

export interface GoldenCase extends CaseRules {
  readonly title: string
  /** Numbers of the Postgres statements that the case shows. */
  readonly covers?: readonly number[]
  readonly steps: readonly Step[]
  readonly start?: boolean
  readonly waitRunning?: boolean
  readonly endQuiet?: number
  /** Patterns of topics beside those of the prefix. */
  readonly topics?: readonly string[]
  /** False: the connector has no slot to wait for. */
  readonly streams?: boolean
}

/** Records that a recording had after its start, and after each step. */
export interface Counts {
  readonly start: number
  readonly steps: readonly number[]
}

export interface GoldenFiles {
  readonly spec: GoldenCase
  readonly counts: Counts
}

export async function readCase(folder: string): Promise<GoldenFiles> {
  const json = async (file: string) => JSON.parse(await readFile(join(folder, file), 'utf8')) as unknown
  return { spec: (await json('case.json')) as GoldenCase, counts: (await json('counts.json')) as Counts }
}

/** Steps that lead to no records by themselves. */
const passiveActions = new Set(['offsets', 'validate', 'waitState', 'dropSlot', 'sleep', 'pause'])

/** Whether the player waits for the recorded count of records behind the step. */
export function awaitsRecords(step: Step): boolean {
  const isPassive =
    step.query !== undefined ||
    passiveActions.has(step.action ?? '') ||
    (step.session !== undefined && step.wait !== true)
  return !(step.noWait ?? isPassive)
}
