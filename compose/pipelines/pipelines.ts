import { LeadsPipeline } from './leads/pipeline.ts'
import { CompleteSearchPipeline } from './search/complete.ts'
import { SearchPipeline } from './search/pipeline.ts'
import type { Pipeline } from './support/pipeline.ts'
import { CompleteWarehousePipeline } from './warehouse/complete.ts'
import { WarehousePipeline } from './warehouse/pipeline.ts'

/**
 * Every pipeline by its name.
 *
 * `instance` (lower-case letters and digits) is appended to every name that a run uses, so that runs side by side do
 * not meet; the quickstart's is empty.
 */
export const pipelines: Readonly<Record<string, (instance: string) => Pipeline>> = {
  search: (instance) => new CompleteSearchPipeline(instance),
  warehouse: (instance) => new CompleteWarehousePipeline(instance),
  leads: (instance) => new LeadsPipeline(instance),
}

/** Those that `npm run quickstart` runs together. */
export function quickstartPipelines(instance: string): readonly Pipeline[] {
  return [new SearchPipeline(instance), new WarehousePipeline(instance)]
}
