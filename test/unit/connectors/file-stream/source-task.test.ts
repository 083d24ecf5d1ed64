import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileStreamSource } from '../../../../connectors/file-stream/index.ts'
import { FileStreamSourceTask } from '../../../../connectors/file-stream/source-task.ts'
import { kindOf } from '../../../../worker/api/errors.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { sourceTaskConformance } from '../../../conformance/source-task.ts'
import { SteppingClock, sourceTaskContext } from '../../../support/contexts.ts'

async function openFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-file-'))
  return {
    file: join(folder, 'in.txt'),
    folder,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

sourceTaskConformance('FileStreamSource', {
  plugin: fileStreamSource,
  open: async () => {
    const { file, folder, ...disposable } = await openFolder()
    await writeFile(file, '')
    let next = 0
    return {
      options: { file, topic: 't', 'batch.size': '7' },
      brokenOptions: { file: folder, topic: 't' },
      produce: async (count) => {
        const lines = Array.from({ length: count }, () => `ligne numéro ${next++}\n`)
        await appendFile(file, lines.join(''))
      },
      identify: (record) => String(record.value),
      compare: (a, b) => Number(a['position']) - Number(b['position']),
      ...disposable,
    }
  },
})

async function openTask(options: Readonly<Record<string, string>>) {
  const folder = await openFolder()
  const clock = new SteppingClock()
  const context = sourceTaskContext({ clock })
  const task = new FileStreamSourceTask()
  const config = parseConfig(fileStreamSource.config, { file: folder.file, topic: 't', ...options })
  return {
    ...folder,
    clock,
    context,
    task,
    config,
    [Symbol.asyncDispose]: async () => {
      await task.stop()
      await folder[Symbol.asyncDispose]()
    },
  }
}

const never = new AbortController().signal

test('waits for a file that does not exist yet, then reads it', async () => {
  await using context = await openTask({})
  await context.task.start(context.config, context.context)
  assert.deepEqual(await context.task.poll(never), [])
  assert.match(context.context.logger.lines[0]?.message ?? '', /Couldn't find file .* sleeping to wait/)
  assert.deepEqual(context.clock.sleeps, [1000])
  await writeFile(context.file, 'a\nb')
  const [first, ...rest] = await context.task.poll(never)
  assert.deepEqual([first?.value, first?.sourceOffset, rest.length], ['a', { position: 2n }, 0])
  assert.deepEqual(first?.sourcePartition, { filename: context.file })
  assert.equal(first?.key, null)
  await appendFile(context.file, 'c\n')
  const [second] = await context.task.poll(never)
  assert.deepEqual([second?.value, second?.sourceOffset], ['bc', { position: 5n }])
})

test('I6: positions are bytes, so a resume after text beyond ASCII begins at a line', async () => {
  await using context = await openTask({ 'batch.size': '1' })
  await writeFile(context.file, 'größe\nzwei\n')
  context.context.setOffset({ filename: context.file }, { position: 8 })
  await context.task.start(context.config, context.context)
  const [record] = await context.task.poll(never)
  assert.deepEqual([record?.value, record?.sourceOffset], ['zwei', { position: 13n }])
})

test('batch.size bounds a poll; without a bound of its own it is at least one line, as in Connect', async () => {
  for (const [size, expected] of [
    ['2', [2, 2, 1]],
    ['0', [1, 1, 1]],
    ['-5', [1, 1, 1]],
  ] as const) {
    await using context = await openTask({ 'batch.size': size })
    await writeFile(context.file, 'a\nb\nc\nd\ne\n')
    await context.task.start(context.config, context.context)
    const counts: number[] = []
    for (let i = 0; i < 3; i++) counts.push((await context.task.poll(never)).length)
    assert.deepEqual(counts, expected)
  }
})

test('an offset of another type fails the task; one beyond the end waits for the file to grow', async () => {
  await using wrong = await openTask({})
  await writeFile(wrong.file, 'a\n')
  wrong.context.setOffset({ filename: wrong.file }, { position: 'x' })
  await wrong.task.start(wrong.config, wrong.context)
  await assert.rejects(wrong.task.poll(never), { code: 'CONNECT_FILE_OFFSET' })
  await using beyond = await openTask({})
  await writeFile(beyond.file, 'a\n')
  beyond.context.setOffset({ filename: beyond.file }, { position: 4 })
  await beyond.task.start(beyond.config, beyond.context)
  assert.deepEqual(await beyond.task.poll(never), [])
  assert.match(beyond.context.logger.lines.at(-1)?.message ?? '', /beyond the end of the file/)
  await appendFile(beyond.file, 'b\nc\n')
  assert.deepEqual(
    (await beyond.task.poll(never)).map(({ value }) => value),
    ['c'],
  )
})

test('a file that may not be read is a fatal error that names it', async () => {
  await using context = await openTask({})
  const config = { ...context.config, file: context.folder }
  await context.task.start(config, context.context)
  const error = await context.task.poll(never).then(
    () => assert.fail('a folder was read'),
    (thrown: unknown) => thrown,
  )
  assert.equal(kindOf(error), 'fatal')
  assert.match(String(error), new RegExp(`Reading ${context.folder} failed`))
})
