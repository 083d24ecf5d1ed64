import { DataError } from '../../../worker/api/errors.ts'
import type { ByteTarget, FormatInput, RecordFormat } from './format.ts'

/** Raw bytes, each record followed by the separator; works with a ByteArrayConverter only. */
export class ByteArrayFormat implements RecordFormat {
  readonly name = 'bytes'
  readonly extension: string
  readonly #separator: string

  /** `separator` is taken as it is, white space included. */
  constructor(extension: string, separator: string) {
    this.extension = extension
    this.#separator = separator
  }

  write({ value }: FormatInput, out: ByteTarget): void {
    if (!(value instanceof Uint8Array)) {
      throw new DataError(
        'CONNECT_S3_VALUE_NOT_BYTES',
        'ByteArrayFormat writes bytes only: set the converter to org.apache.kafka.connect.converters.ByteArrayConverter',
      )
    }
    out.bytes(value)
    out.text(this.#separator)
  }
}
