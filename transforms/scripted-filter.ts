import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { debeziumVersion } from './change-event.ts'
import { expression, ScriptedCondition, scriptedOptions } from './scripted.ts'

const config = defineConfig({
  ...scriptedOptions,
  condition: {
    type: 'STRING',
    importance: 'HIGH',
    valid: expression,
    doc: "Records for which it is true are kept, e.g. value.op == 'u' && value.after.status != value.before.status.",
  },
})

/** Keeps the records for which an expression is true. */
class ScriptedFilter implements Transformation<ConfigOf<typeof config>> {
  #condition: ScriptedCondition | null = null

  configure(options: ConfigOf<typeof config>): void {
    this.#condition = new ScriptedCondition(options, options.condition)
  }

  apply<R extends ConnectRecord>(record: R): R | null {
    const fate = this.#condition?.fate(record) ?? 'keep'
    if (fate !== 'evaluate') return fate === 'drop' ? null : record
    const result = this.#condition?.evaluate(record)
    if (typeof result === 'boolean') return result ? record : null
    throw new DataError(
      'CONNECT_TRANSFORM_EXPRESSION',
      `The condition must give true or false, but gave ${result === null ? 'null' : `a value of type ${typeof result}`}`,
    )
  }
}

export const scriptedFilter = defineTransformation({
  name: 'io.debezium.transforms.Filter',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new ScriptedFilter(),
})
