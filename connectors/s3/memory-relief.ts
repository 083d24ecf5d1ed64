import type { MemoryBudget } from './memory-budget.ts'
import type { RoleObject } from './open-file.ts'

/** A writer whose open objects can be held in less memory. Asked only while none of its calls is on its way. */
export interface MemoryHolder {
  /** Objects that are being written; none while a commit is unfinished. */
  openObjects(): Iterable<RoleObject>
  /** Whether requests may be made: not while it pauses after a failure. */
  readonly canUpload: boolean
  /** Runs a request of one of its objects. Never rejects for a retriable failure. */
  upload(object: RoleObject, signal: AbortSignal): Promise<void>
  /** Ends the objects before their time. Never rejects for a retriable failure. */
  commitEarly(signal: AbortSignal): Promise<void>
}

interface Held {
  readonly holder: MemoryHolder
  readonly object: RoleObject
}

/** Memory that uploading an object frees, so that it comes before packing others. */
const largeBytes = 5_242_880

/**
 * Brings what open objects hold below the limit, and somewhat further, so that it is not needed again at once. What
 * changes least comes first: objects that may have a part by now upload it, the fullest first; blocks of the others
 * are packed; blocks of Avro and row groups of Parquet end early. Where an object ends does not depend on any of that.
 * Only when all this is not enough, the topic partition that holds most is committed, unless one that pauses after a
 * failure will give memory back as soon as the server lets it.
 * @returns whether the limit holds; else some holder pauses
 */
export async function relieve<H extends MemoryHolder>(
  holders: readonly H[],
  budget: MemoryBudget,
  signal: AbortSignal,
  onEarlyCommit: (holder: H) => void,
): Promise<boolean> {
  await uploadFullest(holders, budget, signal, largeBytes)
  packLargest(holders, budget)
  await uploadFullest(holders, budget, signal)
  flushLargest(holders, budget)
  await uploadFullest(holders, budget, signal)
  packLargest(holders, budget)
  while (budget.exceeded && !signal.aborted) {
    const [fullest] = byBytes(holders, heldBytes)
    if (fullest === undefined || holders.some(({ canUpload }) => !canUpload)) return false
    onEarlyCommit(fullest)
    await fullest.commitEarly(signal)
  }
  return !budget.exceeded
}

/** At most one object per holder at a time, as each has one way to go on after a failure. */
async function uploadFullest(
  holders: readonly MemoryHolder[],
  budget: MemoryBudget,
  signal: AbortSignal,
  atLeastBytes = 1,
): Promise<void> {
  while (budget.exceeded && !signal.aborted) {
    let excess = budget.usedBytes - budget.limitBytes / 2
    const chosen: Held[] = []
    const candidates = allObjects(holders.filter(({ canUpload }) => canUpload))
    for (const held of byBytes(candidates, ({ object: { upload } }) => (upload.hasPart ? upload.heldBytes : 0))) {
      const { heldBytes: freed } = held.object.upload
      if (excess <= 0 || freed < atLeastBytes) break
      if (chosen.some(({ holder }) => holder === held.holder)) continue
      chosen.push(held)
      excess -= freed
    }
    if (chosen.length === 0) return
    // Each runs to its end before an error surfaces: none may go on behind the caller's back.
    const outcomes = await Promise.allSettled(chosen.map(({ holder, object }) => holder.upload(object, signal)))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }
}

function packLargest(holders: readonly MemoryHolder[], budget: MemoryBudget): void {
  if (!budget.exceeded) return
  const target = budget.limitBytes * 0.75
  for (const { object } of byBytes(allObjects(holders), (held) => held.object.upload.packableBytes)) {
    if (budget.usedBytes <= target) return
    object.upload.pack()
  }
}

function flushLargest(holders: readonly MemoryHolder[], budget: MemoryBudget): void {
  for (const { object } of byBytes(allObjects(holders), (held) => held.object.pendingBytes)) {
    if (!budget.exceeded) return
    object.flush()
  }
}

function allObjects(holders: readonly MemoryHolder[]): readonly Held[] {
  return holders.flatMap((holder) => [...holder.openObjects()].map((object) => ({ holder, object })))
}

/** Largest first, without those that have nothing. */
function byBytes<T>(all: readonly T[], bytesOf: (one: T) => number): readonly T[] {
  const sized = all.map((one) => ({ one, bytes: bytesOf(one) }))
  return sized
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes)
    .map(({ one }) => one)
}

function heldBytes(holder: MemoryHolder): number {
  let bytes = 0
  for (const object of holder.openObjects()) bytes += object.heldBytes
  return bytes
}
