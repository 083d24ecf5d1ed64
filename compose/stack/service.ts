import type { RunRecord } from './processes.ts'
import type { ServiceName, StackSettings } from './settings.ts'

/** One server of the stack: how to get it, start it, and see that it answers. */
export interface Service {
  readonly name: ServiceName
  /** Services that must be ready before this one is of use. */
  readonly dependsOn: readonly ServiceName[]
  /** Whether artifacts come through Maven and run on Java. */
  readonly needsJava: boolean
  /** Longest time from spawn to the first good probe, in ms. */
  readonly readyTimeoutMs: number
  /** All TCP ports it will listen on. */
  ports(settings: StackSettings): readonly number[]
  /** Fetches what is missing, prepares the data folder and spawns the server; does not wait until it is ready. */
  start(settings: StackSettings): Promise<RunRecord>
  /** One attempt at a real request; false or a throw means not yet. */
  probe(settings: StackSettings): Promise<boolean>
  /** Environment variables by which tests and pipelines find this server. */
  variables(settings: StackSettings): Readonly<Record<string, string>>
  /** True when the running server should be replaced, because its program changed since it started. */
  isOutdated?(settings: StackSettings, record: RunRecord): boolean
  /** Folders that `reset` deletes. */
  dataFolders(settings: StackSettings): readonly string[]
}
