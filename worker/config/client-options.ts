/**
 * Options of Kafka clients with their types and defaults, as far as our clients understand them: for the answers of
 * `config/validate` and to keep secrets hidden (I8). Unknown options pass through to the client.
 */
import type { ConfigKeys } from '../api/config.ts'

const common = {
  'bootstrap.servers': { type: 'LIST', default: [], importance: 'HIGH', doc: 'Brokers to start from (host:port).' },
  'client.id': { type: 'STRING', default: '', importance: 'MEDIUM', doc: 'Name of this client in requests to Kafka.' },
  'metadata.max.age.ms': {
    type: 'LONG',
    default: 300000,
    importance: 'LOW',
    doc: 'Age in ms after which topic metadata is loaded again.',
  },
  'reconnect.backoff.ms': {
    type: 'LONG',
    default: 50,
    importance: 'LOW',
    doc: 'First delay in ms before connecting to a broker again.',
  },
  'reconnect.backoff.max.ms': {
    type: 'LONG',
    default: 1000,
    importance: 'LOW',
    doc: 'Longest delay in ms before connecting to a broker again.',
  },
  'retry.backoff.ms': {
    type: 'LONG',
    default: 100,
    importance: 'LOW',
    doc: 'First delay in ms before a request is repeated.',
  },
  'retry.backoff.max.ms': {
    type: 'LONG',
    default: 1000,
    importance: 'LOW',
    doc: 'Longest delay in ms before a request is repeated.',
  },
  'request.timeout.ms': { type: 'INT', default: 30000, importance: 'MEDIUM', doc: 'Time in ms to wait for an answer.' },
  'connections.max.idle.ms': {
    type: 'LONG',
    default: 540000,
    importance: 'MEDIUM',
    doc: 'Time in ms after which an idle connection is closed.',
  },
  'security.protocol': {
    type: 'STRING',
    default: 'PLAINTEXT',
    importance: 'MEDIUM',
    doc: 'How to talk to the brokers: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL.',
  },
  'sasl.mechanism': { type: 'STRING', default: 'GSSAPI', importance: 'MEDIUM', doc: 'SASL mechanism.' },
  'sasl.jaas.config': {
    type: 'PASSWORD',
    default: null,
    importance: 'MEDIUM',
    doc: 'JAAS entry with the credentials of SASL.',
  },
  'sasl.oauthbearer.token.endpoint.url': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    doc: 'Where OAUTHBEARER gets its tokens: an address of the OAuth server, or file:/// of a token.',
  },
  'sasl.oauthbearer.client.credentials.client.id': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    doc: 'Client of the OAuth server; else clientId of sasl.jaas.config.',
  },
  'sasl.oauthbearer.client.credentials.client.secret': {
    type: 'PASSWORD',
    default: null,
    importance: 'MEDIUM',
    doc: 'Its secret; else clientSecret of sasl.jaas.config.',
  },
  'sasl.oauthbearer.scope': {
    type: 'STRING',
    default: null,
    importance: 'MEDIUM',
    doc: 'Scope of the tokens asked for; else scope of sasl.jaas.config.',
  },
  'ssl.truststore.location': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    doc: 'File of trusted certificates.',
  },
  'ssl.truststore.password': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    doc: 'Password of the file of trusted certificates.',
  },
  'ssl.truststore.type': {
    type: 'STRING',
    default: 'JKS',
    importance: 'MEDIUM',
    doc: 'Format of the file of trusted certificates.',
  },
  'ssl.truststore.certificates': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    doc: 'Trusted certificates in PEM.',
  },
  'ssl.keystore.location': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    doc: 'File of the own key and certificate.',
  },
  'ssl.keystore.password': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    doc: 'Password of the file of the own key.',
  },
  'ssl.keystore.type': {
    type: 'STRING',
    default: 'JKS',
    importance: 'MEDIUM',
    doc: 'Format of the file of the own key.',
  },
  'ssl.keystore.key': { type: 'PASSWORD', default: null, importance: 'HIGH', doc: 'Own private key in PEM.' },
  'ssl.keystore.certificate.chain': {
    type: 'PASSWORD',
    default: null,
    importance: 'HIGH',
    doc: 'Own certificate chain in PEM.',
  },
  'ssl.key.password': { type: 'PASSWORD', default: null, importance: 'HIGH', doc: 'Password of the private key.' },
  'ssl.endpoint.identification.algorithm': {
    type: 'STRING',
    default: 'https',
    importance: 'LOW',
    doc: "Check of the broker's name against its certificate; empty: none.",
  },
} as const satisfies ConfigKeys

const producer = {
  acks: {
    type: 'STRING',
    default: 'all',
    importance: 'LOW',
    doc: "The number of acknowledgments the producer requires the leader to have received before considering a request complete. This controls the  durability of records that are sent. The following settings are allowed:  <ul> <li><code>acks=0</code> If set to zero then the producer will not wait for any acknowledgment from the server at all. The record will be immediately added to the socket buffer and considered sent. No guarantee can be made that the server has received the record in this case, and the <code>retries</code> configuration will not take effect (as the client won't generally know of any failures). The offset given back for each record will always be set to <code>-1</code>. <li><code>acks=1</code> This will mean the leader will write the record to its local log but will respond without awaiting full acknowledgement from all followers. In this case should the leader fail immediately after acknowledging the record but before the followers have replicated it then the record will be lost. <li><code>acks=all</code> This means the leader will wait for the full set of in-sync replicas to acknowledge the record. This guarantees that the record will not be lost as long as at least one in-sync replica remains alive. This is the strongest available guarantee. This is equivalent to the acks=-1 setting.</ul><p>Note that enabling idempotence requires this config value to be 'all'. If conflicting configurations are set and idempotence is not explicitly enabled, idempotence is disabled.",
  },
  'buffer.memory': {
    type: 'LONG',
    default: 33554432,
    importance: 'HIGH',
    doc: 'Bytes of records that may wait to be sent.',
  },
  'compression.type': {
    type: 'STRING',
    default: 'none',
    importance: 'HIGH',
    doc: 'Compression of batches: none, gzip, snappy, lz4, zstd.',
  },
  'batch.size': { type: 'INT', default: 16384, importance: 'MEDIUM', doc: 'Bytes of one batch of a partition.' },
  'linger.ms': {
    type: 'LONG',
    default: 5,
    importance: 'MEDIUM',
    doc: "The producer groups together any records that arrive in between request transmissions into a single batched request. Normally this occurs only under load when records arrive faster than they can be sent out. However in some circumstances the client may want to reduce the number of requests even under moderate load. This setting accomplishes this by adding a small amount of artificial delay&mdash;that is, rather than immediately sending out a record, the producer will wait for up to the given delay to allow other records to be sent so that the sends can be batched together. This can be thought of as analogous to Nagle's algorithm in TCP. This setting gives the upper bound on the delay for batching: once we get <code>batch.size</code> worth of records for a partition it will be sent immediately regardless of this setting, however if we have fewer than this many bytes accumulated for this partition we will 'linger' for the specified time waiting for more records to show up. This setting defaults to 5 (i.e. 5ms delay). Increasing <code>linger.ms=50</code>, for example, would have the effect of reducing the number of requests sent but would add up to 50ms of latency to records sent in the absence of load.The default changed from 0 to 5 in Apache Kafka 4.0 as the efficiency gains from larger batches typically result in similar or lower producer latency despite the increased linger.",
  },
  'delivery.timeout.ms': {
    type: 'INT',
    default: 120000,
    importance: 'MEDIUM',
    doc: 'Time in ms for a record to be written, repeats included.',
  },
  'max.block.ms': {
    type: 'LONG',
    default: 60000,
    importance: 'MEDIUM',
    doc: 'Time in ms to wait for metadata or buffer space.',
  },
  'max.request.size': {
    type: 'INT',
    default: 1048576,
    importance: 'MEDIUM',
    doc: 'Largest request, and so the largest record, in bytes.',
  },
  'max.in.flight.requests.per.connection': {
    type: 'INT',
    default: 5,
    importance: 'LOW',
    doc: 'Requests to one broker that may be unanswered.',
  },
  retries: {
    type: 'INT',
    default: 2147483647,
    importance: 'HIGH',
    doc: 'Repeats of a failed request, within the delivery timeout.',
  },
  'enable.idempotence': {
    type: 'BOOLEAN',
    default: true,
    importance: 'LOW',
    doc: 'Whether repeats cannot write a record twice.',
  },
  'transactional.id': { type: 'STRING', default: null, importance: 'LOW', doc: 'Identity for transactions.' },
  'transaction.timeout.ms': {
    type: 'INT',
    default: 60000,
    importance: 'LOW',
    doc: 'Time in ms after which the broker aborts an open transaction.',
  },
} as const satisfies ConfigKeys

const consumer = {
  'group.id': {
    type: 'STRING',
    default: null,
    importance: 'HIGH',
    doc: 'A unique string that identifies the consumer group this consumer belongs to. This property is required if the consumer uses either the group management functionality by using <code>subscribe(topic)</code> or the Kafka-based offset management strategy.',
  },
  'group.instance.id': { type: 'STRING', default: null, importance: 'MEDIUM', doc: 'Static member identity.' },
  'auto.offset.reset': {
    type: 'STRING',
    default: 'latest',
    importance: 'MEDIUM',
    doc: 'Where to start without a committed offset: earliest, latest, none.',
  },
  'isolation.level': {
    type: 'STRING',
    default: 'read_uncommitted',
    importance: 'MEDIUM',
    doc: 'Whether records of open and aborted transactions are read.',
  },
  'fetch.min.bytes': { type: 'INT', default: 1, importance: 'HIGH', doc: 'Bytes a broker collects before it answers.' },
  'fetch.max.bytes': {
    type: 'INT',
    default: 52428800,
    importance: 'MEDIUM',
    doc: 'Bytes of one answer over all partitions.',
  },
  'fetch.max.wait.ms': { type: 'INT', default: 500, importance: 'LOW', doc: 'Time in ms a broker collects.' },
  'max.partition.fetch.bytes': {
    type: 'INT',
    default: 1048576,
    importance: 'HIGH',
    doc: 'Bytes of one partition per answer.',
  },
  'max.poll.records': { type: 'INT', default: 500, importance: 'MEDIUM', doc: 'Records handed over at a time.' },
  'max.poll.interval.ms': {
    type: 'INT',
    default: 300000,
    importance: 'MEDIUM',
    doc: 'Time in ms between polls after which the member counts as stuck.',
  },
  'session.timeout.ms': {
    type: 'INT',
    default: 45000,
    importance: 'HIGH',
    doc: 'Time in ms without a heartbeat after which the member counts as failed.',
  },
  'heartbeat.interval.ms': { type: 'INT', default: 3000, importance: 'HIGH', doc: 'Time in ms between heartbeats.' },
  'partition.assignment.strategy': {
    type: 'LIST',
    default: [
      'org.apache.kafka.clients.consumer.RangeAssignor',
      'org.apache.kafka.clients.consumer.CooperativeStickyAssignor',
    ],
    importance: 'MEDIUM',
    doc: 'How partitions are shared between members.',
  },
  'client.rack': { type: 'STRING', default: '', importance: 'LOW', doc: 'Rack, to read from the nearest replica.' },
} as const satisfies ConfigKeys

/** Definitions by kind of client. */
export const clientOptionKeys: Readonly<Record<'producer' | 'consumer' | 'admin', ConfigKeys>> = {
  producer: { ...common, ...producer },
  consumer: { ...common, ...consumer },
  admin: common,
}
