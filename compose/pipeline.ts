/**
 * `npm run pipeline <name> [-- --check --kill --scale F]`: one pipeline on the local stack. Both ends are
 * always compared and it exits 1 when they differ; `--check` says so for scripts that want to be explicit.
 */
import { parseArgs } from 'node:util'
import { pipelines } from './pipelines/pipelines.ts'
import { runPipelines } from './pipelines/support/session.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: true },
    kill: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
    port: { type: 'string', default: '8093' },
  },
})
const create = pipelines[positionals[0] ?? '']
if (create === undefined) {
  console.error(`usage: npm run pipeline <${Object.keys(pipelines).join('|')}> [-- --check --kill --scale F]`)
  process.exitCode = 2
} else {
  const { differences, workers } = await runPipelines({
    pipelines: [create('')],
    kill: values.kill,
    scale: Number(values.scale),
    port: Number(values.port),
  })
  await workers.stopAll()
  process.exitCode = differences === 0 ? 0 : 1
}
