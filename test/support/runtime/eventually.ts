/** Repeats `check` until it stops throwing. @throws its last error after `withinMs` */
export async function eventually(check: () => Promise<void> | void, withinMs = 30_000): Promise<void> {
  const deadlineAt = performance.now() + withinMs
  for (;;) {
    try {
      await check()
      return
    } catch (error) {
      if (performance.now() > deadlineAt) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
