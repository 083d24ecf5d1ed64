/** What a task may not leave behind: sockets, and on Linux file descriptors, counted for the whole process. */
import { readdirSync } from 'node:fs'
import { eventually } from '../support/runtime/eventually.ts'

function descriptorCount(): number {
  // Elsewhere only sockets are counted.
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
}

const sockets: ReadonlySet<string> = new Set(['TCPSocketWrap', 'TLSWrap', 'PipeWrap', 'MessagePort'])

function socketCount(): number {
  return process.getActiveResourcesInfo().filter((type) => sockets.has(type)).length
}

/** Counts now; `released` waits until no more is open than then. @throws Error naming what is still open */
export function openResources(): { released(): Promise<void> } {
  const descriptorsBefore = descriptorCount()
  const socketsBefore = socketCount()
  return {
    released: () =>
      eventually(() => {
        const descriptors = descriptorCount() - descriptorsBefore
        const open = socketCount() - socketsBefore
        if (descriptors > 0 || open > 0) {
          throw new Error(`${descriptors} file descriptors and ${open} sockets are still open after stop`)
        }
      }, 10_000),
  }
}
