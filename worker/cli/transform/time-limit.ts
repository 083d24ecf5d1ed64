import { createContext, Script } from 'node:vm'

const script = new Script('call()')

/**
 * What `call` gives, which is user's code that may loop for ever; only the engine can take it back from there.
 * @param limitMs in ms, at least 1
 * @throws what `call` throws; Error when it has not come back in time
 */
export function withinLimit<T>(limitMs: number, what: string, call: () => T): T {
  const results: T[] = []
  const context = createContext({ call: () => void results.push(call()) })
  try {
    script.runInContext(context, { timeout: limitMs })
  } catch (error) {
    if (!isTimeout(error)) throw error
    throw new Error(`${what} has not answered within ${limitMs} ms; it may loop for ever`, { cause: error })
  }
  return results[0] as T
}

/** The error belongs to the context, so that it is no instance of our classes. */
function isTimeout(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
