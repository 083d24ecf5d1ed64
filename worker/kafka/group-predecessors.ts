/** Members that a killed process left behind in its groups. */
import type { Logger } from '../api/context.ts'
import { ConnectError } from '../api/errors.ts'
import type { BrokerNode } from './broker-node.ts'
import { withAbort } from './waiting.ts'

/**
 * Removes the members of a group that have a client id which belongs to the caller alone. Otherwise the group would
 * wait for them until `session.timeout.ms` is over: a join is answered when every known member has joined again.
 * A member that does live finds out by its next heartbeat, commits nothing any more (I7), and joins again.
 *
 * Without the right to describe the group nothing is removed, and the group waits.
 * @throws RetriableError the coordinator is not there (yet)
 */
export async function removePredecessors(
  node: BrokerNode,
  groupId: string,
  clientId: string,
  log: Logger | null,
  signal?: AbortSignal,
): Promise<void> {
  const what = `remove earlier members named ${clientId} from group ${groupId}`
  try {
    const describing = node.call(what, (broker) => broker.describeGroups({ groupIds: [groupId] }))
    const { groups } = await withAbort(describing, signal, what)
    for (const { memberId } of groups[0]?.members.filter((member) => member.clientId === clientId) ?? []) {
      await withAbort(
        node.call(what, (broker) => broker.leaveGroup({ groupId, memberId })),
        signal,
        what,
      )
      log?.info({ groupId, memberId }, 'removed an earlier member of this client from the group')
    }
  } catch (error) {
    if (!(error instanceof ConnectError) || error.kind === 'retriable') throw error
    // GROUP_ID_NOT_FOUND, a missing permission, or the session ended by itself in between.
    log?.debug({ groupId, error: error.message }, 'no earlier members were removed')
  }
}
