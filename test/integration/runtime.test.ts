import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/runtime/eventually.ts'
import { openWorker, type WorkerHarness } from '../support/runtime/worker-harness.ts'
import { requireService } from '../support/services.ts'

const kafka = requireService('kafka')
const bootstrap = (): string => kafka.settings.brokers.join(',')
const randomName = (prefix: string): string => `${prefix}-${randomUUID().slice(0, 8)}`

async function linesOf(file: string): Promise<readonly string[]> {
  try {
    return (await readFile(file, 'utf8')).split('\n').slice(0, -1)
  } catch {
    // Not written yet.
    return []
  }
}

function source(file: string, topic: string) {
  return { 'connector.class': 'FileStreamSource', 'tasks.max': '1', file, topic }
}

function sink(file: string, topic: string) {
  return { 'connector.class': 'FileStreamSink', 'tasks.max': '1', file, topics: topic }
}

async function runPipe(harness: WorkerHarness, topic: string) {
  const input = join(harness.folder, 'in.txt')
  const output = join(harness.folder, 'out.txt')
  await writeFile(input, 'one\ntwo\nthrée\n')
  await harness.run('src', source(input, topic))
  await harness.run('dst', sink(output, topic))
  return { input, output }
}

for (const isolation of ['thread', 'none'] as const) {
  test(`statement 107: file source to file sink, isolation ${isolation}`, { skip: kafka.skip }, async () => {
    const topic = randomName('runtime')
    await using harness = await openWorker({ bootstrap: bootstrap(), isolation })
    const { input, output } = await runPipe(harness, topic)
    await eventually(async () => assert.deepEqual(await linesOf(output), ['one', 'two', 'thrée']))
    await appendFile(input, 'four\n')
    await eventually(async () => assert.deepEqual(await linesOf(output), ['one', 'two', 'thrée', 'four']))
    assert.equal(harness.state('src-0')?.state, 'RUNNING')
    assert.equal(harness.state('dst-0')?.state, 'RUNNING')
    assert.deepEqual([...new Set(harness.topics)], [topic])
  })
}
