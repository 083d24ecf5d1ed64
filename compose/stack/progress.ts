const startedAt = Date.now()

/** Shows one step on standard error (standard output belongs to `env` and `status`). */
export function step(service: string, text: string): void {
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)
  process.stderr.write(`${seconds}s  ${service.padEnd(13)} ${text}\n`)
}

/** Duration since `from` (ms epoch) as "2.1 s". */
export function since(from: number): string {
  return `${((Date.now() - from) / 1000).toFixed(1)} s`
}

/** Megabytes for people: "350 MB". */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1_000_000)} MB`
}
