/** Records of the status topic in Connect's formats, and the table that they make. Pure. */
import type { ReportedState, TaskId } from '../runtime/worker-types.ts'
import { javaJson } from './java-json.ts'
import type { RestartStatus } from './task-restarts.ts'

export interface Status {
  readonly state: ReportedState
  /** `host:port` of the worker that reports. */
  readonly workerId: string
  /** Generation of the worker group; 0 in a standalone worker. */
  readonly generation: number
  readonly trace: string | null
  /** Version of the plugin (Connect 4.1). */
  readonly version: string | null
  /** Of a failed task whose connector asks for restarts; Connect passes over what it does not know. */
  readonly restart?: RestartStatus
}

/** A topic that a connector wrote to or read from. */
export interface ActiveTopic {
  readonly topic: string
  readonly connector: string
  /** The task that saw it first. */
  readonly task: number
  /** Milliseconds since 1970. */
  readonly discoveredMs: number
}

const topicPrefix = 'status-topic-'
const taskPrefix = 'status-task-'
const connectorPrefix = 'status-connector-'
const topicSeparator = ':connector-'

export const statusKeys = {
  connector: (connector: string): string => `${connectorPrefix}${connector}`,
  task: (id: TaskId): string => `${taskPrefix}${id.connector}-${id.task}`,
  topic: ({ topic, connector }: ActiveTopic): string => `${topicPrefix}${topic}${topicSeparator}${connector}`,
} as const

export function encodeStatus(status: Status): Uint8Array {
  const { state, trace, workerId, generation, version, restart } = status
  const map = { state, trace, worker_id: workerId, generation, version }
  return Buffer.from(javaJson(restart === undefined ? map : { ...map, restart: encodeRestart(restart) }))
}

function encodeRestart({ code, reason, attempts, nextAttemptMs }: RestartStatus) {
  return { code, reason, attempts, next_attempt: nextAttemptMs }
}

function decodeRestart(value: unknown): RestartStatus | null {
  if (value === null || typeof value !== 'object') return null
  const { code, reason, attempts, next_attempt: next } = value as JsonMap
  if (typeof code !== 'string' || typeof reason !== 'string' || typeof attempts !== 'number') return null
  return { code, reason, attempts, nextAttemptMs: typeof next === 'number' ? next : null }
}

export function encodeTopic({ topic, connector, task, discoveredMs }: ActiveTopic): Uint8Array {
  return Buffer.from(javaJson({ topic: { name: topic, connector, task, discoverTimestamp: discoveredMs } }))
}

const states: ReadonlySet<string> = new Set<ReportedState>([
  'UNASSIGNED',
  'RUNNING',
  'PAUSED',
  'STOPPED',
  'FAILED',
  'RESTARTING',
])

type JsonMap = Readonly<Record<string, unknown>>

function parseMap(bytes: Uint8Array): JsonMap | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    return value !== null && typeof value === 'object' ? (value as JsonMap) : null
  } catch {
    // The caller reports the record as unreadable.
    return null
  }
}

function decodeStatus(bytes: Uint8Array): Status | null {
  const map = parseMap(bytes)
  const state = map?.['state']
  const workerId = map?.['worker_id']
  const generation = map?.['generation']
  if (typeof state !== 'string' || !states.has(state)) return null
  if (typeof workerId !== 'string' || typeof generation !== 'number') return null
  const trace = map?.['trace']
  const version = map?.['version']
  const restart = decodeRestart(map?.['restart'])
  return {
    state: state as ReportedState,
    workerId,
    generation,
    trace: typeof trace === 'string' ? trace : null,
    version: typeof version === 'string' ? version : null,
    ...(restart === null ? {} : { restart }),
  }
}

function decodeTopic(bytes: Uint8Array): ActiveTopic | null {
  const inner = parseMap(bytes)?.['topic']
  if (inner === null || typeof inner !== 'object') return null
  const { name, connector, task, discoverTimestamp } = inner as JsonMap
  if (typeof name !== 'string' || typeof connector !== 'string' || typeof task !== 'number') return null
  return { topic: name, connector, task, discoveredMs: typeof discoverTimestamp === 'number' ? discoverTimestamp : 0 }
}

function parseTaskKey(key: string): TaskId | null {
  const match = /^status-task-(.+)-(\d+)$/s.exec(key)
  return match?.[1] === undefined ? null : { connector: match[1], task: Number(match[2]) }
}

/** Told of a topic that is no longer listed as one that the connector uses. */
export type TopicRemoved = (connector: string, topic: string) => void

/** What the status topic says, entry by entry. */
export class StatusTable {
  readonly #connectors = new Map<string, Status>()
  readonly #tasks = new Map<string, Map<number, Status>>()
  readonly #topics = new Map<string, Map<string, ActiveTopic>>()
  readonly #onTopicRemoved: TopicRemoved

  constructor(onTopicRemoved: TopicRemoved = () => {}) {
    this.#onTopicRemoved = onTopicRemoved
  }

  /** @returns what is wrong with the record, or null */
  apply(key: string, value: Uint8Array | null): string | null {
    if (key.startsWith(topicPrefix)) return this.#applyTopic(key, value)
    if (key.startsWith(taskPrefix)) return this.#applyTask(key, value)
    if (key.startsWith(connectorPrefix)) return this.#applyConnector(key.slice(connectorPrefix.length), value)
    return 'its key has no known prefix'
  }

  status(key: string): Status | null {
    if (key.startsWith(connectorPrefix)) return this.#connectors.get(key.slice(connectorPrefix.length)) ?? null
    const id = parseTaskKey(key)
    return id === null ? null : (this.#tasks.get(id.connector)?.get(id.task) ?? null)
  }

  tasks(connector: string): ReadonlyMap<number, Status> {
    return new Map([...(this.#tasks.get(connector) ?? [])].sort(([a], [b]) => a - b))
  }

  connectors(): readonly string[] {
    return [...new Set([...this.#connectors.keys(), ...this.#tasks.keys()])]
  }

  topics(connector: string): readonly ActiveTopic[] {
    return [...(this.#topics.get(connector)?.values() ?? [])]
  }

  #applyConnector(connector: string, value: Uint8Array | null): string | null {
    if (value === null) {
      this.#connectors.delete(connector)
      return null
    }
    const status = decodeStatus(value)
    if (status === null) return 'it holds no status'
    this.#connectors.set(connector, status)
    return null
  }

  #applyTask(key: string, value: Uint8Array | null): string | null {
    const id = parseTaskKey(key)
    if (id === null) return 'its key names no task'
    const tasks = this.#tasks.get(id.connector) ?? new Map<number, Status>()
    if (value === null) {
      tasks.delete(id.task)
      if (tasks.size === 0) this.#tasks.delete(id.connector)
      return null
    }
    const status = decodeStatus(value)
    if (status === null) return 'it holds no status'
    const known = tasks.get(id.task)
    // The old owner's farewell arrives after the new owner's start: it says nothing about the task that runs now.
    const isLate = status.state === 'UNASSIGNED' && known?.state === 'RUNNING' && known.generation >= status.generation
    // A worker that stops its own task says so in the same generation; that is no other owner's news.
    if (isLate && known.workerId !== status.workerId) return null
    this.#tasks.set(id.connector, tasks.set(id.task, status))
    return null
  }

  #applyTopic(key: string, value: Uint8Array | null): string | null {
    const rest = key.slice(topicPrefix.length)
    const end = rest.indexOf(':')
    const topic = rest.slice(0, end)
    const connector = end < 0 ? '' : rest.slice(end).replace(topicSeparator, '')
    if (topic === '' || connector === '' || !rest.slice(end).startsWith(topicSeparator)) {
      return 'its key names no topic and connector'
    }
    const topics = this.#topics.get(connector) ?? new Map<string, ActiveTopic>()
    if (value === null) {
      if (topics.delete(topic)) this.#onTopicRemoved(connector, topic)
      return null
    }
    const active = decodeTopic(value)
    if (active === null) return 'it holds no topic'
    this.#topics.set(connector, topics.set(topic, active))
    return null
  }
}
