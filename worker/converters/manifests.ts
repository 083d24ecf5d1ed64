import type { ConverterPlugin, HeaderConverterPlugin } from '../api/plugin.ts'
import { cloudEvents } from './cloud-events-manifest.ts'
import { jsonConverters, plainConverters } from './connect-manifests.ts'
import { registryConverters } from './registry/manifests.ts'

/** The converters and header converters that come with the worker. */
export const builtinConverters: readonly (ConverterPlugin | HeaderConverterPlugin)[] = [
  ...jsonConverters,
  ...registryConverters,
  cloudEvents,
  ...plainConverters,
]
