/**
 * What the recording leaves out of its requests (`test/conformance/golden/rest/`): header fields, the ends of bodies
 * that were cut at 300 characters, and which requests are repeated until the cluster has got that far.
 */
import type { RecordedStep } from '../../conformance/rest-golden.ts'

/** Length at which the recording cuts bodies. */
const cutLength = 300

const stopped = '"STOPPED"}'

/** What stands behind the 300th character. */
const cutEnds: Readonly<Record<string, string>> = {
  'validate.transform-two': '$Value", "transforms.b.static.field": "g", "transforms.b.static.value": "1"}',
  'validate.predicate-ok': 'ransforms.a.predicate": "p", "transforms.a.negate": "true", "predicates.p.pattern": "t.*"}',
  'validate.predicate-missing': 'ransforms.a.predicate": "p"}',
  'validate.predicate-bad-pattern': 'ransforms.a.predicate": "p", "predicates.p.pattern": "("}',
  'validate.predicate-undefined': 'ransforms.a.predicate": "other", "predicates.p.pattern": "t"}',
  'validate.predicate-negate-bad':
    'ransforms.a.predicate": "p", "transforms.a.negate": "x", "predicates.p.pattern": "t"}',
  'validate.predicate-tombstone': 'redicates.RecordIsTombstone"}',
  'create.name-mismatch': 'b"}}',
  'create.bad-initial-state': '"foo"}',
  'create.charset': `ate": ${stopped}`,
  'create.forward-false': `: ${stopped}`,
  'create.stopped': `ate": ${stopped}`,
  'create.stopped-lower': '-TOKEN-stopped2"}, "initial_state": "stopped"}',
  'create.paused': 'tate": "PAUSED"}',
  'create.running': '": "RUNNING"}',
  'create.trimmed': `itial_state": ${stopped}`,
  'create.numbers': `x.bool": true, "x.float": 1.5, "x.null-free": "y"}, "initial_state": ${stopped}`,
  'create.initial-state-null': 'l_state": null}',
  'names.space-create': `: ${stopped}`,
  'names.unicode-create': `al_state": ${stopped}`,
  'names.plus-create': `: ${stopped}`,
  'names.dots-create': `": ${stopped}`,
  'names.quote-create': `": ${stopped}`,
  'names.question-create': `: ${stopped}`,
  'names.colon-create': `: ${stopped}`,
  'names.semicolon-create': `: ${stopped}`,
  'delete.recreate': `: ${stopped}`,
}

/** The whole body of a step; undefined: it has none. @throws Error when the recording cut it and its end is not known */
export function requestBody(step: RecordedStep): string | undefined {
  const { request } = step
  if (request === undefined || request.length < cutLength) return request
  const end = cutEnds[step.id]
  if (end === undefined) throw new Error(`${step.id}: the recording holds ${cutLength} characters of its body only`)
  const body = request + end
  JSON.parse(body)
  return body
}

const signature = (algorithm: string, value: string): Readonly<Record<string, string>> => ({
  'x-connect-authorization': value,
  'x-connect-request-signature-algorithm': algorithm,
})

const specialHeaders: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'root.wadl': { accept: '*/*' },
  'root.openapi': { accept: '*/*' },
  'root.accept-any': { accept: '*/*' },
  'root.accept-html': { accept: 'text/html' },
  'create.charset': { 'content-type': 'application/json; charset=utf-8' },
  'config.patch-merge-ct': { 'content-type': 'application/merge-patch+json' },
  'internal.tasks-bad-algorithm': signature('HmacFoo', 'AAAA'),
  'internal.tasks-other-algorithm': signature('HmacSHA1', 'AAAA'),
  'internal.tasks-bad-base64': signature('HmacSHA256', '*'),
  'internal.tasks-bad-signature': signature('HmacSHA256', 'AAAA'),
  'internal.fence-bad-signature': signature('HmacSHA256', 'AAAA'),
}

const plainText = /(text-plain|-text|\.text)$/u

/** Header fields of a step's request. */
export function requestHeaders(step: RecordedStep): Record<string, string> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (step.request !== undefined && step.id !== 'create.no-content-type') {
    headers['content-type'] = plainText.test(step.id) ? 'text/plain' : 'application/json'
  }
  return { ...headers, ...specialHeaders[step.id] }
}

/** States that a worker reaches in its own time: statuses, active topics, lists, committed positions. */
const laterStates: readonly RegExp[] = [
  /^(create|config|restart)\..*-status$/u,
  /^create\.source-running$/u,
  /^names\..*-status$/u,
  /^list\.(plain|status)$/u,
  /^read\.(info|tasks|sink-info|sink-tasks|topics|sink-topics|topics-after)$/u,
  /^state\.(running-first|paused|paused-still|resumed|paused2|stopped|stopped-task-status)$/u,
  /^state\.(.*-status|stopped-3)$/u,
  /^restart\.failing-(again|task-again|paused|resumed|fixed)$/u,
  /^offsets\.(source-get|stopped|source-stopped-get|resumed|source-reread)$/u,
  /^offsets\.(sink-get|sink-paused|sink-stopped|sink-stopped-get|sink-reread)$/u,
  /^loggers\.scope-cluster-get$/u,
  /^delete\.(source-status|recreate-status|recreate-offsets|all-gone)$/u,
]

/** Whether the recording repeated a request until the answer was this one. */
export function isAwaited(step: RecordedStep): boolean {
  return laterStates.some((pattern) => pattern.test(step.id))
}

/** Requests that look for what must *not* have happened: the second before them gives it time to happen. */
export const settled: ReadonlySet<string> = new Set([
  'config.put-get',
  'state.paused-still',
  'state.restart-stopped-status',
  'state.put-stopped-status',
  'restart.tasks-status',
  'restart.upper-status',
  'restart.failing-again',
])

/** Connectors that are deleted, unrecorded, before the section `list`. */
export const deletedBeforeList: readonly string[] = ['charset', 'fwd', 'trim', 'num', 'stopped2', 'nullstate']
