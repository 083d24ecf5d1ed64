/**
 * The way of a record from the bytes of a fetch to the lines of a file, alone: no sockets, no other process. What it
 * takes of CPU is the floor of `bench sink`.
 */
import { once } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { isMainThread, Worker as Thread, workerData } from 'node:worker_threads'
import { FileStreamSinkTask } from '../../connectors/file-stream/sink-task.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import { parseConfig } from '../../worker/config/config-def.ts'
import { JsonConverter, jsonConverterConfig } from '../../worker/converters/json.ts'
import { SimpleHeaderConverter } from '../../worker/converters/simple-header.ts'
import { StringConverter, stringConverterConfig } from '../../worker/converters/string.ts'
import { FetchedData } from '../../worker/kafka/fetched-data.ts'
import type { FetchAnswer } from '../../worker/kafka/protocol/fetch.ts'
import { NO_PRODUCER, RecordBatchBuilder } from '../../worker/kafka/record-batch-builder.ts'
import { SinkPipeline, type SinkPipelineOptions } from '../../worker/runtime/sink-pipeline.ts'
import { fixYoungGenerations, youngMegabytes } from '../../worker/runtime/young-generation.ts'
import { jsonRecord } from './sink.ts'

const partitions = 4
const batchRecords = 1500
const batchesPerPartition = 4
/** The defaults of the consumer. */
const pollRecords = 500
const pollBytes = 128 * 1024

/** How far records go. */
const stages = ['decoded', 'converted', 'put'] as const
type Stage = (typeof stages)[number]

/** One answer to a fetch for each partition. */
function answers(bytes: number): readonly FetchAnswer[] {
  return Array.from({ length: partitions }, (_, partition) => {
    const parts: Buffer[] = []
    for (let batch = 0; batch < batchesPerPartition; batch++) {
      const builder = new RecordBatchBuilder(Buffer.alloc(64), 1 << 24)
      for (let i = 0; i < batchRecords; i++) {
        const id = batch * batchRecords + i
        const key = Buffer.from(`k${id}`)
        const value = Buffer.from(JSON.stringify(jsonRecord(id, bytes, 50)))
        builder.tryAppend(1_700_000_000_000 + i, key, value, [], RecordBatchBuilder.sizeUpperBound(key, value, []))
      }
      const sealed = Buffer.from(builder.seal('none', null, NO_PRODUCER))
      sealed.writeBigInt64BE(BigInt(batch * batchRecords), 0)
      parts.push(sealed)
    }
    const end = BigInt(batchesPerPartition * batchRecords)
    return {
      topic: 't',
      partition,
      error: 0,
      highWatermark: end,
      lastStableOffset: end,
      logStartOffset: 0n,
      aborted: [],
      records: Buffer.concat(parts),
    }
  })
}

function openPipeline(): SinkPipeline {
  const value = new JsonConverter()
  value.configure(parseConfig(jsonConverterConfig, { 'schemas.enable': 'false', 'converter.type': 'value' }), 'value')
  const key = new StringConverter()
  key.configure(parseConfig(stringConverterConfig, { 'converter.type': 'key' }), 'key')
  return new SinkPipeline({
    chain: { empty: true } as unknown as SinkPipelineOptions['chain'],
    converters: {
      key: { converter: key, className: 'StringConverter' },
      value: { converter: value, className: 'JsonConverter' },
      header: { converter: new SimpleHeaderConverter(), className: 'SimpleHeaderConverter' },
    } as unknown as SinkPipelineOptions['converters'],
    errors: {} as unknown as SinkPipelineOptions['errors'],
    keepOriginals: false,
  })
}

/** Takes all answers in polls, as a sink task does. @returns how many records there were */
async function pass(fetched: readonly FetchAnswer[], stage: Stage, task: FileStreamSinkTask): Promise<number> {
  const pipeline = openPipeline()
  const { signal } = new AbortController()
  let count = 0
  for (const answer of fetched) {
    const data = new FetchedData(answer, 0n, false)
    for (let piece = data.next(pollRecords, pollBytes); piece !== null; piece = data.next(pollRecords, pollBytes)) {
      count += piece.records.length
      if (stage === 'decoded') continue
      const records: SinkRecord[] = []
      const { topic, partition, highWatermark: endOffset } = answer
      await pipeline.convert({ topic, partition, endOffset, ...piece }, records, signal)
      if (stage === 'put') await task.put(records)
    }
  }
  return count
}

/** Prints the least CPU time, of this process, of `runs` passes over the same bytes to each stage. */
async function measure({ records, runs, bytes }: SinkPathOptions): Promise<void> {
  const fetched = answers(bytes)
  const task = new FileStreamSinkTask()
  await task.start({ file: '/dev/null' })
  for (const stage of stages) {
    const took: number[] = []
    for (let run = 0; run <= runs; run++) {
      const before = process.cpuUsage()
      let count = 0
      while (count < records) count += await pass(fetched, stage, task)
      const { user, system } = process.cpuUsage(before)
      took.push((user + system) / count)
    }
    // The first warms up; others on the machine can make a pass dearer, but none cheaper.
    const [, ...warm] = took
    const sorted = warm.toSorted((a, b) => a - b)
    const [least = Number.NaN] = sorted
    const middle = sorted[sorted.length >> 1] ?? Number.NaN
    console.log(`  ${stage}: ${least.toFixed(2)} CPU µs per record, median of ${runs} passes ${middle.toFixed(2)}`)
  }
  await task.stop()
}

export interface SinkPathOptions {
  readonly records: number
  readonly runs: number
  /** About so many of each record. */
  readonly bytes: number
}

/** Prints CPU time per record up to each stage, taken in a thread with the heap of a sink task's. */
export async function benchSinkPath(options: SinkPathOptions): Promise<void> {
  fixYoungGenerations()
  setFlagsFromString('--no-allocation-site-pretenuring')
  setFlagsFromString('--no-parallel-scavenge')
  const thread = new Thread(new URL(import.meta.url), {
    workerData: options,
    resourceLimits: { maxYoungGenerationSizeMb: youngMegabytes.sink, maxOldGenerationSizeMb: 768 },
  })
  await once(thread, 'exit')
}

if (!isMainThread) await measure(workerData as SinkPathOptions)
