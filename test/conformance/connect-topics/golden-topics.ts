import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TopicLogRecord } from '../../../worker/kafka/types.ts'

export const folder = join(import.meta.dirname, '../golden/connect-topics')

export type TopicName = 'configs' | 'offsets' | 'statuses'

/** Bytes as text where they are valid UTF-8, else in hex; null for a tombstone or a missing key. */
type Bytes = string | { readonly hex: string } | null

interface GoldenRecord {
  readonly partition: number
  readonly offset: number
  readonly key: Bytes
  readonly value: Bytes
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function toBytes(bytes: Uint8Array | null, rename: (text: string) => string): Bytes {
  if (bytes === null) return null
  try {
    return rename(utf8.decode(bytes))
  } catch {
    return { hex: Buffer.from(bytes).toString('hex') }
  }
}

function fromBytes(bytes: Bytes): Uint8Array | null {
  if (bytes === null) return null
  return typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes.hex, 'hex')
}

/** One record per line. `rename` replaces names that change from run to run. */
export function toJson(records: readonly TopicLogRecord[], rename: (text: string) => string): string {
  const lines = records.map(({ partition, offset, key, value }) => {
    const golden: GoldenRecord = {
      partition,
      offset: Number(offset),
      key: toBytes(key, rename),
      value: toBytes(value, rename),
    }
    return `  ${JSON.stringify(golden)}`
  })
  return `[\n${lines.join(',\n')}\n]\n`
}

/** The records that a Java worker left in one of its topics, in offset order per partition. */
export function goldenRecords(topic: TopicName): readonly TopicLogRecord[] {
  const parsed = JSON.parse(readFileSync(join(folder, `${topic}.json`), 'utf8')) as readonly GoldenRecord[]
  return parsed.map(({ partition, offset, key, value }) => ({
    partition,
    offset: BigInt(offset),
    timestamp: 0,
    key: fromBytes(key),
    value: fromBytes(value),
  }))
}
