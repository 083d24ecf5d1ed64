import type { Schema } from './data.ts'
import { isGeneralizedUnion } from './sum-types.ts'

/** Name of Connect schemas that came from Avro unions. */
export const avroUnionName = 'io.confluent.connect.avro.Union'

/** Whether a struct, of which one field is set, is written as an Avro union. */
export const isAvroUnion = (schema: Schema): boolean =>
  schema.type === 'STRUCT' && (schema.name === avroUnionName || isGeneralizedUnion(schema))
