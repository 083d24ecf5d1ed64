import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ConnectError } from '../api/errors.ts'
import type { SourceOffset, SourcePartition } from '../api/record.ts'
import { encodeOffsetValue } from './offset-format.ts'
import { type OffsetStore, OffsetTable, type StoredOffset } from './offset-store.ts'
import type { OffsetRecord } from './offset-writer.ts'

const header = '{"format":"sluice-offsets","version":1}'

/**
 * Source offsets of a standalone worker (`offset.storage.file.filename`): a header line, then one line
 * `[key, value]` per partition, both as the JSON that the offset topic would hold. Each write replaces the file by
 * rename after fsync, so a crash leaves the old or the new one (I1, I9). A file of the Java worker is not touched.
 */
export class FileOffsetStore implements OffsetStore {
  readonly #path: string
  #table = new OffsetTable()
  #lastWrite: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** @throws ConnectError when the file is not one of ours */
  async start(): Promise<void> {
    const content = await this.#load()
    if (content === null || content.length === 0) return
    const lines = content.toString('utf8').split('\n')
    if (lines.shift() !== header) {
      const isJava = content[0] === 0xac && content[1] === 0xed
      throw new ConnectError(
        'fatal',
        'CONNECT_OFFSET_FILE_FOREIGN',
        `${this.#path} ${isJava ? 'holds offsets of a Java worker' : 'is not an offset file of this worker'}; ` +
          'choose another offset.storage.file.filename, or move the file away to start without offsets',
      )
    }
    for (const line of lines) {
      if (line === '') continue
      const [key, value] = JSON.parse(line) as [string, string | null]
      this.#table.apply(Buffer.from(key), value === null ? null : Buffer.from(value))
    }
  }

  async read(connector: string, partitions: readonly SourcePartition[]): Promise<readonly (SourceOffset | null)[]> {
    return partitions.map((partition) => this.#table.get(connector, partition)?.offset ?? null)
  }

  async partitions(connector: string): Promise<readonly StoredOffset[]> {
    return this.#table.partitions(connector)
  }

  rawKey(connector: string, partition: SourcePartition): Uint8Array | null {
    return this.#table.get(connector, partition)?.rawKey ?? null
  }

  write(records: readonly OffsetRecord[]): Promise<void> {
    const write = this.#lastWrite.then(() => this.#replace(records))
    // One write at a time, and a failed one does not stop those after it; the caller sees the failure.
    this.#lastWrite = write.catch(() => undefined)
    return write
  }

  close(): Promise<void> {
    return this.#lastWrite
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #replace(records: readonly OffsetRecord[]): Promise<void> {
    const next = new OffsetTable()
    for (const { key, offset } of this.#table.entries()) next.apply(key, encodeOffsetValue(offset))
    for (const { key, value } of records) next.apply(key, value)
    const lines = [header]
    for (const { key, offset } of next.entries()) {
      const value = encodeOffsetValue(offset)
      const text = value === null ? null : Buffer.from(value).toString('utf8')
      lines.push(JSON.stringify([Buffer.from(key).toString('utf8'), text]))
    }
    const temporary = `${this.#path}.tmp`
    {
      await using file = await open(temporary, 'w', 0o600)
      await file.writeFile(`${lines.join('\n')}\n`)
      await file.sync()
    }
    await rename(temporary, this.#path)
    // The rename itself is durable only when the folder is.
    await using folder = await open(dirname(this.#path), 'r')
    await folder.sync()
    // Readers see an offset only once it is durable (I1).
    this.#table = next
  }

  async #load(): Promise<Buffer | null> {
    try {
      return await readFile(this.#path)
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
      throw error
    }
  }
}
