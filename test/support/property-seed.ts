// Preloaded into every test process by test/run.ts: properties draw from the seed of the run, unless they name another.
import { isMainThread } from 'node:worker_threads'
import { testSeed } from './seed.ts'

// Threads of a worker under test inherit the preload, and have no properties.
if (isMainThread) {
  const { default: fc } = await import('fast-check')
  fc.configureGlobal({ seed: testSeed })
}
