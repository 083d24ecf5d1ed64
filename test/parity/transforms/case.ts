import type { ConnectRecord } from '../../../worker/api/record.ts'
import type { Config, Subject } from './connect-cases.ts'

/** One plugin with one config, and the record that it gets. */
export interface Case {
  readonly subject: Subject
  readonly config: Config
  readonly record: ConnectRecord
}

/** What a plugin made of a record, as text that is equal for equal outcomes. */
export type Outcome =
  | { readonly kind: 'refused'; readonly message: string; readonly problems: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'result'; readonly text: string }

/** What ours and Java's made of the same case, where that is not equal. */
export interface Difference {
  readonly case: Case
  readonly ours: Outcome
  readonly java: Outcome
}
