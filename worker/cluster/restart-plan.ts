/** Which parts of a connector a restart request concerns (KIP-745). Pure. */
import type { TaskId } from '../runtime/worker-types.ts'
import type { ConnectorStateInfo, RestartRequest } from './herder.ts'
import { taskKey } from './work-set.ts'

export interface RestartPlan {
  readonly restartConnector: boolean
  readonly tasks: readonly TaskId[]
  /** Status with everything that will restart shown as RESTARTING. */
  readonly answer: ConnectorStateInfo
}

export function planRestart(request: RestartRequest, status: ConnectorStateInfo): RestartPlan {
  const concerns = (state: string): boolean => !request.onlyFailed || state === 'FAILED'
  const restartConnector = concerns(status.connector.state)
  const tasks = request.includeTasks ? status.tasks.filter((task) => concerns(task.state)) : []
  const restarting = new Set(tasks.map((task) => task.id))
  return {
    restartConnector,
    tasks: tasks.map(({ id }) => ({ connector: request.connector, task: id })),
    answer: {
      ...status,
      connector: restartConnector ? { ...status.connector, state: 'RESTARTING' } : status.connector,
      // A restarting task still carries the trace of its failure, as in Connect.
      tasks: status.tasks.map((task) => (restarting.has(task.id) ? { ...task, state: 'RESTARTING' } : task)),
    },
  }
}

function impact(request: RestartRequest): number {
  return (request.onlyFailed ? 0 : 2) + (request.includeTasks ? 1 : 0)
}

/** The request with the greater impact, of two for one connector. */
export function greaterRestart(a: RestartRequest, b: RestartRequest): RestartRequest {
  return impact(b) > impact(a) ? b : a
}

export function describePlan(plan: RestartPlan): string {
  return `${plan.restartConnector ? 'the connector' : 'no connector'} and tasks [${plan.tasks.map(taskKey).join(', ')}]`
}
