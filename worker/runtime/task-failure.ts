/** What a failed task tells about its failure beside the trace, and whether another start may help. */
import { kindOf, toError } from '../api/errors.ts'

/** Plain data: it crosses threads. */
export interface TaskFailure {
  /** Stable code of the reference; `CONNECT_TASK_ERROR` for an error that carries none. */
  readonly code: string
  /** Messages of the error and its causes. */
  readonly reason: string
  /** A start later on may succeed, with nothing changed. */
  readonly isTransient: boolean
}

/** Refused connections and the like: the other side is away for now. */
const transientSystemErrors: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EAI_AGAIN',
])

/** Codes of a thread that ended by itself: they name the cause. */
export const threadEndCodes: ReadonlySet<string> = new Set([
  'CONNECT_HOST_EXITED',
  'CONNECT_HOST_MEMORY',
  'CONNECT_HOST_UNCAUGHT',
])

/**
 * Codes that say by themselves that a new start may help: the thread is gone, with whatever state it was in, or the
 * transaction is, and a new one goes on at the last committed offset.
 */
const transientCodes: ReadonlySet<string> = new Set([
  ...threadEndCodes,
  'CONNECT_HOST_GONE',
  'CONNECT_TASK_BLOCKED',
  'CONNECT_TRANSACTION_EXPIRED',
])

const maxCauses = 10

/**
 * Judged by kinds and codes along the causes, never by texts. A record, batch or config error anywhere makes the same
 * trouble again, so it is not transient; neither is what nobody has classified.
 */
export function failureOf(error: unknown): TaskFailure {
  const chain = causesOf(error)
  const codes = chain.map(codeOf)
  const code = codes.find((found) => found?.startsWith('CONNECT_')) ?? 'CONNECT_TASK_ERROR'
  const reason = chain.map(({ message }) => message).join(': ')
  if (transientCodes.has(code)) return { code, reason, isTransient: true }
  const kinds = chain.map(kindOf)
  const isPoison = kinds.some((kind) => kind !== 'retriable' && kind !== 'fatal')
  const isAway =
    kinds.includes('retriable') || codes.some((found) => found !== null && transientSystemErrors.has(found))
  return { code, reason, isTransient: isAway && !isPoison }
}

function causesOf(error: unknown): readonly Error[] {
  const chain: Error[] = []
  for (let at: unknown = error; at !== undefined && chain.length < maxCauses; ) {
    const found = toError(at)
    chain.push(found)
    at = found.cause
  }
  return chain
}

function codeOf(error: Error): string | null {
  return 'code' in error && typeof error.code === 'string' ? error.code : null
}
