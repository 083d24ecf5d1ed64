/** Connector files on the command line: read in any of Connect's three formats, applied so that a repeat changes nothing. */
import { readFile } from 'node:fs/promises'
import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { ConnectError, kindOf, NotFoundError, NotLeaderError, RequestError, toError } from '../api/errors.ts'
import type { Herder } from '../cluster/herder.ts'
import type { TargetState } from '../runtime/worker-types.ts'
import { decodeProperties, parseProperties } from './properties.ts'

export interface ConnectorFile {
  readonly path: string
  readonly name: string
  readonly config: RawConfig
  /** State on creation; null: STARTED. Ignored when the connector exists. */
  readonly initialState: TargetState | null
}

const initialStates: ReadonlyMap<string, TargetState> = new Map([
  ['RUNNING', 'STARTED'],
  ['PAUSED', 'PAUSED'],
  ['STOPPED', 'STOPPED'],
])

/**
 * @param fallbackName for a file without a name, such as the body of `PUT /connectors/x/config`; absent: it needs one
 * @throws ConnectError (`CONNECT_CONFIG_FILE`) naming the file when it cannot be read or has none of the formats
 */
export async function readConnectorFile(path: string, fallbackName?: string): Promise<ConnectorFile> {
  try {
    return parseConnectorFile(path, decodeProperties(await readFile(path)), fallbackName)
  } catch (error) {
    const message = `Cannot use the connector file ${path}: ${toError(error).message}`
    throw new ConnectError('fatal', 'CONNECT_CONFIG_FILE', message, { cause: error })
  }
}

/** In this order: the body of `POST /connectors`, a flat JSON map of texts, Java properties. */
export function parseConnectorFile(path: string, text: string, fallbackName?: string): ConnectorFile {
  const json = parseJsonObject(text)
  if (json === null) return fromFlat(path, parseProperties(text), fallbackName)
  const keys = Object.keys(json)
  const isRequest = keys.every((k) => k === 'name' || k === 'config' || k === 'initial_state') && 'config' in json
  if (!isRequest) return fromFlat(path, toOptions(json), fallbackName)
  const { name, config, initial_state: state } = json
  if (typeof name !== 'string') throw new Error('"name" must be a text')
  if (!isObject(config)) throw new Error('"config" must be an object of options')
  const target = state === undefined || state === null ? null : initialStates.get(String(state).toUpperCase())
  if (target === undefined) throw new Error(`"initial_state" is ${String(state)}; use RUNNING, PAUSED or STOPPED`)
  const options = toOptions(config)
  if (options['name'] !== undefined && options['name'] !== name) {
    throw new Error(`"name" is ${name}, but the config's own name is ${options['name']}`)
  }
  return { path, name, config: { ...options, name }, initialState: target }
}

function fromFlat(path: string, config: RawConfig, fallbackName: string | undefined): ConnectorFile {
  const name = config['name'] ?? fallbackName
  if (name === undefined || name.trim() === '') throw new Error('the config has no "name"')
  return { path, name, config, initialState: null }
}

function parseJsonObject(text: string): Record<string, unknown> | null {
  if (!text.trimStart().startsWith('{')) return null
  const json: unknown = JSON.parse(text)
  return isObject(json) ? json : null
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function toOptions(json: Record<string, unknown>): Record<string, string> {
  const result: Record<string, string> = {}
  for (const [option, value] of Object.entries(json)) {
    if (value === null || typeof value === 'object') throw new Error(`option "${option}" must be a text`)
    result[option] = String(value)
  }
  return result
}

export interface ApplyOptions {
  readonly herder: Herder
  readonly logger: Logger
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Carries out the same on the leader when this worker is a follower. */
  readonly forward: (url: string, file: ConnectorFile, exists: boolean) => Promise<void>
}

export type Applied = 'created' | 'updated' | 'unchanged'

/**
 * Brings one connector to the file's config: creates it, replaces another config, leaves an equal one alone. Waits
 * while the group rebalances or has no leader yet.
 * @throws RequestError 400 with all problems of the config
 */
export async function applyConnectorFile(file: ConnectorFile, options: ApplyOptions): Promise<Applied> {
  for (let attempt = 0; ; attempt++) {
    try {
      const result = await applyOnce(file, options)
      options.logger.info({ connector: file.name, file: file.path, result }, 'connector file applied')
      return result
    } catch (error) {
      if (!isMomentary(error) || options.signal.aborted) throw error
      options.logger.debug({ connector: file.name, file: file.path, attempt }, 'group not ready, connector file waits')
      await options.clock.sleep(Math.min(250 * 2 ** attempt, 5000), options.signal)
      if (options.signal.aborted) throw error
    }
  }
}

async function applyOnce(file: ConnectorFile, { herder, forward }: ApplyOptions): Promise<Applied> {
  const current = await currentConfig(herder, file.name)
  if (current !== null && sameConfig(current, file.config)) return 'unchanged'
  const exists = current !== null
  try {
    await herder.putConnector(file.name, file.config, {
      replace: exists,
      initialState: exists ? null : file.initialState,
    })
  } catch (error) {
    if (!(error instanceof NotLeaderError) || error.url === null) throw error
    await forward(error.url, file, exists)
  }
  return exists ? 'updated' : 'created'
}

/** Refusals that pass: a rebalance is due, or no leader is known yet. Somebody else's creation shows as 409 too. */
function isMomentary(error: unknown): boolean {
  return kindOf(error) === 'retriable' || (error instanceof RequestError && error.status === 409)
}

async function currentConfig(herder: Herder, name: string): Promise<RawConfig | null> {
  try {
    return await herder.connectorConfig(name)
  } catch (error) {
    if (error instanceof NotFoundError) return null
    throw error
  }
}

function sameConfig(a: RawConfig, b: RawConfig): boolean {
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key])
}
