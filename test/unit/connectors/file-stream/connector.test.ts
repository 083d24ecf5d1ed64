import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileStreamSinkConnector, FileStreamSourceConnector } from '../../../../connectors/file-stream/connector.ts'
import { fileStreamSource } from '../../../../connectors/file-stream/index.ts'
import type { SourceOffset, SourcePartition } from '../../../../worker/api/record.ts'
import { parseConfig } from '../../../../worker/config/config-def.ts'
import { connectorContext } from '../../../support/contexts.ts'

const config = parseConfig(fileStreamSource.config, { file: '/in', topic: 't' })

async function alter(partition: SourcePartition | null, offset: SourceOffset | null): Promise<boolean> {
  return await new FileStreamSourceConnector().alterOffsets(config, [[partition, offset]])
}

test('alterOffsets: the texts of Connect 4.3, in its order', async () => {
  const mine = { filename: '/in' }
  const cases: readonly (readonly [SourcePartition | null, SourceOffset, string])[] = [
    [mine, {}, "Offset objects should either be null or contain the key 'position'"],
    [mine, { position: '4' }, "The value for the 'position' key in the offset is expected to be a Long value"],
    [mine, { position: 1.5 }, "The value for the 'position' key in the offset is expected to be a Long value"],
    [mine, { position: null }, "The value for the 'position' key in the offset is expected to be a Long value"],
    [mine, { position: -1 }, "The value for the 'position' key in the offset should be a non-negative value"],
    [null, { position: 4 }, 'Partition objects cannot be null'],
    [{}, { position: 4 }, "Partition objects should contain the key 'filename'"],
    [{ x: 1 }, { position: 4 }, "Partition objects should contain the key 'filename'"],
  ]
  for (const [partition, offset, message] of cases) {
    await assert.rejects(alter(partition, offset), { message, code: 'CONNECT_FILE_OFFSET' })
  }
  assert.equal(await alter(mine, { position: 4 }), true)
  assert.equal(await alter(mine, { position: 2n ** 60n }), true)
  // Whatever stands there can be cleaned up.
  for (const partition of [null, {}, { x: 1 }]) assert.equal(await alter(partition, null), true)
})

test('alterOffsets: the standard input has no offsets', async () => {
  const stdin = parseConfig(fileStreamSource.config, { topic: 't' })
  const altering = new FileStreamSourceConnector().alterOffsets(stdin, [])
  await assert.rejects(
    altering,
    /^ConnectError: Offsets cannot be modified if the 'file' configuration is unspecified\./,
  )
})

test('one task for a source, tasks.max for a sink; exactly-once only with a file', async () => {
  const rawConfig = { file: '/in', topic: 't' }
  const source = new FileStreamSourceConnector()
  await source.start(config, connectorContext({ rawConfig }))
  assert.deepEqual(await source.taskConfigs(), [rawConfig])
  assert.equal(source.exactlyOnceSupport(config), 'supported')
  assert.equal(source.exactlyOnceSupport({ ...config, file: '' }), 'unsupported')
  const sink = new FileStreamSinkConnector()
  await sink.start({ file: '/out' }, connectorContext({ rawConfig }))
  assert.deepEqual(await sink.taskConfigs(3), [rawConfig, rawConfig, rawConfig])
})

test('batch.size has no lower bound, and a null passes validation (recorded from Connect 4.3)', () => {
  for (const value of ['0', '-1', null]) {
    assert.doesNotThrow(() => parseConfig(fileStreamSource.config, { topic: 't', 'batch.size': value }))
  }
})
