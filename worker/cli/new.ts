/** `sluice new`: the beginning of a plugin that works, with tests that hold it to the framework's contract. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { toError } from '../api/errors.ts'
import { lastPart, type ScaffoldInput, scaffoldFiles } from './new/scaffold.ts'
import { subcommand } from './subcommand.ts'

const usage = `Usage: sluice new connector <name> [--kind source|sink] [--dir FOLDER] [--class NAME]
       sluice new transform <name> [--dir FOLDER] [--class NAME]

Writes a package with a plugin in TypeScript: it runs as it is (plugin.path=FOLDER/src/index.ts), and its tests hold it to
the contract of the framework (npm test). <name> is the package's name; --dir defaults to its last part, --class to
org.example.<Name>.
`

/** @returns the exit code: 0, 1 when the files cannot be written, 2 for wrong usage */
export async function run(args: readonly string[]): Promise<number> {
  return await subcommand(
    usage,
    () => readArguments(args),
    ({ folder, scaffold }) => write(folder, scaffold),
  )
}

function readArguments(args: readonly string[]): { folder: string; scaffold: ScaffoldInput } | null {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      kind: { type: 'string', default: 'source' },
      dir: { type: 'string' },
      class: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return null
  const [what, name, ...more] = positionals
  const kind = what === 'transform' ? 'transform' : values.kind
  const isKnown = what === 'transform' || (what === 'connector' && (kind === 'source' || kind === 'sink'))
  if (!isKnown || name === undefined || more.length > 0) throw new Error('')
  if (!/^(?:@[a-z0-9-]+\/)?[a-z][a-z0-9-]*$/.test(name))
    throw new Error(`${name} is no name for a package: use lower case letters, digits and hyphens`)
  const folder = resolve(values.dir ?? lastPart(name))
  return { folder, scaffold: { kind: kind as ScaffoldInput['kind'], name, className: values.class ?? null } }
}

async function write(folder: string, input: ScaffoldInput): Promise<number> {
  try {
    await mkdir(folder, { recursive: true })
    if ((await readdir(folder)).length > 0) {
      process.stderr.write(`${folder} is not empty; choose another folder with --dir\n`)
      return 1
    }
    for (const [path, content] of Object.entries(scaffoldFiles(input))) {
      await mkdir(dirname(join(folder, path)), { recursive: true })
      await writeFile(join(folder, path), content)
    }
  } catch (error) {
    process.stderr.write(`cannot write to ${folder}: ${toError(error).message}\n`)
    return 1
  }
  process.stdout.write(`${folder}: npm install, npm test; then add src/index.ts to plugin.path of a worker\n`)
  return 0
}
