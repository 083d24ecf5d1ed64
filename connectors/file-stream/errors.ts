import { ConnectError, defineErrorCodes, RetriableError, toError } from '../../worker/api/errors.ts'

export const fileStreamErrorCodes = defineErrorCodes({
  CONNECT_FILE_IO: {
    meaning: 'Reading or writing the file failed.',
    remedy:
      'Check that the file exists, with the rights of the worker, on the machine where the task runs; restart it.',
  },
  CONNECT_FILE_BUSY: {
    meaning: 'The system could not serve the file at this moment; the call is repeated.',
    remedy: 'If it stays, raise the limit of open files, or make room on the disk.',
  },
  CONNECT_FILE_OFFSET: {
    meaning: 'An offset of this connector is not a position in a file.',
    remedy: 'Correct or reset it over the offsets API, while the connector is stopped.',
  },
})

/** Why each is retriable: the same call works once descriptors or disk space are there again. */
const transient: ReadonlySet<string> = new Set(['EAGAIN', 'EBUSY', 'EMFILE', 'ENFILE', 'ENOSPC', 'EDQUOT'])

/** What the framework is to do about a failure of the file system, by its `errno` name. */
export function classify(error: unknown, file: string, attempted: string): ConnectError {
  const code = errnoOf(error)
  const message = `${attempted} ${file} failed: ${toError(error).message}`
  const options = { cause: error, context: { file, errno: code } }
  if (code !== null && transient.has(code)) return new RetriableError('CONNECT_FILE_BUSY', message, options)
  return new ConnectError('fatal', 'CONNECT_FILE_IO', message, options)
}

/** `ENOENT`, … of a file system error; null for any other value. */
export function errnoOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}

export function offsetError(message: string): ConnectError {
  return new ConnectError('fatal', 'CONNECT_FILE_OFFSET', message)
}
