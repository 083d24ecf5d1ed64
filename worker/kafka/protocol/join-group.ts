/**
 * JoinGroup. kafkajs's own call answers MEMBER_ID_REQUIRED by itself and keeps the id until the join is over: a
 * join that is given up would then leave a member nobody can remove. Here the id is told at once.
 */
import type { ApiRequest, VersionedRequest } from '../broker-node.ts'
import type { GroupMemberOptions, GroupProtocol, JoinedGroup } from '../types.ts'
import { WireWriter } from '../wire.ts'

export interface JoinGroupAnswer extends JoinedGroup {
  readonly error: number
}

/** Version 4 brought MEMBER_ID_REQUIRED (KIP-394), version 5 static membership. */
const JOIN_GROUP = { key: 11, name: 'JoinGroup', least: 3, most: 5 } as const

/** The answer comes when the rebalance is complete, so the time-out allows for `rebalanceTimeoutMs`. */
export function joinGroupRequest(
  options: GroupMemberOptions,
  memberId: string,
  protocols: readonly GroupProtocol[],
): VersionedRequest<JoinGroupAnswer> {
  return { api: JOIN_GROUP, at: (version) => joinGroupAt(version, options, memberId, protocols) }
}

function joinGroupAt(
  version: number,
  options: GroupMemberOptions,
  memberId: string,
  protocols: readonly GroupProtocol[],
): ApiRequest<JoinGroupAnswer> {
  const body = new WireWriter()
    .string(options.groupId)
    .int32(options.sessionTimeoutMs)
    .int32(options.rebalanceTimeoutMs)
    .string(memberId)
  if (version >= 5) body.string(null) // no static membership
  body.string(options.protocolType).array(protocols, (p, w) => w.string(p.name).bytes(p.metadata))
  return {
    apiKey: JOIN_GROUP.key,
    apiName: JOIN_GROUP.name,
    apiVersion: version,
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
          if (version >= 5) r.nullableString() // static membership
          // A copy: the metadata outlives the answer.
          return { memberId: id, metadata: Buffer.from(r.bytes()) }
        }),
      }
    },
  }
}
