import { type FileHandle, open } from 'node:fs/promises'
import type { Clock, Logger } from '../../worker/api/context.ts'
import { Schemas } from '../../worker/api/data.ts'
import { type SourcePartition, SourceRecord } from '../../worker/api/record.ts'
import type { SourceTask, SourceTaskContext } from '../../worker/api/task.ts'
import type { FileStreamSourceConfig } from './config.ts'
import { filenameField, hasFile, positionField } from './connector.ts'
import { classify, errnoOf, offsetError } from './errors.ts'
import { type Line, LineSplitter } from './line-splitter.ts'
import { StandardInput } from './standard-input.ts'

/** Wait after the end of the file, or for a file that is not there yet (as Kafka's connector waits). */
const idleMs = 1000
const chunkBytes = 64 * 1024

/** Where bytes come from: 0 bytes read means that there are none now. */
interface Input {
  read(into: Uint8Array, signal: AbortSignal): Promise<number>
  close(): Promise<void>
}

/** Reads lines from a file, and goes on when the file grows; or from the standard input, without positions. */
export class FileStreamSourceTask implements SourceTask<FileStreamSourceConfig> {
  #config: FileStreamSourceConfig | null = null
  #context: SourceTaskContext | null = null
  #input: Input | null = null
  #splitter = new LineSplitter(0n)
  #partition: SourcePartition = { [filenameField]: null }
  readonly #chunk = new Uint8Array(chunkBytes)

  async start(config: FileStreamSourceConfig, context: SourceTaskContext): Promise<void> {
    this.#config = config
    this.#context = context
    if (hasFile(config.file)) this.#partition = { [filenameField]: config.file }
    else this.#input = new StandardInput()
  }

  async poll(signal: AbortSignal): Promise<readonly SourceRecord[]> {
    const { config, context } = this.#started()
    if (signal.aborted) return []
    this.#input ??= await this.#openFile(config.file ?? '', context)
    if (this.#input === null) {
      await context.clock.sleep(idleMs, signal)
      return []
    }
    const lines: Line[] = []
    const atEnd = await this.#readLines(this.#input, config, lines, signal)
    if (lines.length === 0) {
      if (atEnd) await context.clock.sleep(idleMs, signal)
      return []
    }
    return this.#records(lines, config, context.clock)
  }

  async stop(): Promise<void> {
    const input = this.#input
    this.#input = null
    // A poll from now on must not open the file again.
    this.#config = null
    await input?.close()
  }

  /** As Kafka's connector, which knows no lower bound, at least a line per poll. */
  get #batchSize(): number {
    return Math.max(1, this.#config?.['batch.size'] ?? 1)
  }

  #started(): { readonly config: FileStreamSourceConfig; readonly context: SourceTaskContext } {
    if (this.#config === null || this.#context === null) throw new Error('poll before start, or after stop')
    return { config: this.#config, context: this.#context }
  }

  /** @returns whether the input had no more bytes */
  async #readLines(input: Input, config: FileStreamSourceConfig, lines: Line[], signal: AbortSignal): Promise<boolean> {
    this.#splitter.take(this.#batchSize, lines)
    while (lines.length < this.#batchSize && !signal.aborted) {
      let count: number
      try {
        count = await input.read(this.#chunk, signal)
      } catch (error) {
        throw classify(error, config.file ?? 'the standard input', 'Reading')
      }
      if (count === 0) return true
      this.#splitter.push(this.#chunk.subarray(0, count))
      this.#splitter.take(this.#batchSize, lines)
    }
    return false
  }

  /** Null when the file is not there yet: it may come. */
  async #openFile(file: string, { offsets, logger }: SourceTaskContext): Promise<Input | null> {
    let handle: FileHandle
    try {
      handle = await open(file, 'r')
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') {
        logger.warn(
          { file },
          `Couldn't find file ${file} for FileStreamSourceTask, sleeping to wait for it to be created`,
        )
        return null
      }
      throw classify(error, file, 'Opening')
    }
    try {
      const [offset] = await offsets.read([this.#partition])
      const position = positionOf(offset?.[positionField] ?? null)
      await this.#checkPosition(handle, position, file, logger)
      this.#splitter = new LineSplitter(position)
      return new FileInput(handle, position)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** A position beyond the end means that the file was replaced by a shorter one: there is nothing to read yet. */
  async #checkPosition(handle: FileHandle, position: bigint, file: string, logger: Logger): Promise<void> {
    const { size, ...stats } = await handle.stat({ bigint: true })
    if ((stats.mode & 0o170000n) !== 0o100000n || position <= size) return
    logger.warn(
      { file, position, size },
      'the committed position lies beyond the end of the file; waiting for it to grow',
    )
  }

  #records(lines: readonly Line[], config: FileStreamSourceConfig, clock: Clock): SourceRecord[] {
    const timestamp = clock.now()
    const tracked = hasFile(config.file)
    const records: SourceRecord[] = []
    for (const line of lines) {
      records.push(
        new SourceRecord({
          sourcePartition: this.#partition,
          sourceOffset: { [positionField]: tracked ? line.end : null },
          topic: config.topic,
          valueSchema: Schemas.string,
          value: line.text,
          timestamp,
        }),
      )
    }
    return records
  }
}

function positionOf(value: unknown): bigint {
  if (value === null) return 0n
  if (typeof value === 'bigint' && value >= 0n) return value
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return BigInt(value)
  throw offsetError('Offset position is the incorrect type')
}

class FileInput implements Input {
  readonly #handle: FileHandle
  #position: bigint

  constructor(handle: FileHandle, position: bigint) {
    this.#handle = handle
    this.#position = position
  }

  async read(into: Uint8Array): Promise<number> {
    const { bytesRead } = await this.#handle.read(into, 0, into.length, this.#position)
    this.#position += BigInt(bytesRead)
    return bytesRead
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }
}
