/** `connect-metrics`: the connections of this worker to its group, under the names of Kafka's network client. */
import type { TrafficListener } from '../kafka/types.ts'
import type { MetricRegistry } from '../metrics/registry.ts'

/**
 * Declares the group, and counts into it what the listener is told. Figures of Java's selector (`io-…`, `select-…`) and
 * sizes of single requests have no counterpart here and are left out.
 * @param clientId of this worker in its group
 */
export function networkMetrics(registry: MetricRegistry, clientId: string): TrafficListener {
  const group = registry.group('connect-metrics', { 'client-id': clientId })
  const connections = { open: 0 }
  group.gaugeOf('connection-count', 'Open connections', () => connections.open)
  const created = group.meter('connection-creation', 'Connections that were opened')
  const closed = group.meter('connection-close', 'Connections that were closed')
  const requests = group.meter('request', 'Requests that were sent')
  const responses = group.meter('response', 'Answers that were received')
  const incomingBytes = group.meter('incoming-byte', 'Bytes that were read from the connections')
  const outgoingBytes = group.meter('outgoing-byte', 'Bytes that were written to the connections')
  return {
    connected: () => {
      connections.open++
      created.add(1)
    },
    disconnected: () => {
      connections.open--
      closed.add(1)
    },
    request: () => requests.add(1),
    response: () => responses.add(1),
    bytes: (incoming, outgoing) => {
      incomingBytes.add(incoming)
      outgoingBytes.add(outgoing)
    },
  }
}
