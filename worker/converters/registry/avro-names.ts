import { avroNamespace } from '../../api/avro-schema.ts'

/** Names that Confluent's converters put into Avro and Connect schemas. */
export const avroDefaultName = `${avroNamespace}.ConnectDefault`
export const avroMapEntryName = `${avroNamespace}.MapEntry`
export const avroRecordDoc = `${avroNamespace}.record.doc`
export const avroFieldDoc = `${avroNamespace}.field.doc.`
export const avroEnumDoc = `${avroNamespace}.enum.doc.`
export const avroEnumDefault = `${avroNamespace}.enum.default.`
export const avroFieldDefault = `${avroNamespace}.field.default`
/** With `discard.type.doc.default`. */
export const avroConnectRecordDoc = 'connect.record.doc'
export const avroConnectEnumDoc = 'connect.enum.doc'
