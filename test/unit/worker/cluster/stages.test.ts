import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Stages } from '../../../../worker/cluster/stages.ts'
import { SteppingClock } from '../../../support/contexts.ts'

test('what holds the loop up is told first, then what runs beside it, then that it waits', async () => {
  const stages = new Stages(new SteppingClock())
  assert.equal(stages.summary(), 'The worker is currently awaiting startup')
  const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
  const [loop, beside, idle] = gates.map((gate) => () => gate.promise)
  assert.ok(loop && beside && idle)
  const works = [
    stages.during('stopping connector c', loop),
    stages.beside('starting the connector', beside),
    stages.waiting('polling the group coordinator until interrupted', idle),
  ]
  for (const name of ['stopping connector c', 'starting the connector', 'polling the group coordinator until']) {
    assert.ok(stages.summary().startsWith(`The worker is currently ${name}`), stages.summary())
    assert.ok(stages.lastAction().startsWith(name))
    gates.shift()?.resolve()
    await works.shift()
  }
  assert.match(
    stages.summary(),
    /^The last operation the worker completed was polling .*, which began at .* and completed at /,
  )
})
