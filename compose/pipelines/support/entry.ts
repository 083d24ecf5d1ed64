/** What the scripts `quickstart` and `pipeline` share: their options, and how they end. */
import { parseArgs } from 'node:util'
import { toError } from '../../../worker/api/errors.ts'

export interface RunOptions {
  readonly positionals: readonly string[]
  readonly check: boolean
  readonly kill: boolean
  readonly scale: number
  /** REST port of the first worker; the second takes the next one. */
  readonly port: number
  readonly help: boolean
}

/** @throws Error naming the option that is not known, or is no number */
export function parseRunOptions(args: readonly string[], defaults: { readonly port: number }): RunOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      check: { type: 'boolean', default: false },
      kill: { type: 'boolean', default: false },
      scale: { type: 'string', default: '1' },
      port: { type: 'string', default: String(defaults.port) },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const scale = Number(values.scale)
  if (!(scale > 0)) throw new Error(`--scale takes a number above 0, not "${values.scale}"`)
  const port = Number(values.port)
  if (!(Number.isInteger(port) && port > 0 && port < 65_535))
    throw new Error(`--port takes a port below 65535 (the second worker has the next one), not "${values.port}"`)
  return { ...values, positionals, scale, port }
}

/**
 * Runs the script: wrong options print `usage` (exit code 2), a failure its message without a stack of ours (1).
 * Ends the process: when one pipeline fails, waits of the others are still under way and would hold it for minutes.
 * @param run gives the exit code
 */
export async function runScript(
  usage: string,
  defaults: { readonly port: number },
  run: (options: RunOptions) => Promise<number>,
): Promise<never> {
  let options: RunOptions
  try {
    options = parseRunOptions(process.argv.slice(2), defaults)
  } catch (error) {
    console.error(`${toError(error).message}\n\n${usage}`)
    process.exit(2)
  }
  if (options.help) {
    console.log(usage)
    process.exit(0)
  }
  try {
    process.exit(await run(options))
  } catch (error) {
    const { message, cause } = toError(error)
    console.error(`\n${message}${cause === undefined ? '' : `\nlast: ${toError(cause).message}`}`)
    process.exit(1)
  }
}
