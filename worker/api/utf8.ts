import { isUtf8 } from 'node:buffer'

/** Text of UTF-8 bytes, a byte order mark included; null for bytes that are not UTF-8 (I6). */
export function decodeUtf8(bytes: Uint8Array): string | null {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const text = buffer.toString('utf8')
  // What decoding puts in the place of other bytes may also have been written.
  return text.includes('\ufffd') && !isUtf8(bytes) ? null : text
}
