/** Answers to questions about connectors, put together from config state and statuses; the same in every mode. */
import type { RawConfig } from '../api/connector.ts'
import { NotFoundError, RequestError } from '../api/errors.ts'
import { type ConfigInfos, invalidConfigMessage } from '../config/config-infos.ts'
import type { TaskId, Worker } from '../runtime/worker-types.ts'
import { type Loggers, parseLogLevel } from '../util/log.ts'
import type { ClusterState } from './cluster-state.ts'
import type { ConnectorInfo, ConnectorStateInfo, LoggerLevel, StateInfo, TaskInfo } from './herder.ts'
import type { Status } from './status-format.ts'
import type { StatusStore } from './status-store.ts'
import { taskKey } from './work-set.ts'

/** @throws NotFoundError */
export function configOf(state: ClusterState, connector: string): RawConfig {
  const config = state.connectorConfig(connector)
  if (config === null) throw new NotFoundError(`Connector ${connector} not found`)
  return config
}

/** @throws NotFoundError */
export function infoOf(state: ClusterState, worker: Worker, connector: string): ConnectorInfo {
  const config = configOf(state, connector)
  return { name: connector, config, tasks: state.tasks(connector), type: worker.connectorType(config) }
}

/** @throws NotFoundError */
export function tasksOf(state: ClusterState, connector: string): readonly TaskInfo[] {
  configOf(state, connector)
  return state.tasks(connector).map((id) => ({ id, config: state.taskConfig(id) ?? {} }))
}

function stateInfo(status: Status): StateInfo {
  const { state, workerId, version, trace, restart } = status
  const info = { state, worker_id: workerId, version, trace: trace === '' ? null : trace }
  if (restart === undefined) return info
  const { code, reason, attempts, nextAttemptMs } = restart
  const next = nextAttemptMs === null ? null : new Date(nextAttemptMs).toISOString()
  return { ...info, restart: { code, reason, attempts, next_attempt: next } }
}

/** @throws NotFoundError */
export function statusOf(
  state: ClusterState,
  statuses: StatusStore,
  worker: Worker,
  connector: string,
): ConnectorStateInfo {
  const status = statuses.connector(connector)
  if (status === null) throw new NotFoundError(`No status found for connector ${connector}`)
  const config = state.connectorConfig(connector)
  return {
    name: connector,
    connector: stateInfo(status),
    tasks: Array.from(statuses.tasks(connector), ([id, task]) => ({ id, ...stateInfo(task) })),
    type: config === null ? 'unknown' : worker.connectorType(config),
  }
}

/** @throws NotFoundError */
export function taskStatusOf(statuses: StatusStore, id: TaskId): StateInfo & { readonly id: number } {
  const status = statuses.task(id)
  if (status === null) throw new NotFoundError(`No status found for task ${taskKey(id)}`)
  return { id: id.task, ...stateInfo(status) }
}

/** Names of the topics a connector used, sorted. */
export function activeTopicsOf(statuses: StatusStore, connector: string): readonly string[] {
  return statuses
    .topics(connector)
    .map(({ topic }) => topic)
    .sort()
}

/** @throws RequestError 400 with Connect's list of all problems */
export function requireValid(infos: ConfigInfos): void {
  const message = invalidConfigMessage(infos)
  if (message !== null) throw new RequestError(400, 'CONNECT_CONFIG_INVALID', message)
}

/** Options merged over the present ones; null removes one. */
export function mergeConfig(config: RawConfig, patch: Readonly<Record<string, string | null>>): RawConfig {
  const merged: Record<string, string> = { ...config }
  for (const [option, value] of Object.entries(patch)) {
    if (value === null) delete merged[option]
    else merged[option] = value
  }
  return merged
}

export function loggerLevels(loggers: Loggers): ReadonlyMap<string, LoggerLevel> {
  return new Map(
    Array.from(loggers.levels(), ([name, { level, lastModified }]) => [name, { level, last_modified: lastModified }]),
  )
}

/** Sets the level here and in the worker's threads. @throws NotFoundError for a level that does not exist */
export function applyLogLevel(loggers: Loggers, worker: Worker, namespace: string, level: string): readonly string[] {
  const parsed = parseLogLevel(level)
  if (parsed === null) throw new NotFoundError(`invalid log level '${level}'.`)
  // Here first: the worker may share these loggers, and then nothing would be left to change.
  const changed = loggers.setLevel(namespace, parsed)
  worker.setLogLevel(namespace, parsed)
  return changed
}

export const offsetsNeedStop = (connector: string): RequestError =>
  new RequestError(
    400,
    'CONNECT_NOT_STOPPED',
    'Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified ' +
      `connector by issuing a 'PUT' request to the '/connectors/${connector}/stop' endpoint`,
  )
