/** `npm run pipeline <name>`: one pipeline on the local stack. Both ends are always compared; it exits 1 when they differ. */
import { pipelines } from './pipelines/pipelines.ts'
import { type RunOptions, runScript } from './pipelines/support/entry.ts'
import { runPipelines } from './pipelines/support/session.ts'

const usage = `usage: npm run pipeline <${Object.keys(pipelines).join('|')}> [-- option …]

  --check    what it does anyway, for scripts that want to be explicit: compares both ends, exits 1 when they differ
  --kill     kills workers while data is on its way (SIGKILL)
  --scale F  size of the data (1)
  --port N   REST port of the first worker; the second takes the next one (8093)`

async function pipeline({ positionals, kill, scale, port }: RunOptions): Promise<number> {
  const create = pipelines[positionals[0] ?? '']
  if (create === undefined) {
    console.error(usage)
    return 2
  }
  const { differences, workers } = await runPipelines({ pipelines: [create('')], kill, scale, port })
  await workers.stopAll()
  return differences === 0 ? 0 : 1
}

await runScript(usage, { port: 8093 }, pipeline)
