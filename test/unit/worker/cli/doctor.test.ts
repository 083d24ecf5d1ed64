import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { projectRoot } from '../../../support/project-root.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-doctor-'))
after(() => rmSync(folder, { recursive: true }))

function file(name: string, content: string | object): string {
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))
  return name
}

function doctor(...args: readonly string[]) {
  const main = join(projectRoot, 'worker', 'main.ts')
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [main, 'doctor', ...args], { cwd: folder }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

const converter = 'org.apache.kafka.connect.json.JsonConverter'
const worker = file(
  'worker.properties',
  `bootstrap.servers=127.0.0.1:1\noffset.storage.file.filename=/o\nkey.converter=${converter}\n` +
    `value.converter=${converter}\nofset.flush.interval.ms=1\n`,
)

suite('sluice doctor', () => {
  test('wrong usage is told with the usage, exit code 2', async () => {
    for (const [args, reason] of [
      [[], /takes the config of a worker/],
      [['w', '--timeout', 'long'], /--timeout long is no time/],
      [['w', '--bogus'], /--bogus/],
    ] as const) {
      const { code, out, err } = await doctor(...args)
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, reason)
      assert.match(err, /Usage: sluice doctor/)
    }
  })

  test('a worker config that cannot be used is the only finding', async () => {
    const { code, out } = await doctor(file('empty.properties', ''))
    assert.equal(code, 1)
    assert.match(out, /^problem {2}empty\.properties: .*key\.converter/)
    assert.match(
      (await doctor('none.properties')).out,
      /^problem {2}none\.properties: Cannot read the worker config .*\n$/,
    )
  })

  test('Kafka that does not answer does not keep it from the connectors; each finding names its file', async () => {
    const source = { 'connector.class': 'FileStreamSource', topic: 't', file: '/f' }
    const files = [
      file('good.json', { name: 'good', config: source }),
      file('slip.json', { name: 'slip', config: { ...source, 'task.max': '2' } }),
      file('bad.json', { name: 'bad', config: { 'connector.class': 'FileStreamSink', 'tasks.max': 'many' } }),
      file('unknown.json', { name: 'u', config: { 'connector.class': 'io.example.Unknown' } }),
    ]
    const { code, out } = await doctor(worker, ...files, '--standalone', '--timeout', '200')
    assert.equal(code, 1)
    const lines = out.trimEnd().split('\n')
    const found = [
      /^ok {7}worker\.properties: the options of a standalone worker$/,
      /^warning {2}worker\.properties: .*ofset\.flush\.interval\.ms; offset\.flush\.interval\.ms is one$/,
      /^problem {2}127\.0\.0\.1:1: Could not ask for the cluster id within 200 ms: No Kafka broker answers/,
      /^ok {7}good\.json: good, FileStreamSource$/,
      /^warning {2}slip\.json: task\.max has no effect, .* tasks\.max is an option$/,
      /^problem {2}bad\.json: tasks\.max: Invalid value many/,
      /^problem {2}bad\.json: topics: Must configure one of topics or topics\.regex$/,
      /^problem {2}unknown\.json: Failed to find any class .* io\.example\.Unknown/,
    ]
    for (const pattern of found)
      assert.ok(
        lines.some((line) => pattern.test(line)),
        `${pattern} in\n${out}`,
      )
  })
})
