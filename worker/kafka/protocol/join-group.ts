/**
 * JoinGroup v5. kafkajs's own call answers MEMBER_ID_REQUIRED by itself and keeps the id until the join is over: a
 * join that is given up would then leave a member nobody can remove. Here the id is told at once.
 */
import type { ApiRequest } from '../broker-node.ts'
import type { GroupMemberOptions, GroupProtocol, JoinedGroup } from '../types.ts'
import { WireWriter } from '../wire.ts'

export interface JoinGroupAnswer extends JoinedGroup {
  readonly error: number
}

/** The answer comes when the rebalance is complete, so the time-out allows for `rebalanceTimeoutMs`. */
export function joinGroupRequest(
  options: GroupMemberOptions,
  memberId: string,
  protocols: readonly GroupProtocol[],
): ApiRequest<JoinGroupAnswer> {
  const body = new WireWriter()
    .string(options.groupId)
    .int32(options.sessionTimeoutMs)
    .int32(options.rebalanceTimeoutMs)
    .string(memberId)
    .string(null) // no static membership
    .string(options.protocolType)
    .array(protocols, (p, w) => w.string(p.name).bytes(p.metadata))
  return {
    apiKey: 11,
    apiName: 'JoinGroup',
    apiVersion: 5,
    timeoutMs: Math.min(0x7fffffff, options.rebalanceTimeoutMs + 5000),
    body: [body.done()],
    decode: (reader) => {
      reader.throttleMs = reader.int32()
      return {
        error: reader.int16(),
        generation: reader.int32(),
        protocol: reader.nullableString() ?? '',
        leaderId: reader.string(),
        memberId: reader.string(),
        members: reader.array((r) => {
          const id = r.string()
          r.nullableString() // static membership
          // A copy: the metadata outlives the answer.
          return { memberId: id, metadata: Buffer.from(r.bytes()) }
        }),
      }
    },
  }
}
