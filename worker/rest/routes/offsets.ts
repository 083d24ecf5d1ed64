/** Offsets of a connector (KIP-875); integers are exact in both directions (I6). */
import type { Value } from '../../api/data.ts'
import { stringifyJson } from '../../api/json.ts'
import type { Herder } from '../../cluster/herder.ts'
import { badRequest } from '../errors.ts'
import {
  type Answer,
  exactJson,
  isJsonObject,
  jsonContentType,
  kindOfJson,
  ok,
  param,
  type RestRequest,
  type Route,
} from '../route.ts'

type Offsets = Awaited<ReturnType<Herder['offsets']>>
type Entries = Parameters<Herder['alterOffsets']>[1]

function offsetsValue(offsets: Offsets): Value {
  if (offsets.type === 'source') {
    return { offsets: offsets.offsets.map(({ partition, offset }) => ({ partition, offset })) }
  }
  return {
    offsets: offsets.offsets.map(({ topic, partition, offset }) => ({
      partition: { kafka_topic: topic, kafka_partition: partition },
      offset: offset === null ? null : { kafka_offset: offset },
    })),
  }
}

const entryFields = new Set(['partition', 'offset'])

/** @throws RequestError 400 that names what is wrong with the shape; the worker checks the content by type of connector */
function parseEntries(body: Value): Entries {
  if (!isJsonObject(body)) throw badRequest(`The request body must be a JSON object; got ${kindOfJson(body)}`)
  for (const field of Object.keys(body)) {
    if (field !== 'offsets') throw badRequest(`Unrecognized field "${field}"; the body has only "offsets"`)
  }
  const offsets = body['offsets'] ?? null
  if (offsets !== null && !Array.isArray(offsets))
    throw badRequest(`"offsets" must be an array; got ${kindOfJson(offsets)}`)
  if (offsets === null || offsets.length === 0) {
    throw badRequest('Partitions / offsets need to be provided for an alter offsets request')
  }
  return offsets.map((entry: unknown, index) => {
    if (!isJsonObject(entry)) throw badRequest(`"offsets[${index}]" must be an object; got ${kindOfJson(entry)}`)
    for (const [field, value] of Object.entries(entry)) {
      if (!entryFields.has(field)) {
        throw badRequest(`Unrecognized field "${field}" in "offsets[${index}]"; it has "partition" and "offset"`)
      }
      if (value !== null && !isJsonObject(value)) {
        throw badRequest(`"${field}" in "offsets[${index}]" must be an object or null; got ${kindOfJson(value)}`)
      }
    }
    return { partition: entry['partition'] ?? null, offset: entry['offset'] ?? null }
  })
}

async function read(herder: Herder, request: RestRequest): Promise<Answer> {
  const content = stringifyJson(offsetsValue(await herder.offsets(param(request, 'name'))))
  return { status: 200, text: { contentType: jsonContentType, content } }
}

export const offsetRoutes: readonly Route[] = [
  { method: 'GET', path: '/connectors/:name/offsets', handle: read },
  {
    method: 'PATCH',
    path: '/connectors/:name/offsets',
    handle: async (herder, request) => {
      const entries = parseEntries(exactJson(request))
      return ok({ message: await herder.alterOffsets(param(request, 'name'), entries) })
    },
  },
  {
    method: 'DELETE',
    path: '/connectors/:name/offsets',
    handle: async (herder, request) => ok({ message: await herder.resetOffsets(param(request, 'name')) }),
  },
]
