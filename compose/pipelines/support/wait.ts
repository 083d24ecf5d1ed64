import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks until `check` answers with something other than null.
 * @throws Error naming `what` and the last failure after `timeoutMs`
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  check: () => Promise<T | null>,
  intervalMs = 200,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  let last: unknown = null
  while (Date.now() < deadline) {
    try {
      const answer = await check()
      if (answer !== null) return answer
      last = null
    } catch (error) {
      last = error
    }
    await sleep(intervalMs)
  }
  throw new Error(`Gave up waiting for ${what} after ${timeoutMs / 1000} s`, last === null ? {} : { cause: last })
}
