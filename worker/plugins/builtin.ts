/**
 * The manifests of all plugins that come with the worker, for what looks at each of them: validation, docs. A task loads
 * those of its own plugins only (`catalog.ts`).
 */
import { plugin as elasticsearchSink } from '../../connectors/elasticsearch/index.ts'
import { plugins as fileStream } from '../../connectors/file-stream/index.ts'
import { plugin as postgresSource } from '../../connectors/postgres-cdc/index.ts'
import { plugin as redshiftSink } from '../../connectors/redshift/index.ts'
import { plugin as s3Sink } from '../../connectors/s3/index.ts'
import { builtinTransforms } from '../../transforms/index.ts'
import type { Plugin } from '../api/plugin.ts'
import { builtinConverters } from '../converters/manifests.ts'

export const builtinPlugins: readonly Plugin[] = [
  ...fileStream,
  postgresSource,
  elasticsearchSink,
  s3Sink,
  redshiftSink,
  ...builtinConverters,
  ...builtinTransforms,
]
