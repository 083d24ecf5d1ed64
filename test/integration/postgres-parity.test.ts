import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { playCaseWith } from '../conformance/postgres/tasks.ts'
import { WorkerPlayer } from '../parity/postgres/worker-player.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, type WorkerUnderTest } from '../support/worker-process.ts'

/** One case per part of a worker that the task alone does not show: converters, headers, restarts, offsets, REST. */
const sample = [
  '001-crud',
  '023-columns',
  '030-topic-strategy',
  '037-transactions',
  '039-resume',
  '041-incremental-snapshot',
  '047-outbox-envelope',
  '054-changed-fields',
]

const postgres = requireService('postgres')
const kafka = requireService('kafka')
const skip = postgres.skip === false ? kafka.skip : postgres.skip

describe('recorded change events by a whole worker', { skip }, () => {
  let cluster: ClusterUnderTest
  let worker: WorkerUnderTest

  before(async () => {
    if (kafka.skip !== false) return
    cluster = await ClusterUnderTest.open(kafka.settings.brokers, {
      'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
      'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
    })
    worker = await (await cluster.start()).ready()
  })
  after(async () => {
    await cluster[Symbol.asyncDispose]()
  })

  for (const name of sample) {
    it(name, async () => {
      if (kafka.skip !== false || postgres.skip !== false) return
      const stage = { worker, brokers: kafka.settings.brokers, pgUrl: postgres.settings.url }
      const outcome = await playCaseWith(name, async (folder, id) => WorkerPlayer.play(stage, folder, id))
      assert.deepEqual(outcome.differences, [])
    })
  }
})
