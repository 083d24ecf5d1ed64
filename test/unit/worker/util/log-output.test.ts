import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { test } from 'node:test'

/** A process that writes lines, and then runs `last`. */
function writeLines(lines: number, last: string, stdout: 'pipe' | number) {
  const url = new URL('../../../../worker/util/log.ts', import.meta.url).href
  const script = `
    const { Loggers } = await import(${JSON.stringify(url)})
    const logger = new Loggers().logger('a')
    for (let i = 0; i < ${lines}; i++) logger.info({ i, text: 'x'.repeat(200) }, 'line')
    ${last}
  `
  const args = ['--input-type=module', '-e', script]
  return spawnSync(process.execPath, args, {
    encoding: 'utf8',
    maxBuffer: 1e7,
    stdio: ['ignore', stdout, 'pipe'],
  })
}

test('lines are out before the process ends, however it ends', () => {
  const { stdout, signal } = writeLines(2000, "process.kill(process.pid, 'SIGKILL')", 'pipe')
  assert.equal(signal, 'SIGKILL')
  const lines = stdout.trimEnd().split('\n')
  assert.equal(lines.length, 2000)
  assert.equal((JSON.parse(lines.at(-1) ?? '') as { i: number }).i, 1999)
})

test('a disk without room for lines costs lines, not the process, nor its memory', () => {
  const full = openSync('/dev/full', 'w')
  try {
    const report = 'process.stderr.write(JSON.stringify(process.memoryUsage().rss))'
    const { status, stderr } = writeLines(100_000, report, full)
    assert.equal(status, 0, stderr)
    // Nothing of the 25 MB that could not be written is kept, but a small buffer.
    const { stderr: few } = writeLines(100, report, full)
    assert.ok(Number(stderr) - Number(few) < 80e6, `${stderr} after 100,000 lines, ${few} after 100`)
  } finally {
    closeSync(full)
  }
})
