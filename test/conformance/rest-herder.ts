/**
 * A herder in memory whose connectors do nothing: enough state for every path of the REST layer, so that its answers
 * are compared with the recorded ones without Kafka. What connectors really do is compared against a real worker.
 */
import type { RawConfig } from '../../worker/api/connector.ts'
import { AlreadyExistsError, NotFoundError, RequestError } from '../../worker/api/errors.ts'
import type { ConnectorInfo, ConnectorStateInfo, Herder, LoggerLevel, StateInfo } from '../../worker/cluster/herder.ts'
import { invalidConfigMessage } from '../../worker/config/config-infos.ts'
import { ConfigProviders } from '../../worker/config/config-provider.ts'
import { pluginConfigInfos } from '../../worker/config/connector-config.ts'
import { validateConnector } from '../../worker/config/validate-connector.ts'
import type { WorkerConfig } from '../../worker/config/worker-config.ts'
import type { PluginRegistry } from '../../worker/plugins/registry.ts'
import type { TargetState } from '../../worker/runtime/worker-types.ts'
import { parseLogLevel } from '../../worker/util/log.ts'

interface Entry {
  config: RawConfig
  target: TargetState
  tasks: number
}

/** Levels by namespace as Log4j keeps them: setting one sets those below it. */
class FakeLoggers {
  readonly levels = new Map<string, LoggerLevel>([['root', { level: 'INFO', last_modified: null }]])

  set(namespace: string, text: string): string[] {
    const level = parseLogLevel(text) ?? 'INFO'
    if (!this.levels.has(namespace)) this.levels.set(namespace, { level: '', last_modified: null })
    const below = [...this.levels.keys()].filter((name) => namespace === 'root' || name.startsWith(namespace))
    const changed = below.filter((name) => this.levels.get(name)?.level !== level)
    for (const name of changed) this.levels.set(name, { level, last_modified: Date.now() })
    return changed
  }
}

export interface FakeHerder extends Herder {
  readonly entries: Map<string, Entry>
}

/** @param port of the worker's listener, for worker ids */
export function fakeHerder(plugins: PluginRegistry, worker: WorkerConfig, port: () => number): FakeHerder {
  const entries = new Map<string, Entry>()
  const loggers = new FakeLoggers()
  const workerId = (): string => `127.0.0.1:${port()}`
  const entryOf = (name: string, message = `Connector ${name} not found`): Entry => {
    const entry = entries.get(name)
    if (entry === undefined) throw new NotFoundError(message)
    return entry
  }
  const typeOf = (config: RawConfig): ConnectorInfo['type'] => plugins.findConnector(config)?.type ?? 'unknown'
  const taskIds = (name: string, { tasks }: Entry) =>
    Array.from({ length: tasks }, (_, task) => ({ connector: name, task }))
  const info = (name: string): ConnectorInfo => {
    const entry = entryOf(name)
    return { name, config: entry.config, tasks: taskIds(name, entry), type: typeOf(entry.config) }
  }
  const stateOf = (target: TargetState): StateInfo => {
    const state = target === 'STARTED' ? 'RUNNING' : target
    return { state, worker_id: workerId(), version: '4.3.0', trace: null }
  }
  const status = (name: string, restarting = false): ConnectorStateInfo => {
    const entry = entryOf(name, `No status found for connector ${name}`)
    const state: StateInfo = restarting ? { ...stateOf(entry.target), state: 'RESTARTING' } : stateOf(entry.target)
    return {
      name,
      connector: state,
      tasks: taskIds(name, entry).map(({ task }) => ({ id: task, ...state })),
      type: typeOf(entry.config),
    }
  }
  const validate = (config: RawConfig) =>
    validateConnector({ raw: config, plugins, worker, providers: ConfigProviders.none })
  const taskCount = (config: RawConfig): number => (typeOf(config) === 'sink' ? Number(config['tasks.max'] ?? 1) : 1)
  const unsigned = new RequestError(400, 'CONNECT_SIGNATURE_MISSING', 'Internal request missing required signature')
  const store = async (name: string, config: RawConfig, target: TargetState): Promise<ConnectorInfo> => {
    const message = invalidConfigMessage(await validate(config))
    if (message !== null) throw new RequestError(400, 'CONNECT_CONFIG_INVALID', message)
    const known = entries.get(name)
    const before = known === undefined ? [] : taskIds(name, known)
    const tasks = known?.tasks ?? (target === 'STARTED' ? taskCount(config) : 0)
    entries.set(name, { config, target: known?.target ?? target, tasks })
    return { ...info(name), tasks: before }
  }
  return {
    entries,
    start: async () => {},
    stop: async () => {},
    serverInfo: () => ({ version: '4.3.0', commit: 'abc', kafka_cluster_id: 'id' }),
    get workerId() {
      return workerId()
    },
    health: () => ({ status: 'healthy', message: '' }),
    ping: async () => {},
    stage: () => 'The worker is currently awaiting startup',
    connectors: async () => [...entries.keys()],
    connectorInfo: async (name) => info(name),
    connectorConfig: async (name) => entryOf(name).config,
    connectorStatus: async (name) => status(name),
    taskStatus: async (id) => {
      const task = entries.has(id.connector) ? status(id.connector).tasks.find((t) => t.id === id.task) : undefined
      if (task === undefined) throw new NotFoundError(`No status found for task ${id.connector}-${id.task}`)
      return task
    },
    tasks: async (name) => taskIds(name, entryOf(name)).map((id) => ({ id, config: entryOf(name).config })),
    activeTopics: async () => [],
    resetActiveTopics: async () => {},
    putConnector: async (name, config, { replace, initialState }) => {
      const created = !entries.has(name)
      const message = invalidConfigMessage(await validate(config))
      if (message === null && !created && !replace) throw new AlreadyExistsError(`Connector ${name} already exists`)
      return { created, info: await store(name, config, initialState ?? 'STARTED') }
    },
    patchConnector: async (name, patch) => {
      const merged = { ...entryOf(name).config, ...patch }
      const config = Object.fromEntries(Object.entries(merged).filter((e): e is [string, string] => e[1] !== null))
      return store(name, config, 'STARTED')
    },
    deleteConnector: async (name) => {
      entryOf(name)
      entries.delete(name)
    },
    setTargetState: async (name, target) => {
      const entry = entryOf(name, `Unknown connector ${name}`)
      if (target === 'STOPPED') entry.tasks = 0
      else if (target === 'STARTED') entry.tasks = taskCount(entry.config)
      entry.target = target
    },
    restartConnector: async (name) => void entryOf(name, `Unknown connector: ${name}`),
    restartConnectorAndTasks: async ({ connector, onlyFailed }) => {
      entryOf(connector, `Unknown connector: ${connector}`)
      return status(connector, !onlyFailed)
    },
    restartTask: async ({ connector, task }) => {
      const entry = entryOf(connector, `Unknown connector: ${connector}`)
      if (task >= entry.tasks) throw new NotFoundError(`Unknown task: ${connector}-${task}`)
    },
    offsets: async (name) => {
      entryOf(name)
      return { type: 'source', offsets: [] }
    },
    alterOffsets: async (name) => {
      entryOf(name)
      return 'The offsets for this connector have been altered successfully'
    },
    resetOffsets: async (name) => {
      entryOf(name)
      return 'The offsets for this connector have been reset successfully'
    },
    plugins: (connectorsOnly) => plugins.infos(connectorsOnly),
    pluginConfig: async (name, version) => pluginConfigInfos(plugins.getAny(name, version)),
    validate,
    putTaskConfigs: async () => {
      throw unsigned
    },
    fenceZombieSourceTasks: async () => {
      throw unsigned
    },
    loggers: () => loggers.levels,
    setLoggerLevel: async (namespace, level) => loggers.set(namespace, level),
    metrics: async () => [],
  }
}
