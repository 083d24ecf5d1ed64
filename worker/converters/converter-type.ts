import { oneOf } from '../api/config.ts'

/** Option of every converter; the worker sets it, so that nobody has to. */
export const converterTypeOption = {
  type: 'STRING',
  importance: 'LOW',
  valid: oneOf('key', 'value', 'header'),
  doc: 'How this converter will be used.',
} as const
