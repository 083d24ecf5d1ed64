/** The Elasticsearch sink on a node that asks who one is. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openConnection } from '../../connectors/elasticsearch/client.ts'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import { validateConnection } from '../../connectors/elasticsearch/validate.ts'
import { makeSchema, Schemas } from '../../worker/api/data.ts'
import { PrivateElasticsearch } from '../support/private-elasticsearch.ts'
import {
  elasticsearchConfig,
  offsets,
  type RawOptions,
  sinkContext,
  sinkRecord,
} from '../unit/connectors/elasticsearch/support.ts'
import { server } from './elasticsearch-subject.ts'

/** Exactly what the README asks for, on the indices of the connector only. */
const least = {
  cluster: ['monitor'],
  indices: [{ names: ['own*'], privileges: ['create_index', 'read', 'write', 'view_index_metadata'] }],
}
const users = {
  sink: { password: 'sink-secret', role: least },
  admin: { password: 'admin-secret', role: { cluster: ['all'], indices: [{ names: ['*'], privileges: ['all'] }] } },
}

describe('Elasticsearch with security', { skip: server.skip }, () => {
  let node: PrivateElasticsearch
  before(async () => {
    node = await PrivateElasticsearch.open(users)
  })
  after(() => node[Symbol.asyncDispose]())

  const optionsOf = (user: keyof typeof users, options: RawOptions = {}) =>
    elasticsearchConfig({
      'connection.url': node.url,
      'connection.username': user,
      'connection.password': users[user].password,
      'read.timeout.ms': '20000',
      'behavior.on.null.values': 'delete',
      ...options,
    })

  async function documents(index: string): Promise<Record<string, unknown>> {
    const connection = await openConnection(optionsOf('admin'))
    try {
      await connection.request({ method: 'POST', path: `/${index}/_refresh` })
      const found = (await connection.request({ method: 'POST', path: `/${index}/_search` })) as {
        hits: { hits: { _id: string; _source: unknown }[] }
      }
      return Object.fromEntries(found.hits.hits.map(({ _id, _source }) => [_id, _source]))
    } finally {
      await connection.close()
    }
  }

  const valueSchema = makeSchema({ type: 'STRUCT', fields: [{ name: 'n', schema: Schemas.int32 }] })
  for (const method of ['insert', 'upsert', 'merge']) {
    it(`creates, maps, writes and deletes with the least rights, write.method=${method} (E66)`, async () => {
      const config = optionsOf('sink', { 'write.method': method, 'merge.delete': 'hard' })
      assert.deepEqual(await validateConnection(config), [])
      const topic = `own-${method}`
      const task = new ElasticsearchSinkTask()
      await task.start(config, sinkContext())
      const record = (offset: number, key: string, n: number | null) =>
        sinkRecord(offset, { topic, originalTopic: topic, key, value: n === null ? null : { n }, valueSchema })
      await task.put([record(0, 'a', 1), record(1, 'b', 2), record(2, 'b', null)], AbortSignal.timeout(30_000))
      await task.close([])
      assert.equal((await task.preCommit(offsets({ [`${topic}-0`]: 3n }))).get(topic, 0), 3n)
      await task.stop()
      const found = await documents(topic)
      assert.deepEqual(Object.keys(found), ['a'])
      assert.equal((found['a'] as { n: number }).n, 1)
    })
  }

  it('fails at once, and without the password, where it may not write', async () => {
    const task = new ElasticsearchSinkTask()
    const context = sinkContext()
    await task.start(optionsOf('sink', { 'schema.ignore': 'true' }), context)
    const record = sinkRecord(0, { topic: 'foreign', key: 'a', value: { n: 1 } })
    await assert.rejects(
      () => task.put([record], AbortSignal.timeout(30_000)),
      (error: Error) => /HTTP 403/.test(error.message) && !error.message.includes('secret'),
    )
    await task.stop()
    assert.ok(!context.logger.lines.join().includes('secret'))
  })

  it('refuses a wrong password at validation', async () => {
    const config = optionsOf('sink', { 'connection.password': 'wrong' })
    assert.deepEqual(
      (await validateConnection(config)).map(({ option }) => option),
      ['connection.url', 'connection.username', 'connection.password', 'connection.url'],
    )
  })
})
