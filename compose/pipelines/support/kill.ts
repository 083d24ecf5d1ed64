import type { PipelineRun } from './pipeline.ts'

// One after the other: two pipelines of one run may want to kill at the same moment.
let queue: Promise<void> = Promise.resolve()

/** SIGKILL of the worker that runs task 0 of a connector; it is started again at once, as a supervisor would. */
export function killWorkerOf(run: PipelineRun, connector: string): Promise<void> {
  queue = queue.then(async () => {
    const status = await run.connect.status(connector)
    const owner = status.tasks[0]?.worker_id ?? status.connector.worker_id
    const port = Number(owner.split(':')[1])
    run.step(`kills worker ${owner} (SIGKILL), which runs ${connector}-0`)
    await run.workers.kill(port)
    await run.workers.start(port)
    run.step(`worker ${owner} is back`)
  })
  return queue
}
