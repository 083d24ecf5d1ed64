/** Levels of loggers at run time (KIP-495, KIP-976). */
import { NotFoundError } from '../../api/errors.ts'
import type { Herder, LoggerLevel } from '../../cluster/herder.ts'
import { javaTrim } from '../../config/config-def.ts'
import { parseLogLevel } from '../../util/log.ts'
import { badRequest } from '../errors.ts'
import { type Answer, noContent, objectBody, ok, param, type RestRequest, type Route, scalarText } from '../route.ts'

function namespaceOf(request: RestRequest): string {
  const name = param(request, 'logger')
  return name.toLowerCase() === 'root' ? 'root' : name
}

function body({ level, last_modified }: LoggerLevel): unknown {
  return { level, last_modified }
}

async function list(herder: Herder): Promise<Answer> {
  const entries = [...herder.loggers()].filter(([, { level }]) => level !== 'OFF')
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return ok(Object.fromEntries(entries.map(([name, level]) => [name, body(level)])))
}

async function read(herder: Herder, request: RestRequest): Promise<Answer> {
  const level = herder.loggers().get(namespaceOf(request))
  if (level === undefined) throw new NotFoundError(`Logger ${param(request, 'logger')} not found.`)
  return ok(body(level))
}

async function change(herder: Herder, request: RestRequest): Promise<Answer> {
  const text = scalarText(objectBody(request)['level'], '"level"')
  if (text === null) throw badRequest("Desired 'level' parameter was not specified in request.")
  const level = parseLogLevel(javaTrim(text))
  if (level === null) throw new NotFoundError(`invalid log level '${text}'.`)
  // An unknown scope means this worker, as in Connect.
  const scope = request.query.get('scope')?.toLowerCase() === 'cluster' ? 'cluster' : 'worker'
  const changed = await herder.setLoggerLevel(namespaceOf(request), level, scope)
  return scope === 'cluster' ? noContent : ok([...changed].sort())
}

export const loggerRoutes: readonly Route[] = [
  { method: 'GET', path: '/admin/loggers', handle: list },
  { method: 'GET', path: '/admin/loggers/:logger', handle: read },
  { method: 'PUT', path: '/admin/loggers/:logger', handle: change },
]
