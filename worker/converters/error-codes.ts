import { defineErrorCodes } from '../api/errors.ts'

/** Codes of the data errors that converters raise. */
export const converterErrorCodes = defineErrorCodes({
  CONNECT_DATA_TYPE: {
    meaning: 'A value does not have the type that its schema names.',
    remedy:
      'Correct the producer or the transform that made the record, or set errors.tolerance=all with a dead letter queue.',
  },
  CONNECT_DATA_RANGE: {
    meaning: 'A number does not fit the integer type of its schema.',
    remedy: 'Use a wider type in the schema of the producer.',
  },
  CONNECT_DATA_DATE: {
    meaning: 'A date lies further from 1970 than a JavaScript Date reaches (±8.64e15 ms).',
    remedy: 'Correct the producer: such a date is hardly meant; or carry it as a number or text.',
  },
  CONNECT_DATA_NULL: {
    meaning: 'A required field without a default is null.',
    remedy: 'Make the field optional in the schema, or give it a default.',
  },
  CONNECT_DATA_SCHEMA: {
    meaning: 'A schema is incomplete or contradicts itself.',
    remedy: 'Correct the schema that the producer writes into its messages.',
  },
  CONNECT_DATA_SERIALIZATION: {
    meaning: 'Bytes could not be turned into data, or data into bytes.',
    remedy:
      'Choose the converter that wrote the topic (key.converter, value.converter), or send bad records to a dead letter queue.',
  },
  CONNECT_DATA_ENVELOPE: {
    meaning: 'A JSON message has no schema and payload, although schemas.enable is true.',
    remedy: 'Set schemas.enable=false under the converter prefix for plain JSON.',
  },
})
