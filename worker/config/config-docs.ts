/** Markdown reference of a definition of options. */
import type { ConfigDef, ConfigKey } from '../api/config.ts'
import type { ErrorCodes } from '../api/errors.ts'
import { renderDefault } from './config-def.ts'

/**
 * Tables of a definition's options in its own order, one per group; internal options left out.
 * @param heading Markdown prefix of group headings, e.g. `####`
 */
export function optionTables(def: ConfigDef, heading: string): string {
  const groups = new Map<string, [string, ConfigKey][]>()
  for (const [name, key] of Object.entries(def.keys)) {
    if (key.internal === true) continue
    const group = key.group ?? ''
    groups.set(group, [...(groups.get(group) ?? []), [name, key]])
  }
  if (groups.size === 0) return 'No options.\n'
  return [...groups]
    .map(([group, keys]) => (group === '' ? '' : `${heading} ${group}\n\n`) + optionTable(keys))
    .join('\n')
}

function optionTable(keys: readonly (readonly [string, ConfigKey])[]): string {
  const rows = keys.map(([name, key]) => {
    const names = [name, ...(key.alternatives ?? [])].map((n) => `\`${n}\``).join(' or ')
    const valid = key.valid === undefined ? '' : key.valid.description
    return `| ${names} | ${key.type} | ${defaultText(key)} | ${key.importance.toLowerCase()} | ${cell(key.doc)}${valid === '' ? '' : ` Valid: ${cell(valid)}.`} |\n`
  })
  return `| Option | Type | Default | Importance | Meaning |\n|---|---|---|---|---|\n${rows.join('')}`
}

function defaultText(key: ConfigKey): string {
  if (key.default === undefined) return '**required**'
  const text = renderDefault(key)
  if (text === null) return 'null'
  return text === '' ? '""' : `\`${cell(text).replaceAll('`', "'")}\``
}

/** One line, no column separator, no HTML that would swallow text. */
function cell(text: string): string {
  return text
    .replaceAll(/\s+/gu, ' ')
    .replaceAll('|', '\\|')
    .replaceAll(/<(?!\/?code>)/gu, '&lt;')
    .trim()
}

/** Table of error codes, by name. */
export function errorCodeTable(codes: ErrorCodes): string {
  const rows = Object.entries(codes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([code, { meaning, remedy }]) => `| \`${code}\` | ${cell(meaning)} | ${cell(remedy)} |\n`)
  return `| Code | Meaning | What to do |\n|---|---|---|\n${rows.join('')}`
}

const begin = (name: string): string => `<!-- generated ${name}: npm run docs -->`
const end = (name: string): string => `<!-- end of generated ${name} -->`

/** Puts `content` between the markers of `name`; without markers it goes to the end, with markers around it. */
export function putBetweenMarkers(document: string, name: string, content: string): string {
  const block = `${begin(name)}\n\n${content.trim()}\n\n${end(name)}`
  const from = document.indexOf(begin(name))
  const to = document.indexOf(end(name), from)
  if (from >= 0 && to >= 0) return document.slice(0, from) + block + document.slice(to + end(name).length)
  return `${document.trimEnd()}\n\n${block}\n`.trimStart()
}
