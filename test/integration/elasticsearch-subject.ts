import { randomBytes } from 'node:crypto'
import { openConnection, type ServerConnection } from '../../connectors/elasticsearch/client.ts'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import type { Value } from '../../worker/api/data.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { requireService } from '../support/services.ts'
import {
  elasticsearchConfig,
  offsets,
  type RawOptions,
  sinkContext,
  sinkRecord,
  type TestContext,
} from '../unit/connectors/elasticsearch/support.ts'

export const server = requireService('elasticsearch')
export const plain = { 'schema.ignore': 'true', 'behavior.on.null.values': 'delete' }

/** A started task on the real server, with an index name of its own that goes at the end. */
export class Subject implements AsyncDisposable {
  readonly topic = `t-${randomBytes(6).toString('hex')}`
  readonly context: TestContext
  readonly task = new ElasticsearchSinkTask()
  readonly connection: ServerConnection
  #next = new Map<string, bigint>()

  private constructor(connection: ServerConnection, context: TestContext) {
    this.connection = connection
    this.context = context
  }

  static async open(options: RawOptions = plain, context = sinkContext()): Promise<Subject> {
    const url = { 'connection.url': server.settings.url, 'read.timeout.ms': '20000', 'flush.timeout.ms': '60000' }
    const config = elasticsearchConfig({ ...url, ...options })
    const subject = new Subject(await openConnection(config), context)
    await subject.task.start(config, context)
    await subject.task.open([{ topic: subject.topic, partition: 0 }])
    return subject
  }

  record(offset: number, key: Value, value: Value, init: Parameters<typeof sinkRecord>[1] = {}): SinkRecord {
    return sinkRecord(offset, { topic: this.topic, key, value, ...init })
  }

  async put(...records: SinkRecord[]): Promise<void> {
    await this.task.put(records, AbortSignal.timeout(60_000))
    for (const record of records) this.#next.set(`${record.originalTopic}-0`, record.offset + 1n)
  }

  async committed(): Promise<bigint | undefined> {
    await this.task.close([])
    const committed = await this.task.preCommit(offsets(Object.fromEntries(this.#next)))
    return committed.get(this.topic, 0)
  }

  async json(method: 'GET' | 'PUT' | 'POST', path: string, body?: object): Promise<unknown> {
    return await this.connection.request({ method, path, ...(body !== undefined && { json: JSON.stringify(body) }) })
  }

  /** Documents by id, with their versions, after a refresh. */
  async documents(index = this.topic): Promise<Record<string, { version: number; source: unknown }>> {
    await this.json('POST', `/${index}/_refresh`)
    const found = (await this.json('POST', `/${index}/_search`, { version: true, size: 100 })) as {
      hits: { hits: { _id: string; _version: number; _source: unknown }[] }
    }
    return Object.fromEntries(found.hits.hits.map((h) => [h._id, { version: h._version, source: h._source }]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.task.stop()
    const url = server.settings.url
    // By their full names: servers refuse to delete by a pattern.
    const indices = (await (await fetch(`${url}/${this.topic}*/_settings`)).json()) as object
    for (const index of Object.keys(indices)) await fetch(`${url}/${index}`, { method: 'DELETE' })
    await fetch(`${url}/_data_stream/logs-ds-${this.topic}`, { method: 'DELETE' })
    await fetch(`${url}/_index_template/${this.topic}`, { method: 'DELETE' })
    await this.connection.close()
  }
}
