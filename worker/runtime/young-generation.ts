/** Sizes of V8's young generations: what a process of several threads would otherwise spend most of its memory on. */
import { setFlagsFromString } from 'node:v8'

/**
 * Young generation of a host thread, in MiB. A batch of source records dies as a whole, so a small one is as cheap to
 * collect as a large one, and V8 would otherwise let it grow to 128 per thread. What a sink decodes out of one poll
 * lives until `put` returns: with room for a few of them few records outlive it. More room costs memory and saves no
 * CPU that can be measured, since the young generation is collected by one thread.
 */
export const youngMegabytes = { connector: 3, source: 3, sink: 6 } as const

/**
 * From now on the young generation of this thread stays as it is, 2 MiB at the start of the process, and later threads
 * have the whole of theirs from their first moment. V8 would grow this one to 32 MiB while the worker loads its modules
 * and never give them back, although its own thread does next to nothing afterwards. Flags are the process's and are
 * read at each collection, so this is called once, before anything is loaded.
 */
export function fixYoungGenerations(): void {
  setFlagsFromString('--semi-space-growth-factor=1')
  // V8 divides a young generation by three. Threads with less begin with all of theirs; none grows any more.
  setFlagsFromString(`--min-semi-space-size=${Math.max(...Object.values(youngMegabytes)) / 3}`)
}

/** Takes it back for a worker whose tasks run on this thread (`task.isolation=none`). */
export function letYoungGenerationsGrow(): void {
  setFlagsFromString('--semi-space-growth-factor=2')
}
