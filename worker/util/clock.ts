import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../api/context.ts'

/** Real time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(Math.max(0, ms), undefined, signal === undefined ? undefined : { signal })
    } catch (error) {
      // An aborted wait is an answer, not an error: the caller checks its signal.
      if (!signal?.aborted) throw error
    }
  },
}
