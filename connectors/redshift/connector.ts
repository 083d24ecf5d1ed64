import type { ConnectorContext, RawConfig, SinkConnector } from '../../worker/api/connector.ts'
import type { RedshiftSinkConfig } from './config-options.ts'

/** Every task gets the connector's options; the framework deals the partitions of the metadata topics out. */
export class RedshiftSinkConnector implements SinkConnector<RedshiftSinkConfig> {
  readonly watches = false
  #rawConfig: RawConfig = {}

  async start(_config: RedshiftSinkConfig, context: ConnectorContext): Promise<void> {
    this.#rawConfig = context.rawConfig
  }

  async taskConfigs(maxTasks: number): Promise<readonly RawConfig[]> {
    return Array.from({ length: maxTasks }, () => this.#rawConfig)
  }

  async stop(): Promise<void> {}
}
