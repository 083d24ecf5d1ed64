import type { RawConfig } from '../../../worker/api/connector.ts'
import { ConfigError } from '../../../worker/api/errors.ts'
import type { S3SinkConfig } from '../config-options.ts'
import { formatOf, isMetaField } from '../config-rules.ts'
import type { RoleFormat } from '../open-file.ts'
import { AvroFormat } from './avro.ts'
import { ByteArrayFormat } from './byte-array.ts'
import { CsvFormat } from './csv.ts'
import type { RecordFormat } from './format.ts'
import { JsonFormat } from './json.ts'
import { JsonEncoder } from './json-encoder.ts'
import { metaColumns } from './meta-fields.ts'
import { ParquetFormat } from './parquet.ts'
import { enveloped, headersView, keyView, rowView, valueView } from './record-views.ts'

/** Formats of everything that a task stores; null: not stored. */
export interface RoleFormats {
  readonly values: RoleFormat
  readonly keys: RoleFormat | null
  readonly headers: RoleFormat | null
}

type FormatOption = 'format.class' | 'keys.format.class' | 'headers.format.class'

/**
 * Loads what the configured formats need.
 * @param raw the options as the user wrote them: blanks count in a separator
 * @throws ConfigError when a package is missing
 */
export async function openFormats(config: S3SinkConfig, raw: RawConfig): Promise<RoleFormats> {
  const asRows = config['behavior.on.null.values'].toLowerCase() === 'row'
  return {
    values: { format: await openFormat(config, 'format.class', raw), view: asRows ? rowView : valueView },
    keys: config['store.kafka.keys'] ? await openKeys(config, raw) : null,
    headers: config['store.kafka.headers'] ? await openHeaders(config, raw) : null,
  }
}

async function openKeys(config: S3SinkConfig, raw: RawConfig): Promise<RoleFormat> {
  const format = await openFormat(config, 'keys.format.class', raw)
  const isTable = format.name === 'parquet' || format.name === 'csv'
  return { format, view: isTable ? enveloped(keyView, 'RecordKey', 'key') : keyView }
}

async function openHeaders(config: S3SinkConfig, raw: RawConfig): Promise<RoleFormat> {
  const format = await openFormat(config, 'headers.format.class', raw)
  const view = format.name === 'avro' ? headersView : enveloped(headersView, 'RecordHeaders', 'headers')
  return { format, view }
}

async function openFormat(config: S3SinkConfig, option: FormatOption, raw: RawConfig): Promise<RecordFormat> {
  const numericDecimals = config['json.decimal.format'].toUpperCase() === 'NUMERIC'
  const metaFields = option === 'format.class' ? config['format.output.meta.fields'].filter(isMetaField) : []
  const added = () => metaColumns(metaFields, new JsonEncoder(numericDecimals))
  const avro = {
    enhanced: config['enhanced.avro.schema.support'],
    connectMetaData: config['connect.meta.data'],
    optionalMapKeys: config['allow.optional.map.keys'],
  }
  switch (formatOf(config[option])) {
    case 'json':
      return new JsonFormat({ numericDecimals, metaFields })
    case 'bytes':
      return new ByteArrayFormat(config['format.bytearray.extension'], raw['format.bytearray.separator'] ?? '\n')
    case 'csv': {
      const columns = option === 'format.class' ? config['csv.columns'] : []
      return new CsvFormat({ columns, header: config['csv.header'], metaColumns: added() })
    }
    case 'avro':
      return AvroFormat.create({ codec: config['avro.codec'], ...avro })
    case 'parquet':
      return ParquetFormat.create({
        codec: config['parquet.codec'],
        avro,
        rowGroupBytes: config['parquet.row.group.bytes'],
        metaColumns: added(),
      })
    case null:
      throw new ConfigError([{ option, message: `'${config[option]}' is not known` }])
  }
}
