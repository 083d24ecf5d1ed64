/**
 * Murmur hash as Debezium's PartitionRouting has it: an early draft of MurmurHash3 for 64 bit machines, whose constants
 * change from block to block, with the seed 9001 and of the result the upper half.
 */
const seed = 9001n
const start = { h1: 0x9368e53c2f6af274n ^ seed, h2: 0x586dcd208f7cd3fdn ^ seed }

const wrap = (value: bigint): bigint => BigInt.asUintN(64, value)
const rotate = (value: bigint, bits: bigint): bigint => wrap(value << bits) | (value >> (64n - bits))

/** 32 bits, signed. @param bytes of text its UTF-8 */
export function murmurHash(bytes: Uint8Array): number {
  let { h1, h2 } = start
  let c1 = 0x87c37b91114253d5n
  let c2 = 0x4cf5ad432745937fn
  const mix = (k1: bigint, k2: bigint): void => {
    h1 = wrap((h1 ^ wrap(rotate(wrap(k1 * c1), 23n) * c2)) + h2)
    h2 = wrap((rotate(h2, 41n) ^ wrap(rotate(wrap(k2 * c2), 23n) * c1)) + h1)
    h1 = wrap(h1 * 3n + 0x52dce729n)
    h2 = wrap(h2 * 3n + 0x38495ab5n)
    c1 = wrap(c1 * 5n + 0x7b7d159cn)
    c2 = wrap(c2 * 5n + 0x6bce6396n)
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const tail = bytes.length - (bytes.length % 16)
  for (let at = 0; at < tail; at += 16) mix(view.getBigUint64(at, true), view.getBigUint64(at + 8, true))
  if (tail < bytes.length) mix(signedTail(view, tail), signedTail(view, tail + 8))
  h2 ^= BigInt(bytes.length)
  h1 = wrap(h1 + h2)
  h2 = wrap(h2 + h1)
  h1 = finish(h1)
  h2 = finish(h2)
  return Number(BigInt.asIntN(32, wrap(h1 + h2) >> 32n))
}

/** Up to eight bytes that are left over, each with its sign, as Java widens them. */
function signedTail(view: DataView, start: number): bigint {
  let word = 0n
  const end = Math.min(view.byteLength, start + 8)
  for (let at = start; at < end; at++) word ^= wrap(BigInt(view.getInt8(at)) << BigInt(8 * (at - start)))
  return word
}

function finish(value: bigint): bigint {
  let mixed = wrap((value ^ (value >> 33n)) * 0xff51afd7ed558ccdn)
  mixed = wrap((mixed ^ (mixed >> 33n)) * 0xc4ceb9fe1a85ec53n)
  return mixed ^ (mixed >> 33n)
}
