import { createKafkaClientFactory } from '../../worker/kafka/client.ts'
import { requireService } from '../support/services.ts'
import { kafkaConformance } from './kafka.ts'

const kafka = requireService('kafka')

kafkaConformance(
  'broker',
  () => ({
    clients: createKafkaClientFactory(),
    properties: { 'bootstrap.servers': kafka.settings.brokers.join(','), 'client.id': 'conformance' },
  }),
  { skip: kafka.skip },
)
