/** Status, tasks, target states and restarts of one connector (spec 4.5, 4.6, 4.8). */
import { RequestError } from '../../api/errors.ts'
import type { ConnectorStateInfo, Herder, StateInfo } from '../../cluster/herder.ts'
import { httpMessages } from '../errors.ts'
import { type Answer, accepted, flag, noContent, ok, param, type RestRequest, type Route } from '../route.ts'

/** `trace` is left out when there is none; `version` stays, also as null (recorded). `restart` is ours, and optional. */
function stateBody({ state, worker_id, version, trace, restart }: StateInfo): Record<string, unknown> {
  const body = { state, worker_id, version, ...(trace === null || trace === '' ? {} : { trace }) }
  return restart === undefined ? body : { ...body, restart }
}

/** The status document, tasks by id. */
export function statusBody({ name, connector, tasks, type }: ConnectorStateInfo): unknown {
  return {
    name,
    connector: stateBody(connector),
    tasks: [...tasks].sort((a, b) => a.id - b.id).map((task) => ({ id: task.id, ...stateBody(task) })),
    type,
  }
}

type TargetState = Parameters<Herder['setTargetState']>[1]

/** @throws RequestError 404 as for a path that does not exist: task numbers are part of the path's pattern */
function taskNumber(request: RestRequest): number {
  const text = param(request, 'task')
  if (!/^-?\d{1,10}$/u.test(text)) throw new RequestError(404, 'CONNECT_NOT_FOUND', httpMessages[404])
  return Number(text)
}

function target(path: string, state: TargetState, answer: Answer): Route {
  return {
    method: 'PUT',
    path: `/connectors/:name/${path}`,
    handle: async (herder, request) => {
      await herder.setTargetState(param(request, 'name'), state)
      return answer
    },
  }
}

async function restart(herder: Herder, request: RestRequest): Promise<Answer> {
  const connector = param(request, 'name')
  const onlyFailed = flag(request, 'onlyFailed')
  const includeTasks = flag(request, 'includeTasks')
  if (!onlyFailed && !includeTasks) {
    await herder.restartConnector(connector)
    return noContent
  }
  const status = await herder.restartConnectorAndTasks({ connector, onlyFailed, includeTasks })
  return { status: 202, body: statusBody(status) }
}

export const statusRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/connectors/:name/status',
    handle: async (herder, request) => ok(statusBody(await herder.connectorStatus(param(request, 'name')))),
  },
  {
    method: 'GET',
    path: '/connectors/:name/tasks',
    handle: async (herder, request) => {
      const tasks = await herder.tasks(param(request, 'name'))
      return ok(tasks.map(({ id, config }) => ({ id: { connector: id.connector, task: id.task }, config })))
    },
  },
  {
    method: 'GET',
    path: '/connectors/:name/tasks/:task/status',
    handle: async (herder, request) => {
      const id = { connector: param(request, 'name'), task: taskNumber(request) }
      const status = await herder.taskStatus(id)
      return ok({ id: status.id, ...stateBody(status) })
    },
  },
  target('pause', 'PAUSED', accepted),
  target('resume', 'STARTED', accepted),
  target('stop', 'STOPPED', noContent),
  { method: 'POST', path: '/connectors/:name/restart', handle: restart },
  {
    method: 'POST',
    path: '/connectors/:name/tasks/:task/restart',
    handle: async (herder, request) => {
      await herder.restartTask({ connector: param(request, 'name'), task: taskNumber(request) })
      return noContent
    },
  },
]
