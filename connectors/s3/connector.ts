import type { ConnectorContext, RawConfig, SinkConnector } from '../../worker/api/connector.ts'
import type { S3SinkConfig } from './config-options.ts'

/** Every task gets the connector's options; the framework deals the topic partitions out. */
export class S3SinkConnector implements SinkConnector<S3SinkConfig> {
  readonly watches = false
  #rawConfig: RawConfig = {}

  async start(_config: S3SinkConfig, context: ConnectorContext): Promise<void> {
    this.#rawConfig = context.rawConfig
  }

  async taskConfigs(maxTasks: number): Promise<readonly RawConfig[]> {
    return Array.from({ length: maxTasks }, () => this.#rawConfig)
  }

  async stop(): Promise<void> {}
}
