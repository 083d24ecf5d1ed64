import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { nodeProblem } from '../../../../worker/util/node-version.ts'
import { projectRoot } from '../../../support/project-root.ts'

const main = join(projectRoot, 'worker', 'main.ts')
const folder = mkdtempSync(join(tmpdir(), 'sluice-main-'))
after(() => rmSync(folder, { recursive: true }))

function sluice(...args: readonly string[]) {
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [main, ...args], { cwd: folder }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

suite('sluice', () => {
  test('--version names the package and the API', async () => {
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string }
    const { code, out } = await sluice('--version')
    assert.equal(code, 0)
    assert.equal(out, `sluice-${version}, REST API of Kafka Connect 4.3.0, Node ${process.version}\n`)
  })

  test('help goes to standard output, wrong usage with its reason to standard error', async () => {
    for (const args of [['--help'], ['distributed', '--help'], ['standalone', '-h']]) {
      const { code, out, err } = await sluice(...args)
      assert.deepEqual([code, err], [0, ''], args.join(' '))
      assert.match(out, /^Usage:/)
    }
    for (const [args, reason] of [
      [['distributed'], /^sluice distributed takes the config of the worker/],
      [['standalone', '--port'], /^sluice standalone has no option --port/],
      [['doctors'], /^There is no command doctors/],
    ] as const) {
      const { code, out, err } = await sluice(...args)
      assert.deepEqual([code, out], [1, ''], args.join(' '))
      assert.match(err, reason)
      assert.match(err, /Usage:/)
    }
  })

  test('a Node that is too old is refused by its version and path', () => {
    assert.equal(nodeProblem('24.0.0', '/n'), null)
    assert.equal(nodeProblem('26.1.0', '/n'), null)
    assert.match(nodeProblem('20.20.2', '/usr/bin/node') ?? '', /needs Node 24 or newer; \/usr\/bin\/node is 20\.20\.2/)
  })

  test('a worker option that looks misspelt is warned of', async () => {
    const file = join(folder, 'worker.properties')
    const converter = 'org.apache.kafka.connect.json.JsonConverter'
    writeFileSync(
      file,
      `bootstrap.servers=127.0.0.1:1\nlisteners=http://127.0.0.1:0\noffset.storage.file.filename=${folder}/offsets\n` +
        `key.converter=${converter}\nvalue.converter=${converter}\nofset.flush.interval.ms=1000\n`,
    )
    const worker = spawn(process.execPath, [main, 'standalone', file], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(worker, 'exit')
    let text = ''
    for await (const chunk of worker.stdout) {
      text += String(chunk)
      if (text.includes('offset.flush.interval.ms is one') || text.includes('Kafka Connect started')) break
    }
    worker.kill('SIGKILL')
    await ended
    assert.match(text, /"level":"WARN".*No worker option is called ofset\.flush\.interval\.ms/)
  })
})
