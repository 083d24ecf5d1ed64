import type { RawConfig } from '../../../../worker/api/connector.ts'
import { FencedError } from '../../../../worker/api/errors.ts'
import type { ConfigInfos } from '../../../../worker/config/config-infos.ts'
import type {
  GroupEvent,
  GroupMember,
  GroupProtocol,
  JoinedGroup,
  TopicLog,
  TopicLogOptions,
  TopicLogRecord,
} from '../../../../worker/kafka/types.ts'
import type {
  ConnectorOffsets,
  OffsetEntry,
  ReportedState,
  TargetState,
  TaskId,
  TaskStart,
  Worker,
  WorkerListener,
} from '../../../../worker/runtime/worker-types.ts'

/** A topic in memory that several workers share; each log sees every record, a moment later. */
export class FakeTopic {
  readonly records: TopicLogRecord[] = []
  readonly #logs = new Set<() => void>()
  partitions = 1

  log(options: TopicLogOptions): TopicLog {
    let next = 0
    const catchUp = (): void => {
      while (next < this.records.length) {
        const record = this.records[next++]
        if (record !== undefined) options.onRecord(record)
      }
    }
    const { records } = this
    const logs = this.#logs
    return {
      partitionCount: this.partitions,
      async start() {
        catchUp()
        logs.add(catchUp)
      },
      async readToEnd(signal) {
        signal?.throwIfAborted()
        catchUp()
      },
      async send(sent) {
        for (const { key, value } of sent) {
          records.push({ partition: 0, offset: BigInt(records.length), timestamp: 0, key, value })
        }
        for (const log of logs) setImmediate(log)
      },
      async close() {
        logs.delete(catchUp)
      },
      async [Symbol.asyncDispose]() {
        logs.delete(catchUp)
      },
    }
  }

  /** Key and value of every record, as text. */
  texts(): readonly (readonly [string, string | null])[] {
    return this.records.map(({ key, value }) => [
      key === null ? '' : Buffer.from(key).toString(),
      value === null ? null : Buffer.from(value).toString(),
    ])
  }
}

interface Joined {
  readonly protocols: readonly GroupProtocol[]
  readonly answer: PromiseWithResolvers<JoinedGroup>
}

/** The coordinator of one group, as far as members see it. */
export class FakeGroup {
  readonly members = new Map<string, FakeMember>()
  readonly #joined = new Map<string, Joined>()
  #syncs = new Map<string, PromiseWithResolvers<Uint8Array>>()
  #assignments: ReadonlyMap<string, Uint8Array> | null = null
  #leader = ''
  generation = 0
  #next = 1

  member(): FakeMember {
    return new FakeMember(this)
  }

  async join(member: FakeMember, protocols: readonly GroupProtocol[], signal?: AbortSignal): Promise<JoinedGroup> {
    if (member.id === '') {
      member.id = `member-${this.#next++}`
      this.members.set(member.id, member)
    }
    const answer = Promise.withResolvers<JoinedGroup>()
    this.#joined.set(member.id, { protocols, answer })
    signal?.addEventListener('abort', () => answer.reject(signal.reason), { once: true })
    this.#failSyncs()
    this.#announceRebalance()
    setImmediate(() => this.#complete())
    return await answer.promise
  }

  /** As a heartbeat tells it: not to who joins before the answer is there, and not when the rebalance is over by then. */
  #announceRebalance(): void {
    const { generation } = this
    for (const other of this.members.values()) {
      if (this.#joined.has(other.id)) continue
      setImmediate(() => {
        if (this.generation === generation && !this.#joined.has(other.id)) other.tell({ kind: 'rebalance' })
      })
    }
  }

  #failSyncs(): void {
    for (const sync of this.#syncs.values()) sync.reject(new FencedError('CONNECT_KAFKA_GENERATION', 'rebalance'))
    this.#syncs = new Map()
    this.#assignments = null
  }

  #complete(): void {
    if (this.#joined.size === 0 || this.#joined.size < this.members.size) return
    this.generation++
    if (!this.members.has(this.#leader)) this.#leader = [...this.members.keys()][0] ?? ''
    const shared = [...this.#joined.values()].reduce<string[] | null>((names, { protocols }) => {
      const own = protocols.map((p) => p.name)
      return names === null ? own : names.filter((name) => own.includes(name))
    }, null)
    const protocol = shared?.[0] ?? ''
    const members = Array.from(this.#joined, ([memberId, { protocols }]) => ({
      memberId,
      metadata: protocols.find((p) => p.name === protocol)?.metadata ?? new Uint8Array(),
    }))
    for (const [memberId, { answer }] of this.#joined) {
      const isLeader = memberId === this.#leader
      answer.resolve({
        generation: this.generation,
        memberId,
        leaderId: this.#leader,
        protocol,
        members: isLeader ? members : [],
      })
    }
    this.#joined.clear()
    this.#assignments = null
  }

  async sync(member: FakeMember, assignments: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
    if (member.id === this.#leader) {
      this.#assignments = assignments
      for (const [id, sync] of this.#syncs) sync.resolve(assignments.get(id) ?? new Uint8Array())
      this.#syncs = new Map()
    }
    if (this.#assignments !== null) return this.#assignments.get(member.id) ?? new Uint8Array()
    const sync = Promise.withResolvers<Uint8Array>()
    this.#syncs.set(member.id, sync)
    return await sync.promise
  }

  remove(member: FakeMember): void {
    if (!this.members.delete(member.id)) return
    this.#joined.delete(member.id)
    member.id = ''
    if (this.#leader !== '' && !this.members.has(this.#leader)) this.#failSyncs()
    this.#announceRebalance()
    setImmediate(() => this.#complete())
  }
}

export class FakeMember implements GroupMember {
  readonly #group: FakeGroup
  readonly #listeners: ((event: GroupEvent) => void)[] = []
  readonly leaveReasons: string[] = []
  id = ''

  constructor(group: FakeGroup) {
    this.#group = group
  }

  tell(event: GroupEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  join(protocols: readonly GroupProtocol[], signal?: AbortSignal): Promise<JoinedGroup> {
    return this.#group.join(this, protocols, signal)
  }

  sync(assignments: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
    return this.#group.sync(this, assignments)
  }

  onEvent(listener: (event: GroupEvent) => void): void {
    this.#listeners.push(listener)
  }

  async commit(): Promise<void> {
    throw new Error('workers commit nothing')
  }

  async committed(): Promise<never> {
    throw new Error('workers commit nothing')
  }

  async leave(reason: string): Promise<void> {
    this.leaveReasons.push(reason)
    this.#group.remove(this)
  }

  async close(): Promise<void> {
    this.#group.remove(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** Runs nothing, and keeps account of what it was told to run. */
export class FakeWorker implements Worker {
  readonly runningConnectors = new Map<string, TargetState>()
  readonly runningTasks = new Map<string, { start: TaskStart; target: TargetState }>()
  readonly log: string[] = []
  #listener: WorkerListener | null = null

  get listener(): WorkerListener {
    if (this.#listener === null) throw new Error('not started')
    return this.#listener
  }

  async start(listener: WorkerListener): Promise<void> {
    this.#listener = listener
  }

  connectors(): readonly string[] {
    return [...this.runningConnectors.keys()]
  }

  tasks(): readonly TaskId[] {
    return Array.from(this.runningTasks.values(), ({ start }) => start.id)
  }

  /** What references stand for, and how long. */
  secret = { value: 'first', ttlMs: null as number | null }

  async configDigest(config: RawConfig): Promise<string> {
    return JSON.stringify([config, this.secret.value])
  }

  async startConnector(connector: string, config: RawConfig, target: TargetState): Promise<void> {
    this.log.push(`start ${connector}`)
    this.listener.onConfigRead(connector, this.secret.ttlMs)
    if (config['fail'] !== undefined) {
      this.listener.onConnectorState(connector, 'FAILED', config['fail'], '1')
      throw new Error(config['fail'])
    }
    this.runningConnectors.set(connector, target)
    this.listener.onConnectorState(connector, reported(target), null, '1')
  }

  async transitionConnector(connector: string, target: TargetState): Promise<void> {
    this.log.push(`${target} ${connector}`)
    this.runningConnectors.set(connector, target)
    this.listener.onConnectorState(connector, reported(target), null, '1')
  }

  async stopConnectors(connectors: readonly string[]): Promise<void> {
    for (const connector of connectors) {
      if (this.runningConnectors.delete(connector)) this.listener.onConnectorState(connector, 'UNASSIGNED', null, '1')
      this.log.push(`stop ${connector}`)
    }
  }

  async taskConfigs(_connector: string, config: RawConfig): Promise<readonly RawConfig[]> {
    return Array.from({ length: Number(config['tasks.max'] ?? '1') }, (_, index) => ({
      'task.class': 'T',
      index: String(index),
      value: config['value'] ?? '',
    }))
  }

  async startTask(start: TaskStart): Promise<void> {
    const key = `${start.id.connector}-${start.id.task}`
    if (this.runningTasks.has(key)) throw new Error(`${key} runs already`)
    this.log.push(`start ${key}`)
    this.runningTasks.set(key, { start, target: start.target })
    this.listener.onTaskState(start.id, reported(start.target), null, '1')
  }

  transitionTask(id: TaskId, target: TargetState): void {
    const task = this.runningTasks.get(`${id.connector}-${id.task}`)
    if (task === undefined) return
    task.target = target
    this.listener.onTaskState(id, reported(target), null, '1')
  }

  forgetTopic(connector: string, topic: string): void {
    this.log.push(`forget ${topic} of ${connector}`)
  }

  async stopTasks(ids: readonly TaskId[]): Promise<void> {
    for (const id of ids) {
      const key = `${id.connector}-${id.task}`
      this.log.push(`stop ${key}`)
      if (this.runningTasks.delete(key)) this.listener.onTaskState(id, 'UNASSIGNED', null, '1')
    }
  }

  async validate(config: RawConfig): Promise<ConfigInfos> {
    const error = config['invalid']
    if (error === undefined) {
      const known = { name: 'tasks.max', value: '1', recommended_values: [], errors: [], visible: true }
      return { name: 'C', error_count: 0, groups: [], configs: [{ definition: null, value: known }] }
    }
    const definition = {
      name: 'invalid',
      type: 'STRING',
      required: false,
      default_value: null,
      importance: 'LOW',
      documentation: '',
      group: null,
      width: 'NONE',
      display_name: '',
      dependents: [],
      order_in_group: 0,
    }
    const value = { name: 'invalid', value: error, recommended_values: [], errors: [error], visible: true }
    return { name: 'C', error_count: 1, groups: [], configs: [{ definition, value }] }
  }

  plugins(): [] {
    return []
  }

  async pluginConfig(): Promise<[]> {
    return []
  }

  connectorType(config: RawConfig): 'source' | 'sink' | 'unknown' {
    return config['type'] === 'sink' ? 'sink' : 'source'
  }

  async connectorOffsets(): Promise<ConnectorOffsets> {
    return { type: 'source', offsets: [] }
  }

  async alterOffsets(_c: string, _config: RawConfig, offsets: readonly OffsetEntry[] | null): Promise<string> {
    return offsets === null ? 'reset' : 'altered'
  }

  async fenceZombies(connector: string, _config: RawConfig, taskCount: number): Promise<void> {
    this.log.push(`fence ${connector} ${taskCount}`)
  }

  async metrics(): Promise<[]> {
    return []
  }

  setLogLevel(): void {
    // Nothing logs here.
  }

  async close(): Promise<void> {
    await this.stopConnectors(this.connectors())
    await this.stopTasks(this.tasks())
  }
}

function reported(target: TargetState): ReportedState {
  return target === 'STARTED' ? 'RUNNING' : target
}
