/** `npm run pipeline <name> [-- --kill --scale F]`: one pipeline on the local stack; exits 1 when both ends differ. */
import { parseArgs } from 'node:util'
import { pipelines } from './pipelines/pipelines.ts'
import { runPipelines } from './pipelines/support/session.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kill: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
    port: { type: 'string', default: '8093' },
  },
})
const create = pipelines[positionals[0] ?? '']
if (create === undefined) {
  console.error(`usage: npm run pipeline <${Object.keys(pipelines).join('|')}> [-- --kill --scale F]`)
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
