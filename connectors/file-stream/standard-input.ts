import { read } from 'node:fs'
import { promisify } from 'node:util'

const readFd = promisify(read)

/**
 * Bytes of the process's standard input. The descriptor is read directly: a worker thread has no `process.stdin` of
 * its own. A read that is under way cannot be taken back; its bytes are handed over by the next call.
 */
export class StandardInput {
  #reading: Promise<{ readonly bytes: Uint8Array }> | null = null
  #closed = false

  /** @returns 0 at the end of the input, or when `signal` aborted first */
  async read(into: Uint8Array, signal: AbortSignal): Promise<number> {
    if (this.#closed || signal.aborted) return 0
    this.#reading ??= readChunk(into.length)
    const reading = this.#reading
    const aborted = Promise.withResolvers<null>()
    const onAbort = (): void => aborted.resolve(null)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const chunk = await Promise.race([reading, aborted.promise])
      if (chunk === null) return 0
      this.#reading = null
      into.set(chunk.bytes)
      return chunk.bytes.length
    } catch (error) {
      this.#reading = null
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** The descriptor stays open: it is the process's. */
  async close(): Promise<void> {
    this.#closed = true
    this.#reading?.catch(() => undefined)
  }
}

async function readChunk(maxBytes: number): Promise<{ readonly bytes: Uint8Array }> {
  const buffer = new Uint8Array(maxBytes)
  const { bytesRead } = await readFd(0, buffer, 0, maxBytes, null)
  return { bytes: buffer.subarray(0, bytesRead) }
}
