import { FakeKafka } from '../support/kafka/fake-kafka.ts'
import { kafkaConformance } from './kafka.ts'

kafkaConformance('fake', () => ({ clients: new FakeKafka().clients, properties: { 'bootstrap.servers': 'fake:9092' } }))
