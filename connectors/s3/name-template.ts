import type { SinkRecord } from '../../worker/api/record.ts'
import { keyText, percentEncode } from './key-text.ts'

/** Variables of `file.name.template`, in the names of Aiven's connector. */
const variables = {
  key: (record: SinkRecord) => percentEncode(keyText(record)),
  topic: (record: SinkRecord) => record.topic,
  partition: (record: SinkRecord) => String(record.partition ?? record.originalPartition),
} as const
type Variable = keyof typeof variables

/** A template, read: texts and variables in turn. */
export type NameTemplate = readonly (string | { readonly variable: Variable })[]

const pattern = /\{\{\s*([^}]*?)\s*\}\}/g

/**
 * Reads a template for one object per key: `{{key}}`, alone or with both `{{topic}}` and `{{partition}}`.
 * @throws RangeError when it has other variables, with what is allowed
 */
export function parseNameTemplate(text: string): NameTemplate {
  const parts: (string | { readonly variable: Variable })[] = []
  const used = new Set<string>()
  let at = 0
  for (const match of text.matchAll(pattern)) {
    const [whole, name = ''] = match
    if (!Object.hasOwn(variables, name)) throw new RangeError(`'${whole}' is not supported: ${allowed}`)
    if (match.index > at) parts.push(text.slice(at, match.index))
    parts.push({ variable: name as Variable })
    used.add(name)
    at = match.index + whole.length
  }
  if (at < text.length) parts.push(text.slice(at))
  if (!used.has('key') || used.has('topic') !== used.has('partition')) throw new RangeError(allowed)
  return parts
}

const allowed =
  'use {{key}}, alone or with {{topic}} and {{partition}}, for one object per key; for other names choose a partitioner.class'

/** @throws DataError CONNECT_S3_PARTITION for a key that is a structure */
export function renderName(template: NameTemplate, record: SinkRecord): string {
  return template.map((part) => (typeof part === 'string' ? part : variables[part.variable](record))).join('')
}
