/** Offsets over REST (KIP-875): reading, altering and resetting those of one connector. */
import type { RawConfig } from '../api/connector.ts'
import { RequestError } from '../api/errors.ts'
import { type TopicPartition, TopicPartitionMap } from '../api/topic-partition.ts'
import { encodeOffsetKey, encodeOffsetValue } from '../cluster/offset-format.ts'
import type { OffsetRecord } from '../cluster/offset-writer.ts'
import type { KafkaClientFactory } from '../kafka/types.ts'
import { adminProperties, type ClientScope, consumerGroup } from './client-properties.ts'
import type { ConnectorOffsetReader } from './connector-offsets.ts'
import type { OffsetChange, SinkOffsetChange } from './host-protocol.ts'
import { parseSinkOffsets, parseSourceOffsets } from './offset-requests.ts'
import { deadline, orAborted } from './run-state.ts'
import type { ConnectorOffsets, OffsetEntry } from './worker-types.ts'

/** Connect's budget for the whole command. */
const budgetMs = 90_000

export interface OffsetCommandOptions {
  /** Source offsets of a connector, wherever it has them; closed by the command. */
  readonly open: (connector: string, scope: ClientScope) => ConnectorOffsetReader
  readonly kafka: KafkaClientFactory
  /** `alterOffsets` of the plugin, in the connector host. */
  readonly askSource: (connector: string, config: RawConfig, offsets: readonly OffsetChange[]) => Promise<boolean>
  readonly askSink: (connector: string, config: RawConfig, offsets: readonly SinkOffsetChange[]) => Promise<boolean>
}

export class OffsetCommands {
  readonly #options: OffsetCommandOptions

  constructor(options: OffsetCommandOptions) {
    this.#options = options
  }

  /** @throws RequestError 500 with Connect's text */
  async sourceOffsets(connector: string, scope: ClientScope): Promise<ConnectorOffsets> {
    try {
      using limit = deadline(budgetMs)
      await using offsets = this.#options.open(connector, scope)
      const stored = await offsets.partitions(limit.signal)
      return { type: 'source', offsets: stored.filter(({ offset }) => offset !== null) }
    } catch (error) {
      throw internal(`Failed to retrieve offsets for source connector ${connector}`, error)
    }
  }

  /** @throws RequestError 500 with Connect's text */
  async sinkOffsets(connector: string, scope: ClientScope): Promise<ConnectorOffsets> {
    try {
      await using admin = this.#admin(connector, scope)
      const committed = await admin.listGroupOffsets(consumerGroup(scope, connector))
      const offsets = Array.from(committed, ([{ topic, partition }, offset]) => ({ topic, partition, offset }))
      return { type: 'sink', offsets }
    } catch (error) {
      throw internal(`Failed to retrieve consumer group offsets for sink connector ${connector}`, error)
    }
  }

  /** @param entries null resets everything. @returns Connect's message */
  async alterSource(connector: string, scope: ClientScope, entries: readonly OffsetEntry[] | null): Promise<string> {
    const { open, askSource } = this.#options
    using limit = deadline(budgetMs)
    await using offsets = open(connector, scope)
    const changes =
      entries === null
        ? (await this.#known(connector, offsets, limit.signal)).map(({ partition }) => ({ partition, offset: null }))
        : parseSourceOffsets(entries)
    const external = await this.#ask(connector, () => askSource(connector, scope.connector, changes), limit.signal)
    const records: OffsetRecord[] = []
    for (const { partition, offset } of changes) {
      if (partition === null) {
        // There is nothing to reset under no partition; an offset there could never be read by a task.
        if (offset === null) continue
        throw new RequestError(400, 'CONNECT_OFFSETS_INVALID', 'The partition of a source offset cannot be null')
      }
      const key = (await offsets.rawKey(partition)) ?? encodeOffsetKey(connector, partition)
      records.push({ key, value: encodeOffsetValue(offset) })
    }
    try {
      await offsets.write(records, limit.signal)
    } catch (error) {
      if (!limit.signal.aborted) throw error
      throw internal(`Timed out while attempting to modify offsets for source connector ${connector}`, error)
    }
    return message(entries === null, external)
  }

  async #known(connector: string, offsets: ConnectorOffsetReader, signal: AbortSignal) {
    try {
      return await offsets.partitions(signal)
    } catch (error) {
      throw internal(
        `Timed out while trying to read to the end of the offsets topic prior to modifying offsets for source connector ${connector}`,
        error,
      )
    }
  }

  async #ask(connector: string, ask: () => Promise<boolean>, signal: AbortSignal): Promise<boolean> {
    try {
      return await orAborted(ask(), signal)
    } catch (error) {
      if (signal.aborted) {
        throw internal(`Timed out while calling the 'alterOffsets' method for source connector ${connector}`, error)
      }
      if (error instanceof RequestError) throw error
      // The connector's own text, as Connect shows it.
      throw new RequestError(500, 'CONNECT_OFFSETS_REFUSED', error instanceof Error ? error.message : String(error), {
        cause: error,
      })
    }
  }

  /** @param entries null resets everything. @returns Connect's message */
  async alterSink(connector: string, scope: ClientScope, entries: readonly OffsetEntry[] | null): Promise<string> {
    const { askSink } = this.#options
    using limit = deadline(budgetMs)
    await using admin = this.#admin(connector, scope)
    const group = consumerGroup(scope, connector)
    const changes = entries === null ? null : parseSinkOffsets(entries)
    const wanted =
      changes ??
      Array.from((await admin.listGroupOffsets(group, limit.signal)).keys(), (tp) => ({ ...tp, offset: null }))
    const external = await this.#ask(connector, () => askSink(connector, scope.connector, wanted), limit.signal)
    // After the connector has had its say, as in Connect: its client refuses the number only when it is used.
    const negative = wanted.find(({ offset }) => offset !== null && offset < 0n)
    if (negative !== undefined) {
      const cause = new Error(`Invalid negative offset ${negative.offset} for ${negative.topic}-${negative.partition}`)
      throw internal(`Failed to modify offsets for sink connector ${connector}`, cause)
    }
    const verb = changes === null ? 'reset' : 'alter'
    try {
      if (changes === null) await admin.deleteGroup(group, limit.signal)
      else {
        const altered = new TopicPartitionMap<bigint>()
        const removed: TopicPartition[] = []
        for (const { topic, partition, offset } of changes) {
          if (offset === null) removed.push({ topic, partition })
          else altered.set(topic, partition, offset)
        }
        if (altered.size > 0) await admin.alterGroupOffsets(group, altered, limit.signal)
        if (removed.length > 0) await admin.deleteGroupOffsets(group, removed, limit.signal)
      }
    } catch (error) {
      throw this.#groupFailure(connector, verb, error)
    }
    return message(changes === null, external)
  }

  /** Connect answers 500 for a group that still has members, whatever the client says of it (statement 102). */
  #groupFailure(connector: string, verb: 'alter' | 'reset', error: unknown): RequestError {
    if (!(error instanceof RequestError) || error.code !== 'CONNECT_KAFKA_GROUP_ACTIVE') {
      return internal(`Failed to ${verb} consumer group offsets for connector ${connector}`, error)
    }
    const text =
      `Failed to ${verb} consumer group offsets for connector ${connector} either because its tasks haven't stopped ` +
      'completely yet or the connector was resumed before the request to ' +
      `${verb} its offsets could be successfully completed. If the connector is in a stopped state, this operation ` +
      "can be safely retried. If it doesn't eventually succeed, the Connect cluster may need to be restarted to get " +
      'rid of the zombie sink tasks.'
    return new RequestError(500, 'CONNECT_OFFSETS_FAILED', text, { cause: error })
  }

  #admin(connector: string, scope: ClientScope) {
    return this.#options.kafka.admin(adminProperties(scope, `connector-worker-adminclient-${connector}`))
  }
}

function internal(text: string, cause: unknown): RequestError {
  return cause instanceof RequestError && cause.status !== 500
    ? cause
    : new RequestError(500, 'CONNECT_OFFSETS_FAILED', text, { cause })
}

function message(reset: boolean, external: boolean): string {
  const verb = reset ? 'reset' : 'altered'
  if (external) return `The offsets for this connector have been ${verb} successfully`
  return (
    `The Connect framework-managed offsets for this connector have been ${verb} successfully. However, if this ` +
    `connector manages offsets externally, they will need to be manually ${verb} in the system that the connector uses.`
  )
}
