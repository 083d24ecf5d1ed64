/**
 * Keys of incremental snapshots as Debezium keeps them in offsets: hexadecimal text of a Java-serialised `Object[]`.
 * Written and read for Integer, Long, String and UUID, so that either implementation continues the other's work.
 * @see Java Object Serialization Specification, section 6 (stream protocol)
 */
export type JavaValue =
  | { readonly type: 'int'; readonly value: number }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'uuid'; readonly value: string }
  | null

const arrayHead = 'aced0005757200135b4c6a6176612e6c616e672e4f626a6563743b90ce589f1073296c0200007870'
const nullArray = 'aced000570'
const numberDesc = '7200106a6176612e6c616e672e4e756d62657286ac951d0b94e08b0200007870'
const integerDesc = '7200116a6176612e6c616e672e496e746567657212e2a0a4f781873802000149000576616c7565'
const longDesc = '72000e6a6176612e6c616e672e4c6f6e673b8be490cc8f23df0200014a000576616c7565'
const uuidDesc =
  '72000e6a6176612e7574696c2e55554944bc9903f7986d852f0200024a000c6c65617374536967426974734a000b6d6f73745369674269747378' +
  '70'
/** First handle of a stream; the array's class and the array itself take two. */
const firstFreeHandle = 0x7e0002

const hex = (value: bigint, bytes: number) =>
  BigInt.asUintN(bytes * 8, value)
    .toString(16)
    .padStart(bytes * 2, '0')

/** Writes one array; class descriptions and strings that occurred before become references. */
class Writer {
  readonly #classes = new Map<string, number>()
  readonly #strings = new Map<string, number>()
  #handle = firstFreeHandle

  element(element: JavaValue): string {
    if (element === null) return '70'
    switch (element.type) {
      case 'int':
        return this.#boxed('Integer', integerDesc) + hex(BigInt(element.value), 4)
      case 'long':
        return this.#boxed('Long', longDesc) + hex(element.value, 8)
      case 'uuid': {
        const digits = element.value.replaceAll('-', '').toLowerCase()
        return this.#object('UUID', uuidDesc) + digits.slice(16) + digits.slice(0, 16)
      }
      case 'string':
        return this.#string(element.value)
    }
  }

  #string(text: string): string {
    const known = this.#strings.get(text)
    if (known !== undefined) return `71${hex(BigInt(known), 4)}`
    this.#strings.set(text, this.#handle++)
    const bytes = modifiedUtf8(text)
    return bytes.length < 65_536
      ? `74${hex(BigInt(bytes.length), 2)}${bytes.toString('hex')}`
      : `7c${hex(BigInt(bytes.length), 8)}${bytes.toString('hex')}`
  }

  /** An object of a subclass of Number. */
  #boxed(name: string, description: string): string {
    const known = this.#classes.get(name)
    if (known !== undefined) {
      this.#handle += 1
      return `7371${hex(BigInt(known), 4)}`
    }
    this.#classes.set(name, this.#handle++)
    const number = this.#classes.get('Number')
    if (number === undefined) this.#classes.set('Number', this.#handle++)
    this.#handle += 1
    return `73${description}78${number === undefined ? numberDesc : `71${hex(BigInt(number), 4)}`}`
  }

  #object(name: string, description: string): string {
    const known = this.#classes.get(name)
    if (known === undefined) this.#classes.set(name, this.#handle++)
    this.#handle += 1
    return known === undefined ? `73${description}` : `7371${hex(BigInt(known), 4)}`
  }
}

/** Java's UTF-8: NUL takes two bytes and characters beyond the BMP are two surrogates of three bytes each. */
function modifiedUtf8(text: string): Buffer {
  const bytes: number[] = []
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0 && unit < 0x80) bytes.push(unit)
    else if (unit < 0x800) bytes.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f))
    else bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))
  }
  return Buffer.from(bytes)
}

function textOfModifiedUtf8(bytes: Buffer): string {
  let text = ''
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i] as number
    const byte = (offset: number) => (bytes[i + offset] ?? 0) & 0x3f
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : 3
    const unit =
      size === 1
        ? first
        : size === 2
          ? ((first & 0x1f) << 6) | byte(1)
          : ((first & 0x0f) << 12) | (byte(1) << 6) | byte(2)
    text += String.fromCharCode(unit)
    i += size
  }
  return text
}

export function writeKey(values: readonly JavaValue[] | null): string {
  if (values === null) return nullArray
  const writer = new Writer()
  return arrayHead + hex(BigInt(values.length), 4) + values.map((value) => writer.element(value)).join('')
}

/** Reads what `writeKey` or Java wrote; null for a null array, undefined for what has other classes or is damaged. */
export function readKey(text: string): readonly JavaValue[] | null | undefined {
  if (text === nullArray) return null
  if (!text.startsWith(arrayHead) || !/^(?:[0-9a-f]{2})+$/.test(text)) return undefined
  try {
    return new Reader(Buffer.from(text.slice(arrayHead.length), 'hex')).array()
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0
  /** What the handles stand for: names of classes, strings, or objects that cannot be referred to. */
  readonly #handles: ({ readonly name: string } | { readonly text: string } | null)[] = []

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  array(): readonly JavaValue[] {
    const length = this.#bytes.readUInt32BE(0)
    this.#at = 4
    if (length > this.#bytes.length) throw new RangeError('damaged')
    return Array.from({ length }, () => this.#element())
  }

  #element(): JavaValue {
    const tag = this.#byte()
    if (tag === 0x70) return null
    if (tag === 0x74 || tag === 0x7c) {
      const length = tag === 0x74 ? Number(this.#integer(2)) : Number(this.#integer(8))
      const text = textOfModifiedUtf8(this.#take(length))
      this.#handles.push({ text })
      return { type: 'string', value: text }
    }
    if (tag === 0x71) {
      const known = this.#reference()
      if (known === null || !('text' in known)) throw new RangeError('an unknown reference')
      return { type: 'string', value: known.text }
    }
    if (tag !== 0x73) throw new RangeError('an unknown element')
    const name = this.#class()
    this.#handles.push(null)
    if (name === 'java.lang.Integer') return { type: 'int', value: Number(BigInt.asIntN(32, this.#integer(4))) }
    if (name === 'java.lang.Long') return { type: 'long', value: BigInt.asIntN(64, this.#integer(8)) }
    if (name !== 'java.util.UUID') throw new RangeError('an unknown class')
    const digits = this.#take(16).toString('hex')
    const uuid = (digits.slice(16) + digits.slice(0, 16)).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
    return { type: 'uuid', value: uuid }
  }

  #class(): string | null {
    const tag = this.#byte()
    if (tag === 0x70) return null
    if (tag === 0x71) {
      const known = this.#reference()
      if (known === null || !('name' in known)) throw new RangeError('an unknown reference')
      return known.name
    }
    if (tag !== 0x72) throw new RangeError('no class description')
    const name = this.#take(Number(this.#integer(2))).toString('latin1')
    this.#handles.push({ name })
    this.#take(9)
    for (let fields = Number(this.#integer(2)); fields > 0; fields--) {
      const kind = this.#byte()
      this.#take(Number(this.#integer(2)))
      if (kind === 0x4c || kind === 0x5b) throw new RangeError('an unknown class')
    }
    if (this.#byte() !== 0x78) throw new RangeError('no end of the class description')
    this.#class()
    return name
  }

  #reference() {
    return this.#handles[Number(this.#integer(4)) - firstFreeHandle] ?? null
  }

  #byte(): number {
    return this.#take(1)[0] as number
  }

  #integer(bytes: number): bigint {
    return BigInt(`0x${this.#take(bytes).toString('hex')}`)
  }

  #take(length: number): Buffer {
    const end = this.#at + length
    if (end > this.#bytes.length) throw new RangeError('damaged')
    const part = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return part
  }
}
