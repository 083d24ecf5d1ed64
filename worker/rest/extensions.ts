/** REST extensions of `plugin.path` (KIP-285): found, asked, told about the cluster, closed. */
import { ConfigError, toError } from '../api/errors.ts'
import type {
  ConnectClusterState,
  RestExtension,
  RestExtensionAnswer,
  RestExtensionRequest,
} from '../api/rest-extension.ts'
import type { Herder } from '../cluster/herder.ts'
import type { WorkerConfig } from '../config/worker-config.ts'
import { exportedLists } from '../plugins/exported-lists.ts'
import { simpleName } from '../plugins/registry.ts'
import type { Route } from './route.ts'

/** @throws ConfigError naming an extension that no module exports, or that does not start */
export async function loadExtensions(names: readonly string[], config: WorkerConfig): Promise<Extensions> {
  if (names.length === 0) return new Extensions([])
  const known = new Map<string, RestExtension>()
  for (const extension of await exportedLists<RestExtension>(config.options['plugin.path'] ?? [], 'restExtensions')) {
    for (const name of [extension.name, simpleName(extension.name)]) known.set(name, extension)
  }
  const extensions: RestExtension[] = []
  for (const name of names) {
    const extension = known.get(name)
    if (extension === undefined) {
      const message = `REST extension ${name} is not available; modules of plugin.path export them as \`restExtensions\``
      throw new ConfigError([{ option: 'rest.extension.classes', message }])
    }
    try {
      await extension.configure?.(config.raw)
    } catch (error) {
      const message = `REST extension ${name} does not start: ${toError(error).message}`
      throw new ConfigError([{ option: 'rest.extension.classes', message }], { cause: error })
    }
    extensions.push(extension)
  }
  return new Extensions(extensions)
}

export class Extensions {
  readonly #extensions: readonly RestExtension[]

  constructor(extensions: readonly RestExtension[]) {
    this.#extensions = extensions
  }

  get routes(): readonly Route[] {
    return this.#extensions
      .flatMap(({ routes = [] }) => routes)
      .map(({ method, path, handle }) => ({
        method,
        path,
        anyType: true,
        handle: async (_herder, request) => {
          const { status, body } = await handle({ ...request, method, path: request.path })
          return { status, body }
        },
      }))
  }

  /** The first answer that an extension gives instead of Connect's; null: the request goes on. */
  async filter(request: RestExtensionRequest): Promise<RestExtensionAnswer | null> {
    for (const extension of this.#extensions) {
      const answer = await extension.filter?.(request)
      if (answer !== undefined && answer !== null) return answer
    }
    return null
  }

  async register(herder: Herder): Promise<void> {
    const cluster: ConnectClusterState = {
      connectors: () => herder.connectors(),
      connectorConfig: (connector) => herder.connectorConfig(connector),
      connectorHealth: async (connector) => {
        const { name, type, connector: state, tasks } = await herder.connectorStatus(connector)
        const part = (info: typeof state) => ({
          state: info.state,
          workerId: info.worker_id,
          trace: info.trace ?? null,
        })
        return { name, type, connector: part(state), tasks: tasks.map((task) => ({ id: task.id, ...part(task) })) }
      },
    }
    for (const extension of this.#extensions) await extension.register?.(cluster)
  }

  async close(): Promise<void> {
    await Promise.all(this.#extensions.map(async (extension) => extension.close?.()))
  }
}
