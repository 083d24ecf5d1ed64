import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { standardOutput } from '../../../../worker/util/log-output.ts'

function systemError(code: string): Error {
  return Object.assign(new Error(`write ${code}`), { code })
}

/** A descriptor that answers each write by the next step: bytes it takes at most, or an error. */
function descriptor(steps: (number | string)[]) {
  const taken: Uint8Array[] = []
  let calls = 0
  const output = standardOutput((bytes) => {
    calls++
    const step = steps.shift() ?? bytes.length
    if (typeof step === 'string') throw systemError(step)
    const part = bytes.slice(0, step)
    taken.push(part)
    return part.length
  })
  return { output, text: () => Buffer.concat(taken).toString(), calls: () => calls }
}

test('a line that is taken in parts, or not at once, is written whole', () => {
  const { output, text } = descriptor([3, 'EAGAIN', 1, 'EBUSY'])
  output.write('{"message":"größer"}\n')
  output.write('{"message":"next"}\n')
  assert.equal(text(), '{"message":"größer"}\n{"message":"next"}\n')
})

test('nothing is written any more for a reader that is gone', () => {
  const { output, text, calls } = descriptor(['EPIPE'])
  output.write('a\n')
  output.write('b\n')
  assert.equal(text(), '')
  assert.equal(calls(), 1)
})

test('lines lost to a full disk are counted, and told by the next that is written', () => {
  const { output, text } = descriptor([2, 'ENOSPC', 'ENOSPC'])
  for (const line of ['first\n', 'second\n', 'third\n', 'fourth\n']) output.write(line)
  const [cut, told, ...rest] = text().split('\n')
  assert.equal(cut, 'fi')
  assert.deepEqual(
    { ...JSON.parse(told ?? ''), time: null },
    {
      level: 'ERROR',
      time: null,
      logger: 'log',
      message: '2 log lines could not be written',
    },
  )
  assert.deepEqual(rest, ['third', 'fourth', ''])
})

test('lines are out before the process ends, however it ends', () => {
  const url = new URL('../../../../worker/util/log.ts', import.meta.url).href
  const script = `
    const { Loggers } = await import(${JSON.stringify(url)})
    const logger = new Loggers().logger('a')
    for (let i = 0; i < 2000; i++) logger.info({ i, text: 'x'.repeat(200) }, 'line')
    process.kill(process.pid, 'SIGKILL')
  `
  const args = ['--input-type=module', '-e', script]
  const { stdout, signal } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1e7 })
  assert.equal(signal, 'SIGKILL')
  const lines = stdout.trimEnd().split('\n')
  assert.equal(lines.length, 2000)
  assert.equal((JSON.parse(lines.at(-1) ?? '') as { i: number }).i, 1999)
})
