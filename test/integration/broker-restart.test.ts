import assert from 'node:assert/strict'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PrivateBroker } from '../support/private-broker.ts'
import { requireService } from '../support/services.ts'
import { ClusterUnderTest, eventually } from '../support/worker-process.ts'

const { skip } = requireService('kafka')
/** From the broker's first answer until everything has arrived. */
const recoveryMs = 10_000

test('the only broker restarts under load, in order and by SIGKILL: nothing is lost, nothing FAILED, the order stands', {
  skip,
  timeout: 240_000,
}, async (t) => {
  await using broker = await PrivateBroker.open()
  await using cluster = await ClusterUnderTest.open([broker.address])
  const worker = await (await cluster.start()).ready()
  const [input, output, topic] = [join(cluster.folder, 'in'), join(cluster.folder, 'out'), `t-${cluster.token}`]
  await Promise.all([writeFile(input, ''), writeFile(output, '')])
  let written = 0
  const write = async (): Promise<void> => {
    await appendFile(input, Array.from({ length: 20 }, () => `line ${written++}\n`).join(''))
  }
  const arrived = async (): Promise<readonly number[]> =>
    (await readFile(output, 'utf8'))
      .split('\n')
      .slice(0, -1)
      .map((line) => Number(line.slice(5)))
  const configs = {
    in: { 'connector.class': 'FileStreamSource', 'tasks.max': '1', file: input, topic },
    out: {
      'connector.class': 'FileStreamSink',
      'tasks.max': '1',
      file: output,
      topics: topic,
      'consumer.override.metadata.max.age.ms': '1000',
    },
  }
  await write()
  for (const [name, config] of Object.entries(configs)) {
    const { status, body } = await worker.rest('PUT', `/connectors/${name}/config`, config)
    assert.equal(status, 201, JSON.stringify(body))
  }
  const complete = async (timeoutMs: number): Promise<void> => {
    try {
      await eventually(async () => assert.equal(new Set(await arrived()).size, written), timeoutMs)
    } catch (error) {
      throw new Error(`lines are missing:\n${worker.output.slice(-8000)}`, { cause: error })
    }
  }
  await complete(30_000)
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGTERM', 'SIGKILL'] as const) {
    await t.test(signal, async (sub) => {
      const stopping = new AbortController()
      const writing = (async () => {
        while (!stopping.signal.aborted) {
          await write()
          await sleep(50)
        }
      })()
      await sleep(500)
      await broker.stop(signal)
      await broker.start()
      const answersAt = performance.now()
      stopping.abort()
      await writing
      await complete(recoveryMs)
      sub.diagnostic(`complete ${Math.round(performance.now() - answersAt)} ms after the broker answered`)
      assert.doesNotMatch(JSON.stringify((await worker.rest('GET', '/connectors?expand=status')).body), /FAILED/)
    })
  }
  const lines = await arrived()
  t.diagnostic(`${written} lines, ${lines.length - written} of them delivered twice`)
  // A repeated delivery starts over at a commit: each first occurrence still comes in order (I4).
  const firsts = [...new Set(lines)]
  assert.deepEqual(
    firsts,
    firsts.toSorted((a, b) => a - b),
  )
  assert.doesNotMatch(worker.output, /"state":"FAILED"/)
  assert.equal(await worker.signal('SIGTERM'), 0)
})
