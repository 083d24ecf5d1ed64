/**
 * `npm run quickstart`: local stack, two workers, the pipelines *search* and *warehouse*, and what came of them.
 *
 *   --check   exits with a verdict instead of leaving the workers running; a stack that it started is stopped again
 *   --kill    kills the worker that runs the source task, half way (SIGKILL)
 *   --scale F size of the data, 1 by default (20,000 conversations, 200,000 event logs)
 */
import { parseArgs } from 'node:util'
import { quickstartPipelines } from './pipelines/pipelines.ts'
import { runPipelines } from './pipelines/support/session.ts'
import { down } from './stack/lifecycle.ts'
import { loadSettings, runningServices } from './stack/state.ts'

const { values } = parseArgs({
  options: {
    check: { type: 'boolean', default: false },
    kill: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
    port: { type: 'string', default: '8083' },
  },
})

const before = runningServices(loadSettings())
const { differences, workers } = await runPipelines({
  pipelines: quickstartPipelines(''),
  kill: values.kill,
  scale: Number(values.scale),
  port: Number(values.port),
})

if (values.check) {
  await workers.stopAll()
  const settings = loadSettings()
  await down(
    settings,
    runningServices(settings).filter((name) => !before.includes(name)),
  )
  console.log(differences === 0 ? '\nquickstart: both ends are equal' : `\nquickstart: ${differences} differences`)
} else {
  const [url] = workers.urls
  console.log(`
Two workers are running; they are yours to play with:
  status page   ${url}/ui
  connectors    curl -s ${url}/connectors?expand=status
  stop them     kill ${[...workers.pids().values()].join(' ')}   (the stack: npm run stack -- down)`)
  workers.release()
}
process.exitCode = differences === 0 ? 0 : 1
