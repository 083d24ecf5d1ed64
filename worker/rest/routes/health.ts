/** `GET /health` (KIP-1017): a no-op through the herder's loop tells whether the worker can act. */
import { toError } from '../../api/errors.ts'
import type { Herder } from '../../cluster/herder.ts'
import { type Answer, ok } from '../route.ts'

const messages = {
  healthy: 'Worker has completed startup and is ready to handle requests.',
  starting: 'Worker is still starting up.',
  unhealthy: 'Worker was unable to handle this request and may be unable to handle other requests.',
} as const

/** @param herder null before it exists: the worker is starting */
export async function health(herder: Herder | null, timeoutMs: number): Promise<Answer> {
  if (herder === null) return { status: 503, body: { status: 'starting', message: messages.starting } }
  try {
    await herder.ping(timeoutMs)
    return ok({ status: 'healthy', message: messages.healthy })
  } catch (error) {
    const status = herder.health().status === 'starting' ? 'starting' : 'unhealthy'
    const message = `${messages[status]} ${toError(error).message}`.trim()
    return { status: status === 'starting' ? 503 : 500, body: { status, message } }
  }
}
