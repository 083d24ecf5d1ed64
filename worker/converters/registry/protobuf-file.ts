import type protobufjs from 'protobufjs'
import { ConnectError, DataError } from '../../api/errors.ts'
import type { ReferencedSchema } from './format.ts'
import { builtinFiles } from './protobuf-builtin.ts'

/** The parser of .proto files. */
export type Protobufjs = typeof protobufjs

/** Loads the parser. @throws ConnectError CONNECT_CODEC_MISSING */
export async function loadProtobufjs(): Promise<Protobufjs> {
  try {
    return (await import('protobufjs')).default
  } catch (error) {
    const message = 'ProtobufConverter needs the package protobufjs: npm install protobufjs'
    throw new ConnectError('fatal', 'CONNECT_CODEC_MISSING', message, { cause: error })
  }
}

/**
 * The types of a file, of its references and of what it imports.
 * @throws DataError CONNECT_REGISTRY_SCHEMA
 */
export function parsedRoot(pb: Protobufjs, text: string, references: readonly ReferencedSchema[]): protobufjs.Root {
  const root = new pb.Root()
  const files = new Map([...builtinFiles, ...references.map(({ name, text: file }) => [name, file] as const)])
  const seen = new Set<string>()
  const add = (file: string): void => {
    const { imports = [], weakImports = [] } = pb.parse(file, root, { keepCase: true })
    for (const name of [...imports, ...weakImports]) {
      if (seen.has(name)) continue
      seen.add(name)
      const known = files.get(name)
      if (known !== undefined) add(known)
      else {
        const common = pb.common.get(name)
        if (common?.nested !== undefined) root.addJSON(common.nested)
      }
    }
  }
  try {
    add(text)
    root.resolveAll()
    return root
  } catch (error) {
    throw new DataError(
      'CONNECT_REGISTRY_SCHEMA',
      'A .proto file cannot be read, or a file that it imports is missing',
      {
        cause: error,
      },
    )
  }
}

/** Full names of the messages of a file itself, in its order. */
export function messagesOf(pb: Protobufjs, text: string): readonly string[] {
  const { root, package: name } = pb.parse(text, new pb.Root(), { keepCase: true })
  const space = name === undefined || name === '' ? root : root.lookup(name)
  const nested = space instanceof pb.Namespace ? space.nestedArray : []
  return nested.filter((part) => part instanceof pb.Type).map((part) => part.fullName)
}

/** The message that the indexes before the data name. @throws DataError CONNECT_REGISTRY_FRAME */
export function messageAt(
  pb: Protobufjs,
  root: protobufjs.Root,
  topLevel: readonly string[],
  [first = 0, ...rest]: readonly number[],
): protobufjs.Type {
  const name = topLevel[first]
  let type = name === undefined ? null : root.lookupType(name)
  for (const index of rest) {
    const nested: readonly protobufjs.ReflectionObject[] = type?.nestedArray ?? []
    type = nested.filter((part): part is protobufjs.Type => part instanceof pb.Type)[index] ?? null
  }
  if (type !== null) return type
  throw new DataError('CONNECT_REGISTRY_FRAME', 'The message indexes name no message of the schema')
}

/** Whether a file is of proto2, which is what a file without a word about it is. */
export const isProto2 = (text: string): boolean => !/syntax\s*=\s*["']proto3["']/.test(text)
