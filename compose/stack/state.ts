import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readRecord } from './processes.ts'
import { type ServiceName, type StackSettings, serviceNames, settingsFrom } from './settings.ts'

type Remembered = Pick<StackSettings, 'ports' | 's3AccessKey' | 's3SecretKey'>

function settingsFile(settings: StackSettings): string {
  return join(settings.home, 'settings.json')
}

function dockerMarker(settings: StackSettings): string {
  return join(settings.home, 'docker')
}

/** Servers that this checkout started as processes and that are running. */
export function runningServices(settings: StackSettings): readonly ServiceName[] {
  return serviceNames.filter((name) => readRecord(settings, name) !== null)
}

/** True while at least one server that this checkout started as a process is running. */
export function hasProcesses(settings: StackSettings): boolean {
  return runningServices(settings).length > 0
}

/** True when the last start in this checkout was `up --docker` and it was not stopped since. */
export function isDockerMode(settings: StackSettings): boolean {
  return existsSync(dockerMarker(settings))
}

/**
 * Settings of this checkout's stack. While something runs, those it was started with count, so that every shell sees
 * the same endpoints; otherwise the environment decides.
 */
export function loadSettings(env: NodeJS.ProcessEnv = process.env): StackSettings {
  const settings = settingsFrom(env)
  const file = settingsFile(settings)
  if (!existsSync(file) || !(hasProcesses(settings) || isDockerMode(settings))) return settings
  const remembered = JSON.parse(readFileSync(file, 'utf8')) as Remembered
  return { ...settings, ...remembered }
}

/** Keeps what later commands need to find the servers. */
export function rememberSettings(settings: StackSettings, mode: 'processes' | 'docker'): void {
  mkdirSync(settings.home, { recursive: true })
  const { ports, s3AccessKey, s3SecretKey } = settings
  const remembered: Remembered = { ports, s3AccessKey, s3SecretKey }
  writeFileSync(settingsFile(settings), `${JSON.stringify(remembered, null, 2)}\n`, { mode: 0o600 })
  if (mode === 'docker') writeFileSync(dockerMarker(settings), '')
}

/** Forgets the endpoints once nothing runs any more. */
export function forgetSettings(settings: StackSettings): void {
  rmSync(settingsFile(settings), { force: true })
  rmSync(dockerMarker(settings), { force: true })
}
