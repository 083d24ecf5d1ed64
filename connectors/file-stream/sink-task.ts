import { write } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { GrowingByteWriter } from '../../worker/api/byte-writer.ts'
import { writeJavaText } from '../../worker/api/java-text.ts'
import type { SinkRecord } from '../../worker/api/record.ts'
import type { SinkTask } from '../../worker/api/task.ts'
import type { Offsets } from '../../worker/api/topic-partition.ts'
import type { FileStreamSinkConfig } from './config.ts'
import { hasFile } from './connector.ts'
import { classify, errnoOf } from './errors.ts'

const standardOutput = 1
const writeFd = promisify(write)
const newline = 0x0a
/** Bytes given to the system at a time. */
const writeBytes = 256 * 1024

/** Java would print the identity of the array, which is of no use to anyone. */
function utf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
}

/** Appends each value as a line to a file, which is created when absent, or to the standard output. */
export class FileStreamSinkTask implements SinkTask<FileStreamSinkConfig> {
  #file: FileHandle | null = null
  #name = 'the standard output'
  /** Written since the file was last flushed to its disk. */
  #dirty = false
  readonly #out = new GrowingByteWriter()

  async start({ file }: FileStreamSinkConfig): Promise<void> {
    if (!hasFile(file)) return
    this.#name = file
    try {
      this.#file = await open(file, 'a')
    } catch (error) {
      throw classify(error, file, 'Opening')
    }
  }

  async put(records: readonly SinkRecord[]): Promise<void> {
    if (records.length === 0) return
    this.#out.reset()
    for (const record of records) {
      writeJavaText(record.valueSchema, record.value, this.#out, utf8)
      this.#out.byte(newline)
      if (this.#out.length >= writeBytes) await this.#write()
    }
    await this.#write()
  }

  /** The lines are on the disk before their offsets are committed (I1). */
  async preCommit(current: Offsets): Promise<Offsets> {
    if (this.#dirty) await this.#flush()
    return current
  }

  async stop(): Promise<void> {
    const file = this.#file
    this.#file = null
    await file?.close()
  }

  /** Writes what was encoded. */
  async #write(): Promise<void> {
    const bytes = this.#out.since(0)
    this.#dirty = true
    try {
      for (let start = 0; start < bytes.length; ) {
        const rest = bytes.subarray(start)
        const { bytesWritten } =
          this.#file === null ? await writeFd(standardOutput, rest, 0, rest.length, null) : await this.#file.write(rest)
        start += bytesWritten
      }
    } catch (error) {
      throw classify(error, this.#name, 'Writing')
    }
    this.#out.reset()
  }

  async #flush(): Promise<void> {
    try {
      await this.#file?.datasync()
    } catch (error) {
      // /dev/null and pipes have no disk.
      if (errnoOf(error) !== 'EINVAL' && errnoOf(error) !== 'ENOTSUP') throw classify(error, this.#name, 'Flushing')
    }
    this.#dirty = false
  }
}
