import { DataError } from '../../../worker/api/errors.ts'
import { javaClass } from '../../../worker/api/values.ts'
import { type ByteTarget, type FormatInput, LineEncoder, type RecordEncoder, type RecordFormat } from './format.ts'

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

  open(out: ByteTarget): RecordEncoder {
    return new LineEncoder(out, (input, target) => this.#write(input, target))
  }

  #write({ schema, value }: FormatInput, out: ByteTarget): void {
    if (!(value instanceof Uint8Array)) {
      // In the words of Java's converter, which the reference writes with: what reads a DLQ may know them.
      const message =
        schema === null
          ? `ByteArrayConverter is not compatible with objects of type ${javaClass(value)}`
          : `Invalid schema type for ByteArrayConverter: ${schema.type}`
      throw new DataError('CONNECT_S3_VALUE_NOT_BYTES', message)
    }
    out.bytes(value)
    out.text(this.#separator)
  }
}
