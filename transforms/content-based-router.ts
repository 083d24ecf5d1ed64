import { type ConfigOf, defineConfig } from '../worker/api/config.ts'
import { DataError } from '../worker/api/errors.ts'
import { defineTransformation } from '../worker/api/plugin.ts'
import type { ConnectRecord } from '../worker/api/record.ts'
import type { Transformation } from '../worker/api/transform.ts'
import { debeziumVersion } from './change-event.ts'
import { expression, ScriptedCondition, scriptedOptions } from './scripted.ts'

const config = defineConfig({
  ...scriptedOptions,
  'topic.expression': {
    type: 'STRING',
    importance: 'HIGH',
    valid: expression,
    doc: "The topic of the record, or null to leave it, e.g. value.after.country == 'CZ' ? 'eu' : null.",
  },
})

/** Sends records to the topic that an expression gives. */
class ContentBasedRouter implements Transformation<ConfigOf<typeof config>> {
  #condition: ScriptedCondition | null = null

  configure(options: ConfigOf<typeof config>): void {
    this.#condition = new ScriptedCondition(options, options['topic.expression'])
  }

  apply<R extends ConnectRecord>(record: R): R | null {
    const fate = this.#condition?.fate(record) ?? 'keep'
    if (fate !== 'evaluate') return fate === 'drop' ? null : record
    const topic = this.#condition?.evaluate(record)
    if (topic === null || topic === undefined) return record
    if (typeof topic === 'string' && topic !== '') return record.with({ topic })
    throw new DataError(
      'CONNECT_TRANSFORM_EXPRESSION',
      `topic.expression must give a topic name or null, but gave ${topic === '' ? 'an empty text' : `a value of type ${typeof topic}`}`,
    )
  }
}

export const contentBasedRouter = defineTransformation({
  name: 'io.debezium.transforms.ContentBasedRouter',
  aliases: [],
  version: debeziumVersion,
  config,
  create: async () => new ContentBasedRouter(),
})
