import { s3SinkOptions } from './config-options.ts'
import { checkS3Config } from './config-rules.ts'

export type { S3SinkConfig } from './config-options.ts'

/** Options of the S3 sink with the rules between them. */
export const s3SinkConfig: typeof s3SinkOptions = {
  keys: s3SinkOptions.keys,
  validate: checkS3Config,
}
