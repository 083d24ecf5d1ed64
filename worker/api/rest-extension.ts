import type { RawConfig } from './connector.ts'

/** A request on a main listener, as an extension sees it. */
export interface RestExtensionRequest {
  readonly method: string
  /** Without query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
}

export interface RestExtensionAnswer {
  readonly status: number
  /** Becomes JSON. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface RestExtensionRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With parameters as `:name`; none of Connect's own. */
  readonly path: string
  handle(request: RestExtensionRequest): Promise<RestExtensionAnswer>
}

/** What an extension may ask about the cluster (Connect's `ConnectClusterState`). */
export interface ConnectClusterState {
  connectors(): Promise<readonly string[]>
  /** @throws Error when there is none of that name */
  connectorConfig(connector: string): Promise<RawConfig>
  connectorHealth(connector: string): Promise<ConnectorHealth>
}

export interface ConnectorHealth {
  readonly name: string
  readonly type: 'source' | 'sink' | 'unknown'
  readonly connector: { readonly state: string; readonly workerId: string; readonly trace: string | null }
  readonly tasks: readonly {
    readonly id: number
    readonly state: string
    readonly workerId: string
    readonly trace: string | null
  }[]
}

/**
 * Adds to the REST API, or decides who may use it (KIP-285). A module of `plugin.path` exports extensions as
 * `restExtensions`; `rest.extension.classes` names those that the worker uses, in order. They run on the main thread
 * and belong to the main listeners only. What they throw at the start ends it: a filter may not be missing silently.
 */
export interface RestExtension {
  readonly name: string
  readonly version: string
  readonly routes?: readonly RestExtensionRoute[]
  /** Before anything listens. @param config options of the worker as text, references resolved */
  configure?(config: RawConfig): Promise<void>
  /** Asked before every request but the signed ones between workers; an answer is given instead of Connect's. */
  filter?(request: RestExtensionRequest): Promise<RestExtensionAnswer | null>
  /** Once, when requests begin to be answered; connectors may not be known yet. */
  register?(cluster: ConnectClusterState): Promise<void>
  /** The worker stops. */
  close?(): Promise<void>
}

export function defineRestExtension(extension: RestExtension): RestExtension {
  return extension
}
