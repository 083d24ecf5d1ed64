import { DataError } from '../../api/errors.ts'

/** Bytes before the data: the magic byte and the id of the schema. */
export const frameBytes = 5

/** Id of the schema that a message was written under. @throws DataError when it is not framed */
export function schemaIdOf(bytes: Uint8Array): number {
  if (bytes.length >= frameBytes && bytes[0] === 0) {
    const [, a = 0, b = 0, c = 0, d = 0] = bytes
    return (a << 24) | (b << 16) | (c << 8) | d
  }
  throw new DataError('CONNECT_REGISTRY_FRAME', 'Unknown magic byte: the message has no schema id of a registry', {
    context: { bytes: bytes.length },
  })
}

/** Magic byte, id, and what the format puts before its data. */
export function frameOf(id: number, head: Uint8Array): Uint8Array {
  const frame = Buffer.alloc(frameBytes + head.length)
  frame.writeInt32BE(id, 1)
  frame.set(head, frameBytes)
  return frame
}
