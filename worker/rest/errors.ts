/** Errors of any part of the worker → status and body of Connect's REST API; the only place where this is decided. */
import { ConfigError, ConnectError, defineErrorCodes, NotLeaderError, RequestError, toError } from '../api/errors.ts'
import { invalidConfigText } from '../config/config-infos.ts'

export const restErrorCodes = defineErrorCodes({
  CONNECT_NOT_FOUND: {
    meaning: 'The connector, task, plugin or logger that the request names does not exist.',
    remedy: 'Check the name; `GET /connectors` and `GET /connector-plugins` list what there is.',
  },
  CONNECT_ALREADY_EXISTS: {
    meaning: 'A connector of this name exists.',
    remedy: 'Replace its config with `PUT /connectors/{name}/config`, or choose another name.',
  },
  CONNECT_REBALANCE_IN_PROGRESS: {
    meaning: 'The group of workers is about to share out connectors and tasks anew.',
    remedy: 'Send the request again after a moment.',
  },
  CONNECT_NOT_LEADER: {
    meaning: 'Only the leader, or the owner of a task, may do this, and the request could not be forwarded to it.',
    remedy: 'Send the request again after a moment, or to the leader; check `rest.advertised.*` of the workers.',
  },
  CONNECT_REQUEST_INVALID: {
    meaning: 'Body, path or headers of the request are not what this endpoint takes.',
    remedy: 'Correct what the message names.',
  },
  CONNECT_REQUEST_TIMEOUT: {
    meaning: 'The worker did not answer within the time for a request; the message tells what it was busy with.',
    remedy: 'Look into what the message names; the request may still be carried out.',
  },
  CONNECT_FORWARD_FAILED: {
    meaning: 'The request was forwarded to another worker, which could not be reached or gave no usable answer.',
    remedy: 'Check that the workers reach each other at the URLs of `rest.advertised.*`, and their TLS options.',
  },
  CONNECT_TLS_CONFIG: {
    meaning: 'Key or certificates of a listener cannot be used.',
    remedy: 'Give PEM (`ssl.keystore.type=PEM`) or PKCS12 files with their passwords.',
  },
})

export interface ErrorAnswer {
  readonly status: number
  readonly message: string
}

/** A request that is not what the endpoint takes: 400. Java's Connect answers 500 to some of these. */
export function badRequest(message: string): RequestError {
  return new RequestError(400, 'CONNECT_REQUEST_INVALID', message)
}

/** Status and message for any caught value. Unknown errors are 500 with their message, as in Connect. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof NotLeaderError) return { status: 409, message: conflictMessage }
  if (error instanceof RequestError) return { status: error.status, message: error.message }
  if (error instanceof ConfigError) {
    const messages = error.problems.map((problem) => problem.message)
    return { status: 400, message: invalidConfigText(error.problems.length, messages) }
  }
  if (error instanceof ConnectError) return { status: error.kind === 'config' ? 400 : 500, message: error.message }
  const { message } = toError(error)
  return { status: 500, message: message === '' ? 'The request failed; the log of the worker tells why' : message }
}

export const conflictMessage = 'Cannot complete request because of a conflicting operation (e.g. worker rebalance)'

/** JAX-RS's texts for what no route answers. */
export const httpMessages: Readonly<Record<404 | 405 | 406 | 415, string>> = {
  404: 'HTTP 404 Not Found',
  405: 'HTTP 405 Method Not Allowed',
  406: 'HTTP 406 Not Acceptable',
  415: 'HTTP 415 Unsupported Media Type',
}

export function errorBody({ status, message }: ErrorAnswer): string {
  return JSON.stringify({ error_code: status, message })
}
