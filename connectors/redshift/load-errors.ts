import { kindOf } from '../../worker/api/errors.ts'
import type { CopyRunner } from './copy-runner.ts'
import { literal } from './sql.ts'

/** One row that COPY refused, as the system views tell; texts without the padding of CHAR. */
export interface LoadErrorDetail {
  readonly file: string
  readonly line: string
  readonly column: string
  readonly code: string
  readonly reason: string
}

/** Serverless and newer clusters have the first view, older ones the second. */
const views: readonly ((queryId: string) => string)[] = [
  (id) =>
    'SELECT file_name, line_number::VARCHAR, column_name, error_code::VARCHAR, error_message FROM sys_load_error_detail ' +
    `WHERE query_id = ${id} ORDER BY start_time`,
  (id) =>
    'SELECT filename, line_number::VARCHAR, colname, err_code::VARCHAR, err_reason FROM stl_load_errors ' +
    `WHERE query = ${id} ORDER BY starttime`,
]
/** The views fill with a delay; a moment of patience saves many loads of a search by halving. */
const looks = 3
const pauseMs = 500

/**
 * What the warehouse says of the rows that made a COPY fail; empty when it says nothing (the principal may not read
 * the views, or they are late): then the text of the error is all there is.
 */
export async function readLoadErrors(
  runner: CopyRunner,
  queryId: string,
  { sleep, signal }: { readonly sleep: (ms: number) => Promise<void>; readonly signal: AbortSignal },
): Promise<readonly LoadErrorDetail[]> {
  const id = /^\d+$/.test(queryId) ? queryId : literal(queryId)
  for (const view of views) {
    try {
      for (let look = 1; look <= looks && !signal.aborted; look++) {
        const rows = await runner.query(view(id), signal)
        if (rows.length > 0) return rows.map(detailOf)
        if (look < looks) await sleep(pauseMs)
      }
    } catch (error) {
      // A view that is not there, or not for us: the next one, or none.
      if (kindOf(error) !== 'fatal') throw error
    }
  }
  return []
}

function detailOf(row: readonly unknown[]): LoadErrorDetail {
  const [file = '', line = '', column = '', code = '', reason = ''] = row.map((field) =>
    field === null ? '' : String(field).trim(),
  )
  return { file, line, column, code, reason }
}
