import { deepEqual } from 'node:assert/strict'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import avsc from 'avsc'
import { parquetReadObjects } from 'hyparquet'
import type { ObjectStore } from '../../../connectors/common/object-store.ts'
import type { openLake } from '../../support/lake.ts'
import type { RandomCase } from './random-case.ts'
import { type ModelRow, runModel } from './reference-model.ts'
import { ManualClock, SinkHarness } from './sink-harness.ts'

/** Where the sink writes to in a run, and what is found there afterwards. */
export interface CaseStore {
  readonly store: ObjectStore
  readonly bucket: string
  objects(): Promise<ReadonlyMap<string, Buffer>>
}

/** A bucket of a real server. */
export function lakeStore({ store, bucket, keys, read }: Awaited<ReturnType<typeof openLake>>): CaseStore {
  return {
    store,
    bucket,
    async objects() {
      const found = new Map<string, Buffer>()
      for (const key of await keys()) found.set(key, await read(key))
      return found
    },
  }
}

/** Plays a case against the sink and compares objects, rows, reports and offsets with the model. @throws AssertionError */
export async function runRandomCase(played: RandomCase, { store, bucket, objects }: CaseStore): Promise<void> {
  const clock = new ManualClock(played.startedAt)
  const harness = await SinkHarness.start({ store, clock, config: { ...played.config, 's3.bucket.name': bucket } })
  await harness.assign({ topic: 'orders', partition: 0 }, { topic: 'orders', partition: 1 })
  for (const { model, records } of played.polls) {
    clock.advance(model.now - clock.now())
    harness.append(records)
    await harness.poll()
  }
  await harness.commit()
  const expected = runModel(
    played.model,
    played.startedAt,
    played.polls.map(({ model }) => model),
  )
  const found = await objects()
  const names = [...expected.objects.keys()].sort()
  deepEqual([...found.keys()].sort(), names, 'names of the objects')
  for (const name of names) {
    const rows = expected.objects.get(name) ?? []
    const bytes = found.get(name) ?? Buffer.alloc(0)
    if (name.endsWith('.avro')) deepEqual(await avroIds(bytes), ids(rows), name)
    else if (name.endsWith('.parquet')) deepEqual(await parquetIds(bytes), ids(rows), name)
    else deepEqual(unpacked(name, bytes).toString('latin1'), textOf(name, rows), name)
  }
  const reported = harness.reported.map(({ record: r }) => `${r.topic}-${r.originalPartition}@${r.offset}`)
  deepEqual(reported.sort(), [...expected.reported].sort(), 'reported records')
  const offsets = [...harness.committed.entries()].map(
    ([tp, offset]) => [`${tp.topic}-${tp.partition}`, offset] as const,
  )
  deepEqual(new Map(offsets), expected.offsets, 'committed offsets')
  await harness.stop()
}

const ids = (rows: readonly ModelRow[]) => rows.map(({ offset }) => Number(offset))

/** Values of ByteArrayFormat are bytes, all else is text. */
function textOf(name: string, rows: readonly ModelRow[]): string {
  const text = rows.map((row) => row.text).join('')
  return name.includes('.bin') ? text : Buffer.from(text).toString('latin1')
}

function unpacked(name: string, bytes: Buffer): Buffer {
  if (name.endsWith('.gz')) return gunzipSync(bytes)
  return name.endsWith('.zst') ? zstdDecompressSync(bytes) : bytes
}

async function avroIds(bytes: Buffer): Promise<readonly number[]> {
  const decoder = new avsc.streams.BlockDecoder()
  decoder.end(bytes)
  const found: number[] = []
  for await (const row of decoder) found.push(Number((row as { readonly id: number }).id))
  return found
}

async function parquetIds(bytes: Buffer): Promise<readonly number[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  const rows = await parquetReadObjects({ file })
  return rows.map(({ id }) => Number(id))
}
