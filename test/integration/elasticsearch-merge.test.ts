import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ElasticsearchSinkTask } from '../../connectors/elasticsearch/task.ts'
import { parseJson } from '../../worker/api/json.ts'
import { seededRandom } from '../support/random.ts'
import { testSeed } from '../support/seed.ts'
import { elasticsearchConfig, sinkContext, sinkRecord } from '../unit/connectors/elasticsearch/support.ts'
import { Subject, server } from './elasticsearch-subject.ts'

const leads = {
  'schema.ignore': 'true',
  'behavior.on.null.values': 'delete',
  'write.method': 'merge',
  'merge.increment.syntax': 'signed',
  'merge.created.field': 'created_at',
  'merge.updated.field': 'updated_at',
  'max.retries': '50',
}

interface Lead {
  readonly n: number
  readonly by: readonly number[]
  readonly kc_fence: Readonly<Record<string, number>>
}

describe('merging by id on a real server', { skip: server.skip }, () => {
  it('counts exactly while two tasks write the same documents from other partitions and both are replayed (E71)', async () => {
    await using subject = await Subject.open({ ...leads, 'merge.append.fields': 'by', 'batch.size': '7' })
    const { topic } = subject
    const random = seededRandom(testSeed)
    const ids = ['a', 'b', 'c']
    const partitions = [0, 1, 2].map((partition) =>
      Array.from({ length: 200 }, (_, i) => ({ partition, i, id: ids[random.integer(0, 2)] ?? 'a' })),
    )
    const url = { 'connection.url': server.settings.url, 'read.timeout.ms': '20000' }
    const config = elasticsearchConfig({ ...url, ...leads, 'merge.append.fields': 'by', 'batch.size': '7' })
    const run = async (partition: number, from: number) => {
      const task = new ElasticsearchSinkTask()
      await task.start(config, sinkContext())
      const records = (partitions[partition] ?? []).slice(from).map(({ id, i }) =>
        sinkRecord(i, {
          topic,
          originalTopic: topic,
          originalPartition: partition,
          partition,
          key: id,
          value: { n: '+1', by: partition },
          timestamp: 1000 * partition + i,
        }),
      )
      for (let at = 0; at < records.length; at += 50) {
        await task.put(records.slice(at, at + 50), AbortSignal.timeout(60_000))
      }
      await task.stop()
    }
    await Promise.all([run(0, 0), run(1, 0), run(2, 0), run(0, 0), run(1, 0)])
    await Promise.all([run(0, 50), run(2, 120)])
    const documents = await subject.documents()
    for (const id of ids) {
      const own = partitions.map((records) => records.filter((record) => record.id === id))
      const source = documents[id]?.source as Lead
      assert.equal(source.n, own.flat().length, `${id}, seed ${random.seed}`)
      assert.deepEqual([...source.by].sort(), [0, 1, 2])
      for (const [partition, records] of own.entries()) {
        assert.equal(source.kc_fence[`${topic}-${partition}`], records.at(-1)?.i)
      }
    }
    const mapping = (await subject.json('GET', `/${topic}/_mapping`)) as Record<
      string,
      { mappings: { properties: Record<string, unknown> } }
    >
    assert.deepEqual(mapping[topic]?.mappings.properties['kc_fence'], { type: 'object', enabled: false })
  })

  it('keeps integers beyond 2^53 exact through reading and writing (I6)', async () => {
    await using subject = await Subject.open(leads)
    await subject.put(subject.record(0, 'a', { id: 9007199254740993n, n: '+9007199254740993' }))
    await subject.committed()
    await subject.put(subject.record(1, 'a', { n: '+2' }))
    assert.equal(await subject.committed(), 2n)
    const text = await (await fetch(`${server.settings.url}/${subject.topic}/_source/a`)).text()
    const document = parseJson(text) as { readonly id: bigint; readonly n: bigint }
    assert.equal(document.id, 9007199254740993n)
    assert.equal(document.n, 9007199254740995n)
  })

  for (const kind of ['soft', 'hard'] as const) {
    it(`deletes ${kind}, and a replay ends the same`, async () => {
      await using subject = await Subject.open({ ...leads, 'merge.delete': kind })
      const log = [
        subject.record(0, 'a', { n: '+1' }),
        subject.record(1, 'b', { n: '+1' }),
        subject.record(2, 'b', null),
        subject.record(3, 'never', null),
        subject.record(4, 'c', { n: '+1' }),
        subject.record(5, 'c', null),
        subject.record(6, 'c', { n: '+5' }),
      ]
      for (let round = 0; round < 2; round++) {
        await subject.put(...log)
        assert.equal(await subject.committed(), 7n)
        const documents = Object.entries(await subject.documents()).map(([id, { source }]) => {
          const { kc_fence: _fence, created_at: _c, updated_at: _u, ...body } = source as Record<string, unknown>
          return [id, body]
        })
        const gone = kind === 'soft' ? [['b', { deleted: true }]] : []
        const never = kind === 'soft' ? [['never', { deleted: true }]] : []
        assert.deepEqual(documents.sort(), [['a', { n: 1 }], ...gone, ['c', { n: 5 }], ...never])
      }
    })
  }
})
