import { createContext, Script } from 'node:vm'
import { failure } from './operands.ts'

/** Longest time that one regular expression may take for one text, in ms. */
const timeLimitMs = 1000
/** Steps below which an expression runs as it is: at most some tens of milliseconds. */
const freeSteps = 1e7

/** Of the source alone, hence known when the expression is compiled. */
const costs = new WeakMap<RegExp, { readonly repeats: number; readonly choices: number }>()

/**
 * Runs a regular expression on a text within a time limit. Even without nested repetition, which the syntax refuses,
 * `/a*a*a*b/` takes the cube of the text's length. Where that may be much, the engine is watched and interrupted,
 * which costs some tens of microseconds; elsewhere nothing.
 * @throws DataError when it took too long
 */
export function withinLimit<T>(pattern: RegExp, text: string, run: () => T): T {
  let cost = costs.get(pattern)
  if (cost === undefined) {
    cost = costOf(pattern.source)
    costs.set(pattern, cost)
  }
  if ((text.length + 1) ** (cost.repeats + 1) * 2 ** cost.choices <= freeSteps) return run()
  const context = createContext({ run })
  try {
    return watched.runInContext(context, { timeout: timeLimitMs }) as T
  } catch (error) {
    // The engine's own error is one of the other context.
    if (
      typeof error === 'object' &&
      error !== null &&
      'code' in error &&
      error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
    ) {
      throw failure(`A regular expression was stopped after ${timeLimitMs} ms on a text of ${text.length} characters`)
    }
    throw error
  }
}

/** Calls the function that it is given: none of the user's text becomes a script. */
const watched = new Script('run()')

/** Repetitions, each of which multiplies the steps by the length of the text, and choices, which double them. */
function costOf(source: string): { readonly repeats: number; readonly choices: number } {
  const plain = source.replaceAll(/\\.|\[(?:\\.|[^\]\\])*\]/g, '_').replaceAll(/\(\?(?:<?[:=!]|<\w+>)/g, '(')
  const repeats = plain.match(/[*+]|\{\d+,\}|\{\d+,\d{2,}\}/g)?.length ?? 0
  const choices = plain.match(/\||\?|\{\d+,\d\}/g)?.length ?? 0
  return { repeats, choices }
}
