/** InitProducerId, AddPartitionsToTxn and EndTxn. */
import type { TopicPartition } from '../../api/topic-partition.ts'
import type { ApiRequest } from '../broker-node.ts'
import { WireWriter } from '../wire.ts'
import type { PartitionResult } from './offsets.ts'

export interface ProducerIdentity {
  readonly producerId: bigint
  readonly epoch: number
}

export const INIT_PRODUCER_ID = { key: 22, name: 'InitProducerId', least: 1, most: 4 } as const

export interface InitProducerId {
  readonly version: number
  readonly transactionalId: string | null
  readonly transactionTimeoutMs: number
  /** What this producer has; null for a first call. Keeps a fenced producer from un-fencing itself (KIP-360, v3). */
  readonly current: ProducerIdentity | null
}

export function initProducerIdRequest(
  request: InitProducerId,
): ApiRequest<ProducerIdentity & { readonly error: number }> {
  const { version } = request
  const flexible = version >= 2
  const body = new WireWriter()
  if (flexible) body.compactString(request.transactionalId)
  else body.string(request.transactionalId)
  body.int32(request.transactionTimeoutMs)
  if (version >= 3) body.int64(request.current?.producerId ?? -1n).int16(request.current?.epoch ?? -1)
  if (flexible) body.noTags()
  return {
    apiKey: INIT_PRODUCER_ID.key,
    apiName: INIT_PRODUCER_ID.name,
    apiVersion: version,
    flexible,
    body: [body.done()],
    decode: (reader) => {
      if (flexible) reader.skipTags()
      reader.throttleMs = reader.int32()
      return { error: reader.int16(), producerId: reader.int64(), epoch: reader.int16() }
    },
  }
}

export function addPartitionsRequest(
  transactionalId: string,
  identity: ProducerIdentity,
  partitions: readonly TopicPartition[],
): ApiRequest<readonly PartitionResult[]> {
  const body = new WireWriter()
    .string(transactionalId)
    .int64(identity.producerId)
    .int16(identity.epoch)
    .array([...Map.groupBy(partitions, (p) => p.topic)], ([topic, group], w) => {
      w.string(topic).array(group, (p, x) => x.int32(p.partition))
    })
  return {
    apiKey: 24,
    apiName: 'AddPartitionsToTxn',
    apiVersion: 1,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      return reader
        .array((r) => {
          const topic = r.string()
          return r.array((p) => ({ topic, partition: p.int32(), error: p.int16() }))
        })
        .flat()
    },
  }
}

/** @returns the error code of the answer */
export function endTxnRequest(
  transactionalId: string,
  identity: ProducerIdentity,
  commit: boolean,
): ApiRequest<number> {
  const body = new WireWriter().string(transactionalId).int64(identity.producerId).int16(identity.epoch).bool(commit)
  return {
    apiKey: 26,
    apiName: 'EndTxn',
    apiVersion: 1,
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      return reader.int16()
    },
  }
}
