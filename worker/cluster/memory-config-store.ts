import type { RawConfig } from '../api/connector.ts'
import type { TargetState } from '../runtime/worker-types.ts'
import type { ClusterState } from './cluster-state.ts'
import { ConfigLog, configKeys, configValues } from './config-log.ts'

/** Configs of a standalone worker: the rules of the config topic without the topic. Nothing outlives the process. */
export class MemoryConfigStore {
  readonly #log = new ConfigLog()
  #offset = 0n

  snapshot(): ClusterState {
    return this.#log.snapshot()
  }

  putConnectorConfig(connector: string, config: RawConfig, initial: TargetState | null): void {
    if (initial !== null) this.putTargetState(connector, initial)
    this.#append(configKeys.connector(connector), configValues.properties(config))
  }

  removeConnector(connector: string): void {
    this.#append(configKeys.connector(connector), null)
    this.#append(configKeys.targetState(connector), null)
  }

  putTaskConfigs(connector: string, configs: readonly RawConfig[]): void {
    for (const [task, config] of configs.entries()) {
      this.#append(configKeys.task({ connector, task }), configValues.properties(config))
    }
    this.#append(configKeys.commit(connector), configValues.commit(configs.length))
  }

  putTargetState(connector: string, target: TargetState): void {
    this.#append(configKeys.targetState(connector), configValues.targetState(target))
  }

  #append(key: string, value: unknown): void {
    this.#log.apply(key, value === null ? null : Buffer.from(JSON.stringify(value)), this.#offset++)
  }
}
