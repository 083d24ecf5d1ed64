import type { RecordFormat } from '../../../connectors/s3/formats/format.ts'
import { openFormats } from '../../../connectors/s3/formats/open-formats.ts'
import { plugin } from '../../../connectors/s3/index.ts'
import { Limiter } from '../../../connectors/s3/limiter.ts'
import { MemoryBudget } from '../../../connectors/s3/memory-budget.ts'
import { ObjectUpload } from '../../../connectors/s3/object-upload.ts'
import type { Schema, Value } from '../../../worker/api/data.ts'
import { SinkRecord } from '../../../worker/api/record.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { MemoryStore } from './memory-store.ts'
import { baseConfig } from './sink-harness.ts'

/** The format of values of a configuration. */
export async function valueFormat(config: Readonly<Record<string, string>>): Promise<RecordFormat> {
  const raw = { ...baseConfig, ...config }
  const { values } = await openFormats(parseConfig(plugin.config, raw), raw)
  return values.format
}

export interface TypedRow {
  readonly schema: Schema | null
  readonly value: Value
}

/** Bytes of an object with these rows; `flushEvery` ends a block or row group after so many. */
export async function encodeRows(format: RecordFormat, rows: readonly TypedRow[], flushEvery = 1000): Promise<Buffer> {
  const store = new MemoryStore()
  const budget = new MemoryBudget(1 << 30)
  const write = {
    contentType: 'binary/octet-stream',
    cannedAcl: null,
    encryption: null,
    kmsKeyId: null,
    customerKey: null,
    contentMd5: false,
  }
  const upload = new ObjectUpload(
    { bucket: 'lake', key: `object${format.extension}` },
    {
      store,
      limiter: new Limiter(1),
      budget,
      partBytes: 5_242_880,
      initialBytes: 1024,
      compression: null,
      write,
      onlyIfAbsent: false,
    },
  )
  const encoder = format.open(upload)
  for (const [i, { schema, value }] of rows.entries()) {
    encoder.write({ schema, value, record: recordOf(i, schema, value) })
    if ((i + 1) % flushEvery === 0) encoder.flush()
  }
  encoder.finish()
  await upload.complete()
  if (budget.usedBytes !== 0) throw new Error(`${budget.usedBytes} bytes of the budget were not given back`)
  return store.objects.get(upload.at.key) ?? Buffer.alloc(0)
}

function recordOf(offset: number, valueSchema: Schema | null, value: Value): SinkRecord {
  return new SinkRecord({ topic: 'orders', partition: 0, offset: BigInt(offset), valueSchema, value })
}
