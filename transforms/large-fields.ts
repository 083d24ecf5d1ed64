/** Texts and bytes within a value, found by size and replaced by path. */
import type { Schema, Struct, Value } from '../worker/api/data.ts'
import { isStruct } from '../worker/api/values.ts'
import { valueBytes } from './record-bytes.ts'
import { setMember } from './record-part.ts'

export interface LargeField {
  /** Names from the value on; members of lists and maps are not among them. */
  readonly path: readonly string[]
  readonly content: string | Uint8Array
  /** As JSON. */
  readonly bytes: number
}

/**
 * Texts and bytes of at least `minBytes`, the largest first.
 * @param paths only these, dotted; null: all whose schema has no name, since one that has (JSON, XML, an enumeration)
 * promises a form that a part of it would break
 */
export function largeFields(
  schema: Schema | null,
  value: Value,
  { paths, minBytes }: { readonly paths: ReadonlySet<string> | null; readonly minBytes: number },
): readonly LargeField[] {
  const found: LargeField[] = []
  const visit = (at: Value, atSchema: Schema | null, path: readonly string[]): void => {
    if (typeof at === 'string' || at instanceof Uint8Array) {
      const isWanted = paths === null ? (atSchema?.name ?? null) === null : paths.has(path.join('.'))
      if (!isWanted || at.length * 6 < minBytes) return
      const bytes = valueBytes(at)
      if (bytes >= minBytes) found.push({ path, content: at, bytes })
    } else if (isStruct(at)) {
      for (const name in at) visit(at[name] ?? null, atSchema?.fieldsByName.get(name)?.schema ?? null, [...path, name])
    }
  }
  visit(value, schema, [])
  return found.sort((a, b) => b.bytes - a.bytes)
}

/** A copy of the value with another content at a path (I5). */
export function replaceAt(value: Value, path: readonly string[], content: Value): Value {
  const [name, ...rest] = path
  if (name === undefined || !isStruct(value)) return content
  const copy: Record<string, Value> = {}
  const struct: Struct = value
  for (const key in struct) {
    const member = struct[key] ?? null
    setMember(copy, key, key === name ? replaceAt(member, rest, content) : member)
  }
  return copy
}
