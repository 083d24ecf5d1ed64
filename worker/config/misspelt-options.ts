/** Options that look like slips of the pen. Connect passes over names it does not know in silence. */

export interface MisspeltOption {
  readonly option: string
  /** The known option that is nearest. */
  readonly meant: string
}

/** Letters changed, left out, added or swapped with the next one, at most this many. */
const maxEdits = 2
/** In shorter names two edits would make another word. */
const minLength = 6

/**
 * Names of `given` that are not known but nearly are. Names far from all known ones are left alone: plugins may have
 * options that no definition can list (`column.truncate.to.10.chars`).
 */
export function misspeltOptions(given: readonly string[], known: readonly string[]): MisspeltOption[] {
  const names = new Set(known)
  return given.flatMap((option) => {
    if (names.has(option) || option.length < minLength) return []
    let meant: string | null = null
    let least = maxEdits + 1
    for (const name of names) {
      if (Math.abs(name.length - option.length) >= least) continue
      const edits = editDistance(option, name)
      if (edits < least) {
        least = edits
        meant = name
      }
    }
    return meant === null ? [] : [{ option, meant }]
  })
}

/** Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      let least = Math.min(changed, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1)
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (isSwapped) least = Math.min(least, (before[j - 2] ?? 0) + 1)
      row.push(least)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}
