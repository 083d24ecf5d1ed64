import type { ConnectorContext, RawConfig, SinkConnector } from '../../worker/api/connector.ts'
import type { ElasticsearchSinkConfig } from './config-options.ts'

/** Every task gets the connector's whole configuration; Kafka divides the partitions among them. */
export class ElasticsearchSinkConnector implements SinkConnector<ElasticsearchSinkConfig> {
  readonly watches = false
  #rawConfig: RawConfig = {}

  async start(_config: ElasticsearchSinkConfig, context: ConnectorContext): Promise<void> {
    this.#rawConfig = context.rawConfig
  }

  async taskConfigs(maxTasks: number): Promise<readonly RawConfig[]> {
    return Array.from({ length: maxTasks }, () => this.#rawConfig)
  }

  async stop(): Promise<void> {}
}
