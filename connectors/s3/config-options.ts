import { type ConfigOf, defineConfig } from '../../worker/api/config.ts'
import { awsOptions } from './options/aws.ts'
import { fileOptions } from './options/file.ts'
import { notifyOptions } from './options/notify.ts'
import { partitionerOptions } from './options/partitioner.ts'
import { sideObjectOptions } from './options/side-objects.ts'
import { storageOptions } from './options/storage.ts'

/**
 * Options of the S3 sink, one file per group. Names, meanings and defaults are those of Confluent's connector; what
 * this sink adds says so in its text. An option whose feature is not there refuses every value but its default.
 */
export const s3SinkOptions = defineConfig({
  ...storageOptions,
  ...fileOptions,
  ...partitionerOptions,
  ...sideObjectOptions,
  ...awsOptions,
  ...notifyOptions,
})

export type S3SinkConfig = ConfigOf<typeof s3SinkOptions>
