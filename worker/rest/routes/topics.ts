import { RequestError } from '../../api/errors.ts'
import { accepted, ok, param, type Route } from '../route.ts'

export interface TopicTracking {
  /** `topic.tracking.enable`. */
  readonly enabled: boolean
  /** `topic.tracking.allow.reset`. */
  readonly resetAllowed: boolean
}

/** Active topics of a connector (KIP-558). */
export function topicRoutes({ enabled, resetAllowed }: TopicTracking): readonly Route[] {
  const refuse = (message: string): never => {
    throw new RequestError(403, 'CONNECT_REQUEST_INVALID', message)
  }
  return [
    {
      method: 'GET',
      path: '/connectors/:name/topics',
      handle: async (herder, request) => {
        if (!enabled) refuse('Topic tracking is disabled.')
        const name = param(request, 'name')
        return ok({ [name]: { topics: await herder.activeTopics(name) } })
      },
    },
    {
      method: 'PUT',
      path: '/connectors/:name/topics/reset',
      handle: async (herder, request) => {
        if (!enabled) refuse('Topic tracking is disabled.')
        if (!resetAllowed) refuse('Topic tracking reset is disabled.')
        await herder.resetActiveTopics(param(request, 'name'))
        return accepted
      },
    },
  ]
}
