/** What workers ask of their leader, signed with the group's session key (KIP-507). */
import type { RawConfig } from '../../api/connector.ts'
import type { RequestSignature } from '../../cluster/herder.ts'
import { badRequest } from '../errors.ts'
import { signatureHeaders } from '../inter-worker-client.ts'
import {
  configOptions,
  isJsonObject,
  jsonArrayBody,
  kindOfJson,
  noContent,
  param,
  type RestRequest,
  type Route,
} from '../route.ts'

/** Null when a header is missing: the herder knows whether the group's protocol asks for a signature. */
function signatureOf(request: RestRequest): RequestSignature | null {
  const algorithm = request.headers[signatureHeaders.algorithm]
  const encoded = request.headers[signatureHeaders.signature]
  if (algorithm === undefined || encoded === undefined) return null
  return { algorithm, signature: decodeBase64(encoded), body: request.body }
}

function decodeBase64(text: string): Uint8Array {
  if (text.length < 2) throw badRequest('Input byte[] should at least have 2 bytes for base64 bytes')
  if (!/^[A-Za-z0-9+/]*={0,2}$/u.test(text)) throw badRequest('The signature is not base64')
  return Buffer.from(text, 'base64')
}

function taskConfigs(request: RestRequest): RawConfig[] {
  return jsonArrayBody(request).map((entry, index) => {
    if (!isJsonObject(entry)) throw badRequest(`Task config ${index} must be an object; got ${kindOfJson(entry)}`)
    return configOptions(entry)
  })
}

export const internalRoutes: readonly Route[] = [
  {
    method: 'POST',
    path: '/connectors/:name/tasks',
    handle: async (herder, request) => {
      const signature = signatureOf(request)
      await herder.putTaskConfigs(param(request, 'name'), taskConfigs(request), signature)
      return noContent
    },
  },
  {
    method: 'PUT',
    path: '/connectors/:name/fence',
    handle: async (herder, request) => {
      await herder.fenceZombieSourceTasks(param(request, 'name'), signatureOf(request))
      return noContent
    },
  },
]
