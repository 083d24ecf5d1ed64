/** Where log lines go. */
import { writeSync } from 'node:fs'

/** One complete JSON line per call. */
export interface LogDestination {
  /** Never throws: whoever tells of its work must not fail because nobody can hear it. */
  write(line: string): void
}

/** Time in ms after which a descriptor that took no more bytes is tried again. */
const busyWaitMs = 10
/** Nobody ever wakes who waits on it. */
const alarm = new Int32Array(new SharedArrayBuffer(4))

/** Bytes taken, at least one. @throws Error of the system with its `code` */
export type WriteBytes = (bytes: Uint8Array) => number

/**
 * Standard output, written synchronously, so that the last line before a crash is there. A reader that is slow holds up
 * the thread; one that is gone ends the output for good; a line that cannot be written for another reason (a full disk)
 * is lost, and told with the next one that can.
 */
export function standardOutput(write: WriteBytes = (bytes) => writeSync(1, bytes)): LogDestination {
  let isOpen = true
  let lost = 0
  return {
    write: (line) => {
      if (!isOpen) return
      // The lost line may have been cut off in its middle.
      const code = writeWhole(lost === 0 ? line : `\n${lossLine(lost)}${line}`, write)
      if (code === null) lost = 0
      else if (code === 'EPIPE') isOpen = false
      else lost++
    },
  }
}

function lossLine(count: number): string {
  const time = new Date().toISOString()
  return `${JSON.stringify({ level: 'ERROR', time, logger: 'log', message: `${count} log lines could not be written` })}\n`
}

/** @returns null, or the code of the error that ended it */
function writeWhole(text: string, write: WriteBytes): string | null {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length; ) {
    try {
      written += write(bytes.subarray(written))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
      if (code !== 'EAGAIN' && code !== 'EBUSY') return code
      Atomics.wait(alarm, 0, 0, busyWaitMs)
    }
  }
  return null
}
