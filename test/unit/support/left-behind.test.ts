import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import { endProcessesWith, processesWith } from '../../support/left-behind.ts'

const idle = ['-e', 'setInterval(() => {}, 1000); console.log("up")']

test('ends the processes that inherited the run’s variable, and no other', async () => {
  const [variable, value] = ['SLUICE_TEST_LEFT_BEHIND', randomUUID()]
  const start = async (env: NodeJS.ProcessEnv) => {
    const child = spawn(process.execPath, idle, { env, stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    return child
  }
  const mine = await start({ ...process.env, [variable]: value })
  const other = await start({ ...process.env, [variable]: randomUUID() })
  try {
    const gone = once(mine, 'exit')
    const ended = endProcessesWith(variable, value)
    assert.deepEqual(
      ended.map(({ pid }) => pid),
      [mine.pid],
    )
    assert.match(ended[0]?.command ?? '', /setInterval/)
    assert.deepEqual(await gone, [null, 'SIGKILL'])
    assert.equal(other.exitCode, null)
    assert.equal(other.signalCode, null)
    assert.deepEqual(processesWith(variable, value), [])
  } finally {
    mine.kill('SIGKILL')
    other.kill('SIGKILL')
  }
})
