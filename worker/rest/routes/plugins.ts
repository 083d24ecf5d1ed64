/** What is installed, its options, and validation of configs (spec 4.10, 4.11). */
import type { Herder } from '../../cluster/herder.ts'
import { versionProblem } from '../../config/connector-config.ts'
import { badRequest } from '../errors.ts'
import { type Answer, configOptions, flag, objectBody, ok, param, type RestRequest, type Route } from '../route.ts'

async function list(herder: Herder, request: RestRequest): Promise<Answer> {
  return ok(herder.plugins(flag(request, 'connectorsOnly', true)))
}

async function config(herder: Herder, request: RestRequest): Promise<Answer> {
  const name = param(request, 'name')
  const keys = await herder.pluginConfig(name)
  const wanted = request.query.get('version')
  if (wanted !== null) {
    // The simple name, or a part of it, is enough to name a plugin.
    const info = herder.plugins(false).find((p) => p.class === name || lastPart(p.class).startsWith(lastPart(name)))
    const problem = info === undefined ? null : versionProblem(info.class, wanted, info.version)
    if (problem !== null) throw badRequest(problem)
  }
  return ok(keys)
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

function withoutSuffix(name: string): string {
  return name.length > 'Connector'.length && name.endsWith('Connector') ? name.slice(0, -'Connector'.length) : name
}

async function validate(herder: Herder, request: RestRequest): Promise<Answer> {
  const plugin = param(request, 'name')
  const options = configOptions(objectBody(request))
  const included = options['connector.class'] ?? null
  // Connect compares the ends, so the simple name in the path will do for a full name in the body, not vice versa.
  if (included !== null && !withoutSuffix(included).endsWith(withoutSuffix(plugin))) {
    throw badRequest(`Included connector type ${included} does not match request type ${plugin}`)
  }
  return ok(await herder.validate(options))
}

export const pluginRoutes: readonly Route[] = [
  { method: 'GET', path: '/connector-plugins', handle: list },
  { method: 'GET', path: '/connector-plugins/:name/config', handle: config },
  { method: 'PUT', path: '/connector-plugins/:name/config/validate', handle: validate },
]
