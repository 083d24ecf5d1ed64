import assert from 'node:assert/strict'
import test from 'node:test'
import { checkTaskCount, parseCommonOptions } from '../../../../worker/runtime/task-options.ts'

const options = (changes: Readonly<Record<string, string>>) =>
  parseCommonOptions({ name: 'a', 'connector.class': 'X', 'tasks.max': '2', ...changes })

test('statements 57 to 59: more tasks than tasks.max are refused, unless that is not enforced', () => {
  checkTaskCount('a', 2, options({}))
  assert.throws(() => checkTaskCount('a', 3, options({})), {
    code: 'CONNECT_TASKS_MAX',
    message: /^The connector a has generated 3 tasks, which is greater than 2, the maximum number of tasks/,
  })
  checkTaskCount('a', 3, options({ 'tasks.max.enforce': 'false' }))
})
