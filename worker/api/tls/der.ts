/** One value of DER, the encoding of keys and certificates: only what key stores need of it. */
export class DerValue {
  readonly tag: number
  readonly content: Buffer
  /** Where the next value begins. */
  readonly end: number

  private constructor(tag: number, content: Buffer, end: number) {
    this.tag = tag
    this.content = content
    this.end = end
  }

  /** @throws RangeError when the bytes end before the value does */
  static read(bytes: Uint8Array, at = 0): DerValue {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const first = buffer.readUInt8(at + 1)
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f
    const length = lengthBytes === 0 ? first & 0x7f : buffer.readUIntBE(at + 2, lengthBytes)
    const start = at + 2 + lengthBytes
    if (start + length > buffer.length) throw new RangeError('DER value is cut off')
    return new DerValue(buffer.readUInt8(at), buffer.subarray(start, start + length), start + length)
  }

  /** Values inside of a sequence, a set or an explicit tag. */
  get children(): readonly DerValue[] {
    const children: DerValue[] = []
    for (let at = 0; at < this.content.length; ) {
      const child = DerValue.read(this.content, at)
      children.push(child)
      at = child.end
    }
    return children
  }

  /** @throws RangeError when there is no such child */
  child(...path: readonly number[]): DerValue {
    return path.reduce<DerValue>((value, index) => {
      const next = value.children[index]
      if (next === undefined) throw new RangeError('DER value is missing')
      return next
    }, this)
  }

  /** Hexadecimal content: object identifiers are compared by it. */
  get hex(): string {
    return this.content.toString('hex')
  }
}

/** PEM text of DER. */
export function pem(label: string, der: Uint8Array): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  return `-----BEGIN ${label}-----\n${text.replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`
}
