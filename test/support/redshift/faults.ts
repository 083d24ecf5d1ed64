import { randomUUID } from 'node:crypto'
import { type JsonObject, numberMember, requiredString, stringMember, validationError } from './protocol.ts'

/** What can be made to go wrong. */
export const faultKinds = [
  /** The request is carried out, its response never arrives. */
  'drop-response',
  /** The request is carried out, its response arrives `delayMs` later: the client has given up by then. */
  'late-response',
  /** The request waits `delayMs` before it is looked at. */
  'delay',
  'throttle',
  'active-statements',
  'internal-error',
  'expired-token',
  /** The statement runs and commits, DescribeStatement says ABORTED. */
  'abort-though-committed',
  /** Everything runs, the commit fails and all is rolled back. */
  'fail-commit',
  /** The statement fails with Redshift's serializable isolation violation. */
  'serializable-violation',
  /** The statement starts `delayMs` later (a paused serverless workgroup). */
  'slow-start',
] as const
export type FaultKind = (typeof faultKinds)[number]

/** A fault that is armed; each match uses up one of `remaining`. */
export interface Fault {
  readonly id: string
  readonly kind: FaultKind
  /** Operation it applies to; null = any. Faults of statements ignore it. */
  readonly operation: string | null
  /** Cluster or workgroup it applies to; null = any. Tests use names of their own and so do not meet. */
  readonly owner: string | null
  /** Text that must occur in the SQL; null = any. */
  readonly sqlContains: string | null
  readonly delayMs: number
  remaining: number
}

/** What a fault is matched against. */
export interface FaultScope {
  readonly operation?: string
  readonly owner: string | null
  readonly sql: string
}

/** The armed faults. */
export class Faults {
  #armed: Fault[] = []

  /** Arms a fault from an admin request: kind, operation?, owner?, sqlContains?, delayMs?, count? (default 1). */
  arm(input: JsonObject): Fault {
    const kind = faultKinds.find((candidate) => candidate === requiredString(input, 'kind'))
    if (kind === undefined) throw validationError(`kind must be one of ${faultKinds.join(', ')}`)
    const fault: Fault = {
      id: randomUUID(),
      kind,
      operation: stringMember(input, 'operation') ?? null,
      owner: stringMember(input, 'owner') ?? null,
      sqlContains: stringMember(input, 'sqlContains') ?? null,
      delayMs: numberMember(input, 'delayMs') ?? 0,
      remaining: numberMember(input, 'count') ?? 1,
    }
    this.#armed.push(fault)
    return fault
  }

  /** The armed faults that are not used up. */
  list(): readonly Fault[] {
    return this.#armed
  }

  /** Disarms the faults of one owner, or all. */
  clear(owner: string | null): void {
    this.#armed = owner === null ? [] : this.#armed.filter((fault) => fault.owner !== owner)
  }

  /** Takes one use of the first armed fault of these kinds that fits. */
  take(kinds: readonly FaultKind[], scope: FaultScope): Fault | null {
    const fault = this.#armed.find(
      (candidate) =>
        kinds.includes(candidate.kind) &&
        (candidate.operation === null || scope.operation === undefined || candidate.operation === scope.operation) &&
        (candidate.owner === null || candidate.owner === scope.owner) &&
        (candidate.sqlContains === null || scope.sql.includes(candidate.sqlContains)),
    )
    if (fault === undefined) return null
    fault.remaining -= 1
    if (fault.remaining <= 0) this.#armed = this.#armed.filter((candidate) => candidate !== fault)
    return fault
  }
}
