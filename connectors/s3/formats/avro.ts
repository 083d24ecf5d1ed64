import { createHash } from 'node:crypto'
import { crc32, deflateRawSync, zstdCompressSync } from 'node:zlib'
import { anythingType } from '../../../worker/api/avro-anything.ts'
import { AvroOutput } from '../../../worker/api/avro-output.ts'
import { type AvroType, compileAvro } from '../../../worker/api/avro-schema.ts'
import { GrowingByteWriter } from '../../../worker/api/byte-writer.ts'
import { type Schema, schemaEquals } from '../../../worker/api/data.ts'
import { ConfigError, DataError, toError } from '../../../worker/api/errors.ts'
import { type AvroCodecName, unwritableCodec, writableCodec } from './codec-names.ts'
import type { ByteTarget, FormatInput, RecordEncoder, RecordFormat } from './format.ts'
import { mismatch } from './mismatch.ts'

export interface AvroFormatOptions {
  /** `avro.codec`. */
  readonly codec: string
  readonly enhanced: boolean
  readonly connectMetaData: boolean
  readonly optionalMapKeys: boolean
}

interface AvroCodec {
  readonly name: string
  /** Null: blocks are stored as they are. */
  readonly compress: ((block: Uint8Array) => Uint8Array) | null
}

/**
 * Avro object container files: one schema per object, that of its first record, in blocks of about 64 kB as Avro's
 * Java library cuts them. The sync marker is a hash of the key, so equal content gives equal bytes.
 */
export class AvroFormat implements RecordFormat {
  readonly name = 'avro'
  readonly extension = '.avro'
  readonly codec: AvroCodec
  readonly #options: AvroFormatOptions
  /** Schemas live as long as their converter keeps them. */
  readonly #types = new WeakMap<Schema, AvroType>()

  private constructor(codec: AvroCodec, options: AvroFormatOptions) {
    this.codec = codec
    this.#options = options
  }

  /** Loads the codec. @throws ConfigError when it cannot be had */
  static async create(options: AvroFormatOptions): Promise<AvroFormat> {
    const codec = writableCodec('avro.codec', options.codec)
    if (codec === null) throw new ConfigError([unwritableCodec('avro.codec', options.codec)])
    return new AvroFormat(await openAvroCodec(codec), options)
  }

  open(out: ByteTarget): RecordEncoder {
    return new AvroEncoder(this, out)
  }

  /** @throws DataError when Avro cannot express the schema */
  typeOf(schema: Schema | null): AvroType {
    if (schema === null) return withoutSchema
    let type = this.#types.get(schema)
    if (type === undefined) {
      type = compileAvro(schema, { ...this.#options, mismatch })
      this.#types.set(schema, type)
    }
    return type
  }
}

/** For values without a schema, as the reference writes them: one may read them, if not by columns. */
const withoutSchema = anythingType(
  (found) => new DataError('CONNECT_S3_VALUE_MISMATCH', `Avro without a schema has no form for ${found}`),
)

/** Where Avro's Java library ends a block. */
const blockBytes = 64_000

class AvroEncoder implements RecordEncoder {
  readonly #format: AvroFormat
  readonly #out: ByteTarget
  readonly #block = new GrowingByteWriter(1024)
  readonly #sync: Uint8Array
  #type: AvroType | null = null
  #schema: Schema | null = null
  #count = 0
  #mark = 0
  #accounted = 0

  constructor(format: AvroFormat, out: ByteTarget) {
    this.#format = format
    this.#out = out
    this.#sync = createHash('md5').update(out.name).digest()
  }

  get pendingBytes(): number {
    return this.#block.length
  }

  get isFull(): boolean {
    return this.#block.length >= blockBytes
  }

  write({ schema, value }: FormatInput): void {
    const type = this.#type ?? this.#format.typeOf(schema)
    if (this.#type !== null && schema !== this.#schema && !schemaEquals(schema, this.#schema)) {
      throw new DataError('CONNECT_S3_VALUE_MISMATCH', 'The schema is not that of the first record of the object')
    }
    this.#mark = this.#block.mark()
    try {
      type.write(value, this.#block)
    } catch (error) {
      this.#block.rollback(this.#mark)
      throw error
    }
    this.#type = type
    this.#schema = schema
    this.#count++
    this.#account()
  }

  undo(): void {
    this.#block.rollback(this.#mark)
    this.#count--
  }

  flush(): void {
    if (this.#count === 0) return
    if (!this.#hasHeader) this.#header()
    const bytes = this.#block.since(0)
    const stored = this.#format.codec.compress?.(bytes) ?? bytes
    const head = new GrowingByteWriter(20)
    const output = new AvroOutput().to(head)
    output.integer(this.#count)
    output.integer(stored.length)
    this.#out.bytes(head.since(0))
    this.#out.bytes(stored)
    this.#out.bytes(this.#sync)
    this.#block.reset()
    this.#count = 0
  }

  finish(): void {
    this.flush()
  }

  #hasHeader = false

  #header(): void {
    this.#hasHeader = true
    const header = new GrowingByteWriter(1024)
    const output = new AvroOutput().to(header)
    header.bytes(Buffer.from('Obj\u0001', 'latin1'))
    const properties = [
      ['avro.schema', this.#type?.text ?? ''],
      ['avro.codec', this.#format.codec.name],
    ] as const
    output.integer(properties.length)
    for (const [name, text] of properties) {
      output.string(name)
      output.string(text)
    }
    output.integer(0)
    output.raw(this.#sync)
    this.#out.bytes(header.since(0))
  }

  /** The block's buffer keeps its size when it is emptied. */
  #account(): void {
    const grown = this.#block.length - this.#accounted
    if (grown <= 0) return
    this.#accounted += grown
    this.#out.account(grown)
  }
}

async function openAvroCodec(name: AvroCodecName): Promise<AvroCodec> {
  switch (name) {
    case 'null':
      return { name: 'null', compress: null }
    case 'deflate':
      return { name: 'deflate', compress: (block) => deflateRawSync(block) }
    case 'zstandard':
      return { name: 'zstandard', compress: (block) => zstdCompressSync(block) }
    case 'snappy': {
      const { compressSync } = await loadSnappy()
      return { name: 'snappy', compress: (block) => withChecksum(compressSync(block), block) }
    }
  }
}

/** Avro puts the CRC-32 of the plain block behind its snappy form. */
function withChecksum(compressed: Uint8Array, block: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(compressed.length + 4)
  framed.set(compressed)
  framed.writeUInt32BE(crc32(block), compressed.length)
  return framed
}

async function loadSnappy(): Promise<typeof import('snappy')> {
  try {
    return await import('snappy')
  } catch (cause) {
    const message = `snappy needs the package 'snappy' (${toError(cause).message}): install it, or choose deflate`
    throw new ConfigError([{ option: 'avro.codec', message }], { cause })
  }
}
