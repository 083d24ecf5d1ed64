/** What is installed, its options, and validation of configs (spec 4.10, 4.11). */
import type { Herder } from '../../cluster/herder.ts'
import { versionRequirement } from '../../config/plugin-versions.ts'
import { badRequest } from '../errors.ts'
import { type Answer, configOptions, flag, objectBody, ok, param, type RestRequest, type Route } from '../route.ts'

async function list(herder: Herder, request: RestRequest): Promise<Answer> {
  return ok(herder.plugins(flag(request, 'connectorsOnly', true)))
}

async function config(herder: Herder, request: RestRequest): Promise<Answer> {
  const wanted = request.query.get('version')
  try {
    versionRequirement(wanted)
  } catch {
    throw badRequest(`Invalid version specification: ${wanted}`)
  }
  return ok(await herder.pluginConfig(param(request, 'name'), wanted))
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
