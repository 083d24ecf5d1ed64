import { SearchPipeline } from './search/pipeline.ts'
import type { Pipeline } from './support/pipeline.ts'
import { WarehousePipeline } from './warehouse/pipeline.ts'

/** Every pipeline by its name. */
export const pipelines: Readonly<Record<string, () => Pipeline>> = {
  search: () => new SearchPipeline(),
  warehouse: () => new WarehousePipeline(),
}
