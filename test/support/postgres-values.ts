import type { ValueOptions } from '../../connectors/postgres-cdc/values/codec.ts'

/** Values as the connector's defaults have them; `placeholder` stands for a TOAST value that did not change. */
export function defaultValueOptions(placeholder: string): ValueOptions {
  return {
    timePrecision: 'adaptive',
    decimals: 'precise',
    hstore: 'json',
    intervals: 'numeric',
    binary: 'bytes',
    moneyFractionDigits: 2,
    includeUnknown: false,
    placeholder: new Uint8Array(Buffer.from(placeholder)),
  }
}
