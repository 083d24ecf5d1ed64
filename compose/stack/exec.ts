import { spawn } from 'node:child_process'

/** How to run a command that ends by itself. */
export interface ExecOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Called with each line of output, for progress. */
  readonly onLine?: (line: string) => void
}

/**
 * Runs a command to its end.
 * @returns its output (stdout and stderr together, last 64 KiB)
 * @throws Error with the output's last lines when it cannot start or its exit code is not 0
 */
export function exec(command: string, args: readonly string[], options: ExecOptions = {}): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.user === undefined ? {} : { uid: options.user.uid, gid: options.user.gid }),
    })
    let output = ''
    const collect = (chunk: string): void => {
      output = (output + chunk).slice(-65_536)
      if (options.onLine !== undefined)
        for (const line of chunk.split('\n')) if (line.trim() !== '') options.onLine(line)
    }
    child.stdout.setEncoding('utf8').on('data', collect)
    child.stderr.setEncoding('utf8').on('data', collect)
    child.once('error', (cause) => failed(new Error(`cannot run ${command}: ${cause.message}`, { cause })))
    child.once('close', (code, signal) => {
      if (code === 0) done(output)
      else {
        const tail = output.trimEnd().split('\n').slice(-12).join('\n')
        failed(new Error(`${command} ${args.slice(0, 3).join(' ')} … ended with ${signal ?? `code ${code}`}\n${tail}`))
      }
    })
  })
}
