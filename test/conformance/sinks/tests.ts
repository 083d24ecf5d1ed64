import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { requireService, skipUnless } from '../../support/services.ts'
import { type SinkName, sinkCases } from './corpus.ts'
import { casesAtATime, ownExpectations, type SinkSuite, SuiteRun } from './suite.ts'

/**
 * Declares one test per recorded case of a sink, played through a whole worker. A case without an expectation of its
 * own must leave behind what the reference left behind.
 */
export function sinkConformance(sink: SinkName, openSuite: () => SinkSuite): void {
  const names = sinkCases(sink)
  const own = ownExpectations(sink)
  const skip = skipUnless(requireService('kafka'), requireService(sink))
  describe(`recorded cases of the ${sink} sink`, { skip, concurrency: casesAtATime }, () => {
    let run: SuiteRun | undefined
    let passed = 0
    let skipped = 0
    before(async () => {
      run = await SuiteRun.open(openSuite())
    })
    after(async () => {
      await run?.[Symbol.asyncDispose]()
      if (skip === false) {
        const notes = `${own.size} with an expectation of their own, ${skipped} skipped`
        process.stdout.write(`${sink}: ${passed} of ${names.length} cases equal (${notes})\n`)
      }
    })
    for (const name of names) {
      const reason = own.get(name)?.reason
      it(reason === undefined ? name : `${name} (differs: ${reason})`, { timeout: 120_000 }, async (t) => {
        assert.ok(run !== undefined)
        const missing = run.missing.get(name)
        if (missing !== undefined) {
          skipped += 1
          t.skip(missing)
          return
        }
        assert.deepEqual(await run.play(name), [])
        passed += 1
      })
    }
  })
}
