/** Differences between two texts, line by line. */

export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added'
  readonly text: string
}

/** Beyond it (lines of one side times lines of the other) the differing part is shown as a whole, old before new. */
const maxTable = 4_000_000

/** The shortest way from one list of lines to the other. */
export function diffLines(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start++
  let end = 0
  const most = Math.min(before.length, after.length) - start
  while (end < most && before[before.length - 1 - end] === after[after.length - 1 - end]) end++
  const same = (text: string): DiffLine => ({ kind: 'same', text })
  return [
    ...before.slice(0, start).map(same),
    ...diffMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ]
}

function diffMiddle(before: readonly string[], after: readonly string[]): readonly DiffLine[] {
  if (before.length * after.length > maxTable) {
    return [
      ...before.map((text) => ({ kind: 'removed' as const, text })),
      ...after.map((text) => ({ kind: 'added' as const, text })),
    ]
  }
  const common = commonLengths(before, after)
  const lengthAt = (i: number, j: number): number => common[i]?.[j] ?? 0
  const lines: DiffLine[] = []
  let i = 0
  let j = 0
  while (i < before.length || j < after.length) {
    const [old, fresh] = [before[i], after[j]]
    if (old !== undefined && old === fresh) {
      lines.push({ kind: 'same', text: old })
      i++
      j++
    } else if (old !== undefined && (fresh === undefined || lengthAt(i + 1, j) >= lengthAt(i, j + 1))) {
      lines.push({ kind: 'removed', text: old })
      i++
    } else {
      lines.push({ kind: 'added', text: fresh ?? '' })
      j++
    }
  }
  return lines
}

/** Length of the longest common subsequence of what follows each pair of positions. */
function commonLengths(before: readonly string[], after: readonly string[]): readonly (readonly number[])[] {
  const table: number[][] = Array.from({ length: before.length + 1 }, () => [])
  for (let i = before.length - 1; i >= 0; i--) {
    const row: number[] = Array.from({ length: after.length + 1 }, () => 0)
    const below = table[i + 1] ?? []
    for (let j = after.length - 1; j >= 0; j--) {
      row[j] = before[i] === after[j] ? (below[j + 1] ?? 0) + 1 : Math.max(below[j] ?? 0, row[j + 1] ?? 0)
    }
    table[i] = row
  }
  return table
}

/** Lines with `- `, `+ ` or two blanks before each; red and green where `colour` is set. */
export function renderDiff(lines: readonly DiffLine[], colour: boolean): string {
  const marks = { same: ' ', removed: '-', added: '+' } as const
  const colours = { same: '', removed: '\u001b[31m', added: '\u001b[32m' } as const
  return lines
    .map(({ kind, text }) => {
      const line = `${marks[kind]} ${text}`
      return colour && kind !== 'same' ? `${colours[kind]}${line}\u001b[0m` : line
    })
    .join('\n')
}
