import { requireService } from '../../support/services.ts'
import type { SinkSuite } from '../sinks/suite.ts'
import { GoldenElasticsearch } from './golden-server.ts'

/** The recorded cases against the servers of the environment. */
export function elasticsearchSuite(): SinkSuite {
  const { url } = requireService('elasticsearch').settings
  return {
    sink: 'elasticsearch',
    serverUrl: url,
    brokers: requireService('kafka').settings.brokers,
    variables: new Map(),
    // On a busy machine an index takes longer than the default of 3 s; the repeated bulk would show in the versions.
    connectorDefaults: { 'read.timeout.ms': '30000' },
    openServer: (scope) => new GoldenElasticsearch(url, scope),
  }
}
