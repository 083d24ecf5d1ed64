/** `npm run quickstart`: local stack, two workers, the pipelines *search* and *warehouse*, and what came of them. */
import { quickstartPipelines } from './pipelines/pipelines.ts'
import { type RunOptions, runScript } from './pipelines/support/entry.ts'
import { runPipelines } from './pipelines/support/session.ts'
import { down } from './stack/lifecycle.ts'
import { defaultPortBase, portSpan } from './stack/settings.ts'
import { loadSettings, runningServices } from './stack/state.ts'

const usage = `usage: npm run quickstart [-- option …]

  --check    exits with a verdict instead of leaving the workers running; a stack that it started is stopped again
  --kill     kills the worker that runs the source task, half way (SIGKILL)
  --scale F  size of the data (1: 20,000 conversations and 200,000 event logs)
  --port N   REST port of the first worker; the second takes the next one (8083)

SLUICE_STACK_PORT_BASE=<port> moves the servers of the local stack, which take the ${portSpan} ports from ${defaultPortBase} on.`

async function quickstart({ check, kill, scale, port }: RunOptions): Promise<number> {
  const before = runningServices(loadSettings())
  try {
    const { differences, workers } = await runPipelines({ pipelines: quickstartPipelines(''), kill, scale, port })
    if (check) {
      await workers.stopAll()
      console.log(differences === 0 ? '\nquickstart: both ends are equal' : `\nquickstart: ${differences} differences`)
    } else {
      const [url] = workers.urls
      console.log(`
Two workers are running; they are yours to play with:
  status page   ${url}/ui
  connectors    curl -s '${url}/connectors?expand=status'
  stop them     kill ${[...workers.pids().values()].join(' ')}   (the stack: npm run stack -- down)`)
      workers.release()
    }
    return differences === 0 ? 0 : 1
  } finally {
    if (check) {
      const settings = loadSettings()
      await down(
        settings,
        runningServices(settings).filter((name) => !before.includes(name)),
      )
    }
  }
}

await runScript(usage, { port: 8083 }, quickstart)
