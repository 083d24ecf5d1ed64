/** Converters of columns that users write for a source of tables: the counterpart of Debezium's `CustomConverter`. */
import type { Schema, Value } from './data.ts'

/** A column as a converter is asked about it. */
export interface ConvertibleColumn {
  readonly name: string
  /** `schema.table` */
  readonly dataCollection: string
  /** Name of the type without its schema, e.g. `timestamptz`; `_int4` for an array of `int4`. */
  readonly typeName: string
  /** The name with its declared modifiers, e.g. `numeric(5,2)`. */
  readonly typeExpression: string
  /** Number of the type in the source: its OID. */
  readonly nativeType: number
  /** Declared length or precision; null where none is. */
  readonly length: number | null
  /** Declared scale; null where none is. */
  readonly scale: number | null
  readonly isOptional: boolean
  /** The default as the catalog has it, an SQL expression; null without one. */
  readonly defaultValue: string | null
}

/**
 * Value of the field for a value of the column.
 * @param text as the source sends it; null for NULL, and in old rows for what the source left out
 * @returns a value that fits the registered schema. What it throws counts as a value that cannot be converted
 */
export type ConvertColumn = (text: string | null) => Value

/** At most one converter takes a column: the first one, in the order of `converters`, that registers. */
export interface ConverterRegistration {
  /** @param schema of the field; it becomes optional where the column is nullable */
  register(schema: Schema, convert: ConvertColumn): void
}

/**
 * Named by `converters=<name>`, with `<name>.type` the file of a module below `plugin.path` whose default export makes one
 * (`export default (): CustomConverter => …`). Made once per task.
 */
export interface CustomConverter {
  /** All options `<name>.…` without that prefix. @throws for options that cannot work: the task fails */
  configure(options: Readonly<Record<string, string>>): void
  /** Called for every column of every captured table, again when a table changes. Not registering leaves it alone. */
  converterFor(column: ConvertibleColumn, registration: ConverterRegistration): void
}
