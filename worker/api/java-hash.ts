/**
 * The order in which a Java `HashMap` or `HashSet` of these texts iterates: Connect's answers show it where they print
 * a map or the members of a set.
 * @param buckets of a table that is made for its content; it grows as Java's does
 */
export function hashOrder(names: readonly string[], buckets = 16): string[] {
  let size = buckets
  while (names.length > size * 0.75) size *= 2
  const bucket = (name: string): number => {
    let hash = 0
    for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0
    return (hash ^ (hash >>> 16)) & (size - 1)
  }
  return [...names].sort((a, b) => bucket(a) - bucket(b))
}

/** Buckets of a `HashMap` that is made as a copy of one with `entries`. */
export function bucketsOfCopy(entries: number): number {
  return 2 ** Math.ceil(Math.log2(entries / 0.75 + 1))
}
