import { toError } from '../api/errors.ts'

/**
 * Runs one command of the CLI: the usage on `--help`, and behind what is wrong with the arguments.
 * @param read what the arguments mean; null when help is wanted. Throws what is wrong, an Error without a message when
 * the usage says it all
 * @param work answers the exit code
 * @returns the exit code; 2 for wrong usage
 */
export async function subcommand<Input>(
  usage: string,
  read: () => Input | null,
  work: (input: Input) => Promise<number>,
): Promise<number> {
  let input: Input | null
  try {
    input = read()
  } catch (error) {
    const { message } = toError(error)
    process.stderr.write(message === '' ? usage : `${message}\n\n${usage}`)
    return 2
  }
  if (input === null) {
    process.stdout.write(usage)
    return 0
  }
  return await work(input)
}
