/** Producer properties under Java's names and with Java's defaults (Kafka 4.3). */

import { type ConnectionConfig, readConnectionConfig } from './client-config.ts'
import { type CompressionType, ensureCodec } from './compression.ts'
import { kafkaError } from './errors.ts'
import { type PropertyReader } from './property-reader.ts'

export interface ProducerConfig {
  readonly connection: ConnectionConfig
  /** -1 for all in-sync replicas. */
  readonly acks: -1 | 0 | 1
  readonly idempotent: boolean
  readonly transactionalId: string | null
  readonly transactionTimeoutMs: number
  readonly batchBytes: number
  readonly lingerMs: number
  /** `linger.ms` was not set: a batch lingers only while another of its partition is under way. */
  readonly eager: boolean
  readonly maxRequestBytes: number
  readonly bufferBytes: number
  readonly maxInFlight: number
  readonly retries: number
  readonly deliveryTimeoutMs: number
  readonly maxBlockMs: number
  readonly compression: CompressionType
  readonly compressionLevel: number | null
}

/** The broker remembers this many batches per producer and partition to recognise repeats. */
const IDEMPOTENT_MAX_IN_FLIGHT = 5

/**
 * Java's rules: idempotence is on by default, silently off when another option contradicts it, and an error when it was
 * asked for by name.
 */
export function readProducerConfig(reader: PropertyReader): ProducerConfig {
  const connection = readConnectionConfig(reader, { apiTimeoutMs: 60_000 })
  const transactionalId = reader.text('transactional.id')
  const acks = readAcks(reader)
  const maxInFlight = reader.integer('max.in.flight.requests.per.connection', 5, 1)
  const retries = reader.integer('retries', 0x7fffffff)
  const asked = reader.text('enable.idempotence')
  const wanted = reader.boolean('enable.idempotence', true)
  const conflict =
    acks !== -1
      ? 'acks must be all'
      : maxInFlight > IDEMPOTENT_MAX_IN_FLIGHT
        ? 'max.in.flight.requests.per.connection must be at most 5'
        : retries === 0
          ? 'retries must be above 0'
          : null
  if (wanted && conflict !== null && (asked !== null || transactionalId !== null)) {
    throw kafkaError('CONNECT_KAFKA_CONFIG', `With enable.idempotence=true ${conflict}`)
  }
  if (!wanted && transactionalId !== null) {
    throw kafkaError('CONNECT_KAFKA_CONFIG', 'transactional.id needs enable.idempotence=true')
  }
  const compression = reader.choice('compression.type', ['none', 'gzip', 'snappy', 'lz4', 'zstd'], 'none')
  ensureCodec(compression)
  return {
    connection,
    acks,
    idempotent: wanted && conflict === null,
    transactionalId,
    transactionTimeoutMs: reader.integer('transaction.timeout.ms', 60_000, 1),
    batchBytes: Math.max(1, reader.integer('batch.size', 16_384)),
    lingerMs: reader.integer('linger.ms', 5),
    eager: !reader.has('linger.ms'),
    maxRequestBytes: reader.integer('max.request.size', 1_048_576, 1),
    bufferBytes: reader.integer('buffer.memory', 33_554_432, 1),
    maxInFlight,
    retries,
    deliveryTimeoutMs: reader.integer('delivery.timeout.ms', 120_000, 1),
    // Java's Long.MAX_VALUE loses precision as a number, which does not matter at 292 million years.
    maxBlockMs: reader.integer('max.block.ms', 60_000),
    compression,
    compressionLevel: readLevel(reader, compression),
  }
}

function readAcks(reader: PropertyReader): -1 | 0 | 1 {
  const acks = reader.choice('acks', ['all', '-1', '0', '1'], 'all')
  return acks === '0' ? 0 : acks === '1' ? 1 : -1
}

function readLevel(reader: PropertyReader, compression: CompressionType): number | null {
  const levels = {
    gzip: reader.has('compression.gzip.level') ? reader.integer('compression.gzip.level', 6, -1) : null,
    zstd: reader.has('compression.zstd.level') ? reader.integer('compression.zstd.level', 3, -131_072) : null,
  }
  return compression === 'gzip' ? levels.gzip : compression === 'zstd' ? levels.zstd : null
}
