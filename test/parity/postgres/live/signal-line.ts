/** How signals get to the connectors of a round. */
import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTopic, deleteTopics, produceTogether } from '../../../conformance/postgres/produce.ts'
import type { Random } from '../../../support/random.ts'
import { noticeTopic, type Signal, signalTable } from './signals.ts'

export interface SignalWay {
  /** Rows that the stream carries, lines of a file, or records of a topic. */
  readonly channel: 'source' | 'file' | 'kafka'
  /** Nothing is written to the database: chunks have no markers. */
  readonly isReadOnly: boolean
}

/** @param later numbers of its own for what came after the seeds were given out */
export function randomWay(random: Random, later: Random): SignalWay {
  const isReadOnly = random.next() >= 0.7
  if (later.next() < 0.35) return { channel: 'kafka', isReadOnly }
  return { channel: isReadOnly ? 'file' : 'source', isReadOnly }
}

export interface SignalLineInput {
  readonly way: SignalWay
  /** Of the connector's topics. */
  readonly prefix: string
  readonly brokers: readonly string[]
  /** Options of incremental snapshots and of notifications. */
  readonly more: Readonly<Record<string, string>>
}

/** Options by which a connector takes signals and tells what they led to, with its file or topic of signals. */
export class SignalLine implements AsyncDisposable {
  readonly options: Readonly<Record<string, string>>
  readonly way: SignalWay
  readonly #input: SignalLineInput
  readonly #folder: string

  private constructor(input: SignalLineInput, folder: string) {
    this.way = input.way
    this.#input = input
    this.#folder = folder
    const { way, prefix, more } = input
    this.options = {
      'signal.enabled.channels': way.isReadOnly || way.channel === 'source' ? way.channel : `source,${way.channel}`,
      // Debezium's read-only chunks end with a change or a heartbeat behind them.
      ...(way.isReadOnly
        ? { 'read.only': 'true', 'heartbeat.interval.ms': '200' }
        : { 'signal.data.collection': signalTable }),
      ...this.#channelOptions(),
      'signal.poll.interval.ms': '100',
      'notification.sink.topic.name': `${prefix}.${noticeTopic}`,
      ...more,
    }
  }

  static async open(input: SignalLineInput): Promise<SignalLine> {
    const line = new SignalLine(input, await mkdtemp(join(tmpdir(), 'signals-')))
    if (input.way.channel === 'kafka') await createTopic(input.brokers, line.#topic)
    return line
  }

  get #file(): string {
    return join(this.#folder, 'signals.txt')
  }

  /** Not by the prefix, as the topics that are compared are. */
  get #topic(): string {
    return `live-signals-${this.#input.prefix.replace(/^lv/, '')}`
  }

  #channelOptions(): Readonly<Record<string, string>> {
    const { way, brokers } = this.#input
    if (way.channel === 'file') return { 'signal.file': this.#file }
    if (way.channel === 'source') return {}
    return { 'signal.kafka.topic': this.#topic, 'signal.kafka.bootstrap.servers': brokers.join(',') }
  }

  /** Sends signals at once by the file or the topic. */
  async write(signals: readonly Signal[], token: string): Promise<void> {
    const texts = signals.map(({ type, data }, i) => JSON.stringify({ id: `${token}-${i}`, type, data }))
    const { way, prefix, brokers } = this.#input
    if (way.channel === 'file') return await appendFile(this.#file, texts.map((text) => `${text}\n`).join(''))
    await produceTogether(brokers, { topic: this.#topic, key: prefix }, texts)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { way, brokers } = this.#input
    await rm(this.#folder, { recursive: true, force: true })
    if (way.channel === 'kafka') await deleteTopics(brokers, [this.#topic])
  }
}
