import type { ConfigProblem } from '../../../worker/api/errors.ts'

/** Codecs that can be written, by their names in the options, in the order of the Java connector. */
export const writableCodecs = {
  'avro.codec': ['null', 'deflate', 'snappy', 'zstandard'],
  'parquet.codec': ['none', 'gzip', 'snappy', 'lz4', 'brotli', 'lz4_raw', 'zstd'],
} as const
/** Those that Java has beside them. */
export const unwritableCodecs = { 'avro.codec': ['bzip2'], 'parquet.codec': ['lzo'] } as const

type CodecOption = keyof typeof writableCodecs
export type AvroCodecName = (typeof writableCodecs)['avro.codec'][number]
export type ParquetCodecName = (typeof writableCodecs)['parquet.codec'][number]

/** The codec that an option names, whatever its case; null when it cannot be written. */
export function writableCodec<O extends CodecOption>(
  option: O,
  text: string,
): (typeof writableCodecs)[O][number] | null {
  const names: readonly (typeof writableCodecs)[O][number][] = writableCodecs[option]
  return names.find((name) => name === text.toLowerCase()) ?? null
}

/** What to say of an option whose codec cannot be written. */
export function unwritableCodec(option: CodecOption, text: string): ConfigProblem {
  const names = writableCodecs[option]
  const choice = `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  return { option, message: `'${text}' cannot be written by this version: choose ${choice}` }
}
