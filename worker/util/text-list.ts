/** Comma-separated list as Kafka parses LIST: trimmed, empty entries dropped. */
export function parseList(text: string | undefined): readonly string[] {
  if (text === undefined || text.trim() === '') return []
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
