/** `sluice/testing`: suites and contexts for tests of plugins, over node:test. */
export { sinkTaskContext, sourceTaskContext } from '../support/contexts.ts'
export * from './converter.ts'
export * from './plugin.ts'
export * from './sink-task.ts'
export * from './source-task.ts'
export * from './transformation.ts'
