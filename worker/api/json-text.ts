/**
 * JSON string literals into a `ByteWriter`. A text is checked and copied in one loop; the first character that takes
 * more than a backslash sends the whole text to `quoteJson`, with nothing written yet.
 */
import type { ByteWriter } from './converter.ts'
import { quoteJson } from './json.ts'

const quote = 0x22
const escape = 0x5c
/** From this byte on: the lead of a character that is written as two escapes. */
const beyondBasicPlane = 0xf0

/** Longest string that is copied character by character; longer ones are left to native code. */
const shortText = 40

/** A JSON string literal, as `quoteJson`. */
export function writeJsonString(text: string, out: ByteWriter): void {
  const { length } = text
  if (length > shortText) {
    out.utf8(quoteJson(text))
    return
  }
  const target = out.reserve(2 * length + 2)
  const start = out.length
  let at = start
  target[at++] = quote
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e) {
      out.utf8(quoteJson(text))
      return
    }
    if (code === quote || code === escape) target[at++] = escape
    target[at++] = code
  }
  target[at++] = quote
  out.advance(at - start)
}

/** Longest UTF-8 text that room is reserved for as if every byte were escaped. */
const mediumText = 8 * 1024

/** A JSON string literal from UTF-8 text that is not escaped yet; the same bytes as `writeJsonString`. */
export function writeJsonUtf8(bytes: Uint8Array, start: number, end: number, out: ByteWriter): void {
  if (end - start > mediumText) {
    writeLongUtf8(bytes, start, end, out)
    return
  }
  const target = out.reserve(2 * (end - start) + 2)
  const mark = out.length
  let at = mark
  target[at++] = quote
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number
    if (byte < 0x20 || byte >= beyondBasicPlane) {
      out.utf8(quoteJson(textOf(bytes, start, end)))
      return
    }
    if (byte === quote || byte === escape) target[at++] = escape
    target[at++] = byte
  }
  target[at++] = quote
  out.advance(at - mark)
}

function writeLongUtf8(bytes: Uint8Array, start: number, end: number, out: ByteWriter): void {
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number
    if (byte < 0x20 || byte === quote || byte === escape || byte >= beyondBasicPlane) {
      out.utf8(quoteJson(textOf(bytes, start, end)))
      return
    }
  }
  out.byte(quote)
  out.bytes(bytes, start, end)
  out.byte(quote)
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8')
}

/** Bytes, as base64 in a JSON string literal. */
export function writeBase64(bytes: Uint8Array, out: ByteWriter): void {
  out.byte(0x22)
  out.ascii(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'))
  out.byte(0x22)
}
