import { DataError, type ErrorContext } from '../../worker/api/errors.ts'
import type { CopyRunner, Outcome } from './copy-runner.ts'
import { classifyStatement, refersToViews } from './errors.ts'
import { type LoadErrorDetail, readLoadErrors } from './load-errors.ts'
import type { FileMessage, PendingFile } from './pending-file.ts'

/** Why a batch cannot be loaded, and which of its files are to blame; none when the warehouse does not say. */
export interface Suspicion {
  readonly reason: string
  /** `s3://` addresses. */
  readonly files: ReadonlySet<string>
  readonly details: readonly LoadErrorDetail[]
}

type Failure = Exclude<Outcome, { kind: 'finished' }>

/** Asks the warehouse about a failed load. */
export async function suspicionOf(
  outcome: Failure,
  runner: CopyRunner,
  waiting: { readonly sleep: (ms: number) => Promise<void>; readonly signal: AbortSignal },
): Promise<Suspicion> {
  if (outcome.kind === 'failed' && classifyStatement(outcome.error) === 'guard') {
    return { reason: 'rows in the files are not as many as the messages say', files: new Set(), details: [] }
  }
  // What the table refuses of rows from a stage is in no view, and waiting for it would take seconds per load.
  const queryId = outcome.kind === 'failed' && refersToViews(outcome.error) ? outcome.queryId : null
  const details = queryId === null ? [] : await readLoadErrors(runner, queryId, waiting)
  return { reason: outcome.error, files: new Set(details.map(({ file }) => file)), details }
}

/** The error of a message whose files cannot be loaded; its text tells the first bad row where that is known. */
export function badData(
  message: FileMessage,
  { table, suspicion, context }: { table: string; suspicion: Suspicion; context: ErrorContext },
): DataError {
  const detail = detailFor(message, suspicion)
  const place = detail === null ? '' : ` line ${detail.line}${detail.column === '' ? '' : `, column ${detail.column}`}`
  const reason = detail === null ? suspicion.reason : detail.reason
  const key = message.files[0]?.key
  return new DataError('CONNECT_REDSHIFT_BAD_DATA', `${key}${place} cannot be loaded into ${table}: ${reason}`, {
    context,
  })
}

/** The error of a message whose file is gone. */
export function missingFile(file: PendingFile, { table, reason }: { table: string; reason: string }): DataError {
  const address = `s3://${file.bucket}/${file.key}`
  return new DataError('CONNECT_REDSHIFT_FILE_MISSING', `${file.key} does not exist: ${reason}`, {
    context: { 'kc.redshift.table': table, 'kc.redshift.file': address, 'kc.redshift.error': reason },
  })
}

/** What a dead letter tells in headers of its own. */
export function loadErrorContext(
  table: string,
  { outcome, suspicion, message }: { outcome: Failure; suspicion: Suspicion; message: FileMessage },
): ErrorContext {
  const detail = detailFor(message, suspicion)
  const context: Record<string, string> = { 'kc.redshift.table': table, 'kc.redshift.error': suspicion.reason }
  if (outcome.kind === 'failed') {
    context['kc.redshift.statement.id'] = outcome.id
    if (outcome.queryId !== null) context['kc.redshift.query.id'] = outcome.queryId
  }
  if (detail === null) return context
  context['kc.redshift.error'] = detail.reason
  context['kc.redshift.file'] = detail.file
  context['kc.redshift.line'] = detail.line
  if (detail.column !== '') context['kc.redshift.column'] = detail.column
  return context
}

function detailFor({ files }: FileMessage, { details }: Suspicion): LoadErrorDetail | null {
  const addresses = new Set(files.map((f) => `s3://${f.bucket}/${f.key}`))
  return details.find(({ file }) => addresses.has(file)) ?? null
}
