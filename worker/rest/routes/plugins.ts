/** What is installed, its options, and validation of configs (spec 4.10, 4.11). */
import type { Herder } from '../../cluster/herder.ts'
import { versionProblem } from '../../config/plugin-versions.ts'
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
    const versions = herder.plugins(false).flatMap((p) => (p.class === info?.class ? [p.version] : []))
    const problem = info === undefined ? null : problemOf(info.class, wanted, versions)
    if (problem !== null) throw badRequest(problem)
  }
  return ok(keys)
}

function problemOf(plugin: string, wanted: string, available: readonly string[]): string | null {
  try {
    return versionProblem(plugin, wanted, available)
  } catch {
    return `Invalid version specification: ${wanted}`
  }
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
