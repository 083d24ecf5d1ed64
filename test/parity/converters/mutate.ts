/** A small generator of numbers, so that one salt always gives the same change. */
function randomOf(salt: number): (below: number) => number {
  let state = salt | 1
  return (below) => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d)
    state = (state ^ (state << 13)) | 0
    state ^= state >>> 16
    return (state >>> 0) % below
  }
}

/** Pieces of JSON that a reader may take for something else. */
const pieces = [
  'null',
  '1',
  '-0',
  '1.0',
  '1e2',
  '007',
  '"x"',
  'true',
  '[]',
  '{}',
  'NaN',
  '99999999999',
  '1.5',
  ' ',
  '"NaN"',
]

type Change = (text: string, random: (below: number) => number) => string

const changes: readonly Change[] = [
  // One byte anywhere: mostly no UTF-8, or no JSON, any more.
  (text, random) => {
    const at = random(text.length)
    return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1)
  },
  (text, random) => text.slice(0, random(text.length)),
  (text, random) => text + ' '.repeat(random(2)) + (pieces[random(pieces.length)] as string),
  // One number, word or string for another: still JSON, but often of another type.
  (text, random) => replaceToken(text, random, pieces[random(pieces.length)] as string),
  (text, random) => replaceToken(text, random, ''),
  (text, random) => replaceToken(text, random, String(random(4) * 1000)),
  (text, random) => {
    const at = text.indexOf('"payload":')
    return at < 0 ? text : `${text.slice(0, at + 10)}${pieces[random(pieces.length)] as string}}`
  },
  (text, random) =>
    replaceToken(text, random, ['"int8"', '"int64"', '"string"', '"bytes"', '"none"'][random(5)] as string),
]

const token = /-?\d[\d.eE+-]*|"(?:[^"\\]|\\.)*"|true|false|null/g

function replaceToken(text: string, random: (below: number) => number, by: string): string {
  const found = [...text.matchAll(token)]
  if (found.length === 0) return text + by
  const { index, 0: old } = found[random(found.length)] as RegExpExecArray
  return text.slice(0, index) + by + text.slice(index + old.length)
}

/** The bytes with one change, always the same for one `salt`. */
export function mutate(bytes: Uint8Array, salt: number): Uint8Array {
  const random = randomOf(salt)
  const change = changes[random(changes.length)] as Change
  const text = Buffer.from(bytes).toString('latin1')
  return Buffer.from(text.length === 0 ? 'x' : change(text, random), 'latin1')
}
