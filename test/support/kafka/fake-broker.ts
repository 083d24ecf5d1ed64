import { FakeGroup } from './fake-groups.ts'
import { FakeTopics, type FakeTransaction } from './fake-topics.ts'

/** Where a fault can be put in. */
export type FakeOperation =
  | 'metadata'
  | 'produce'
  | 'fetch'
  | 'commit'
  | 'join'
  | 'sync'
  | 'heartbeat'
  | 'end-transaction'
  | 'list-offsets'
  | 'create-topic'

interface Fault {
  readonly error: Error
  left: number
}

/** Owner of a transactional id: the newest epoch may write, older ones are fenced. */
export interface FakeTransactionalId {
  epoch: number
  open: FakeTransaction | null
  /** Partitions that get a marker when the transaction ends. */
  touched: Map<string, { readonly topic: string; readonly partition: number }>
}

/** What the clients of one cluster share: topics, groups, transactional ids; and the faults that are put in. */
export class FakeBroker {
  readonly clusterId = 'fake-cluster'
  readonly topics = new FakeTopics()
  /** As `auto.create.topics.enable` of the broker. */
  autoCreateTopics = false
  readonly #groups = new Map<string, FakeGroup>()
  readonly #transactionalIds = new Map<string, FakeTransactionalId>()
  readonly #faults = new Map<FakeOperation, Fault[]>()
  readonly #held = new Map<FakeOperation, PromiseWithResolvers<void>>()

  group(id: string): FakeGroup {
    let group = this.#groups.get(id)
    if (group === undefined) {
      group = new FakeGroup(id)
      this.#groups.set(id, group)
    }
    return group
  }

  hasGroup(id: string): boolean {
    return this.#groups.has(id)
  }

  deleteGroup(id: string): void {
    this.#groups.delete(id)
  }

  transactionalId(id: string): FakeTransactionalId {
    let owner = this.#transactionalIds.get(id)
    if (owner === undefined) {
      owner = { epoch: -1, open: null, touched: new Map() }
      this.#transactionalIds.set(id, owner)
    }
    return owner
  }

  /** A new epoch; what the old one left open is aborted. */
  fence(id: string): number {
    const owner = this.transactionalId(id)
    this.endTransaction(owner, 'aborted')
    owner.epoch++
    return owner.epoch
  }

  endTransaction(owner: FakeTransactionalId, outcome: 'committed' | 'aborted'): void {
    if (owner.open === null) return
    owner.open.state = outcome
    owner.open = null
    for (const { topic, partition } of owner.touched.values()) {
      this.topics.get(topic)?.partitions[partition]?.append(null, null)
    }
    owner.touched.clear()
    this.topics.changed()
  }

  // ---- faults --------------------------------------------------------------------------------------------------------

  /** The next `times` operations of this kind fail with `error`, in the order in which faults were put in. */
  failNext(operation: FakeOperation, error: Error, times = 1): void {
    const faults = this.#faults.get(operation) ?? []
    faults.push({ error, left: times })
    this.#faults.set(operation, faults)
  }

  /** Operations of this kind wait until the returned function is called. */
  hold(operation: FakeOperation): () => void {
    const gate = Promise.withResolvers<void>()
    this.#held.set(operation, gate)
    return () => {
      this.#held.delete(operation)
      gate.resolve()
    }
  }

  /** Passed by each operation of the clients. @throws what `failNext` put in */
  async pass(operation: FakeOperation): Promise<void> {
    await this.#held.get(operation)?.promise
    const fault = this.#faults.get(operation)?.find((candidate) => candidate.left > 0)
    if (fault === undefined) return
    fault.left--
    throw fault.error
  }
}
