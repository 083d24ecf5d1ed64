/** `/connectors` and `/connectors/{name}`: list, create, read, update, delete (spec 4.4, 4.7). */
import type { RawConfig } from '../../api/connector.ts'
import { NotFoundError } from '../../api/errors.ts'
import type { ConnectorInfo, Herder } from '../../cluster/herder.ts'
import { javaTrim } from '../../config/config-def.ts'
import { badRequest } from '../errors.ts'
import {
  type Answer,
  configOptions,
  connectorLocation,
  isJsonObject,
  kindOfJson,
  noContent,
  nullableOptions,
  objectBody,
  ok,
  param,
  type RestRequest,
  type Route,
  scalarText,
} from '../route.ts'
import { statusBody } from './status.ts'

type InitialState = Parameters<Herder['putConnector']>[2]['initialState']

const initialStates: ReadonlyMap<string, InitialState> = new Map([
  ['RUNNING', 'STARTED'],
  ['PAUSED', 'PAUSED'],
  ['STOPPED', 'STOPPED'],
])

/** Field order of Connect. */
function infoBody({ name, config, tasks, type }: ConnectorInfo): unknown {
  return { name, config, tasks: tasks.map(({ connector, task }) => ({ connector, task })), type }
}

function created(info: ConnectorInfo): Answer {
  return { status: 201, body: infoBody(info), location: connectorLocation(info.name) }
}

async function list(herder: Herder, request: RestRequest): Promise<Answer> {
  const names = await herder.connectors()
  const expansions = request.query.getAll('expand')
  if (expansions.length === 0) return ok(names)
  const result: Record<string, unknown> = {}
  for (const name of names) {
    try {
      result[name] = {
        ...(expansions.includes('status') ? { status: statusBody(await herder.connectorStatus(name)) } : {}),
        ...(expansions.includes('info') ? { info: infoBody(await herder.connectorInfo(name)) } : {}),
      }
    } catch (error) {
      // Without a status yet, or deleted meanwhile: left out, as in Connect.
      if (!(error instanceof NotFoundError)) throw error
    }
  }
  return ok(result)
}

const knownFields = new Set(['name', 'config', 'initial_state'])

async function create(herder: Herder, request: RestRequest): Promise<Answer> {
  const body = objectBody(request)
  for (const field of Object.keys(body)) {
    if (!knownFields.has(field)) {
      throw badRequest(`Unrecognized field "${field}"; a connector has "name", "config" and "initial_state"`)
    }
  }
  const config = body['config']
  if (!isJsonObject(config))
    throw badRequest(`"config" must be an object of options; got ${kindOfJson(config ?? null)}`)
  const name = javaTrim(scalarText(body['name'], '"name"') ?? '')
  const initialState = parseInitialState(body['initial_state'])
  const { info } = await herder.putConnector(name, named(configOptions(config), name), { replace: false, initialState })
  return created(info)
}

function parseInitialState(value: unknown): InitialState {
  const text = scalarText(value, '"initial_state"')
  if (text === null) return null
  const state = initialStates.get(text.toUpperCase())
  if (state === undefined) throw badRequest(`"initial_state" is "${text}"; use RUNNING, PAUSED or STOPPED`)
  return state
}

/** Fills in the config's own name. @throws RequestError 400 when it is another one */
function named(config: RawConfig, name: string): RawConfig {
  const own = config['name']
  if (own === undefined || own === null) return { ...config, name }
  if (own === name) return config
  throw badRequest(`Connector name configuration (${own}) doesn't match connector name in the URL (${name})`)
}

async function putConfig(herder: Herder, request: RestRequest): Promise<Answer> {
  const name = param(request, 'name')
  const config = named(configOptions(objectBody(request)), name)
  const result = await herder.putConnector(name, config, { replace: true, initialState: null })
  return result.created ? created(result.info) : ok(infoBody(result.info))
}

function isNothing({ body }: RestRequest): boolean {
  return /^\s*(?:null\s*)?$/.test(Buffer.from(body).toString('utf8'))
}

export const connectorRoutes: readonly Route[] = [
  { method: 'GET', path: '/connectors', handle: list },
  { method: 'POST', path: '/connectors', handle: create },
  {
    method: 'GET',
    path: '/connectors/:name',
    handle: async (herder, request) => ok(infoBody(await herder.connectorInfo(param(request, 'name')))),
  },
  {
    method: 'DELETE',
    path: '/connectors/:name',
    handle: async (herder, request) => {
      await herder.deleteConnector(param(request, 'name'))
      return noContent
    },
  },
  {
    method: 'GET',
    path: '/connectors/:name/config',
    handle: async (herder, request) => ok(await herder.connectorConfig(param(request, 'name'))),
  },
  { method: 'PUT', path: '/connectors/:name/config', handle: putConfig },
  {
    method: 'PATCH',
    path: '/connectors/:name/config',
    handle: async (herder, request) => {
      const name = param(request, 'name')
      // No body or a null: Connect looks for the connector first.
      if (isNothing(request)) await herder.connectorConfig(name)
      return ok(infoBody(await herder.patchConnector(name, nullableOptions(objectBody(request)))))
    },
  },
]
