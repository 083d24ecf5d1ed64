import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { diffLines, renderDiff } from '../../../../worker/cli/transform/line-diff.ts'
import { projectRoot } from '../../../support/project-root.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-transform-'))
after(() => rmSync(folder, { recursive: true }))

function file(name: string, content: unknown): string {
  const path = join(folder, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

function sluice(args: readonly string[], env: Record<string, string> = {}) {
  const main = join(projectRoot, 'worker', 'main.ts')
  const options = { env: { ...process.env, ...env }, cwd: folder }
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(process.execPath, [main, 'transform', ...args], options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}

const config = file('connector.json', {
  name: 'c',
  config: {
    'connector.class': 'FileStreamSink',
    transforms: 'drop,mask,route',
    'transforms.mask.type': 'org.apache.kafka.connect.transforms.MaskField$Value',
    'transforms.mask.fields': 'card',
    'transforms.route.type': 'org.apache.kafka.connect.transforms.RegexRouter',
    'transforms.route.regex': 'raw\\.(.*)',
    'transforms.route.replacement': '$1',
    'transforms.drop.type': 'org.apache.kafka.connect.transforms.Filter',
    'transforms.drop.predicate': 'isTombstone',
    predicates: 'isTombstone',
    'predicates.isTombstone.type': 'org.apache.kafka.connect.transforms.predicates.RecordIsTombstone',
  },
})
const schema = {
  type: 'struct',
  optional: false,
  name: 'shop.Order',
  fields: [
    { field: 'id', type: 'int64', optional: false },
    { field: 'card', type: 'string', optional: true },
  ],
}
// JSON.stringify would lose the digits of the id.
const order = `{"topic":"raw.orders","timestamp":0,"headers":[{"key":"h","value":"x"}],"value":{"schema":${JSON.stringify(schema)},"payload":{"id":9007199254740993,"card":"4111"}}}`

describe('sluice transform test', () => {
  it('takes a config without a name, and tells why a transform that needs schemas does nothing', async () => {
    const nameless = file('nameless.json', {
      transforms: 'unwrap',
      'transforms.unwrap.type': 'io.debezium.transforms.ExtractNewRecordState',
    })
    const event = file('event.json', { value: { before: null, after: { id: 1 }, op: 'c' } })
    const { code, out } = await sluice(['test', nameless, event])
    assert.equal(code, 0, out)
    assert.match(out, /unchanged: it looks at values with a schema/)
  })

  it('does not pass without a record', async () => {
    const { code, err } = await sluice(['test', config, file('empty.json', [])])
    assert.equal(code, 1)
    assert.match(err, /empty\.json: it holds no record/)
  })

  it('prints what each step changes', async () => {
    const fixture = file('steps.json', `[${order}, {"topic": "raw.gone", "key": "k", "value": null}]`)
    const { code, out } = await sluice(['test', config, fixture])
    assert.equal(code, 0)
    assert.match(out, /- {3}card \(string\?\) = "4111"\n\+ {3}card \(string\?\) = ""/)
    assert.match(out, /id \(int64\) = 9007199254740993/)
    assert.match(out, /- topic: raw\.orders\n\+ topic: orders/)
    assert.match(out, /not applied: predicate isTombstone is false/)
    assert.match(out, /--- drop: .*Filter\ndropped/)
    assert.ok(!out.includes('\u001b'), 'no colours where nobody looks')
    assert.match(out, /2 of 2 as expected\n$/)
  })

  it('writes what comes out with --update, exactly, and compares it the next time', async () => {
    const fixture = file('golden.json', `[${order}, {"key":"k","value":null}, {"value":"no struct"}]`)
    assert.equal((await sluice(['test', config, fixture])).code, 1, 'a record that fails fails the test')
    assert.equal((await sluice(['test', config, fixture, '--update'])).code, 0)
    const written = readFileSync(fixture, 'utf8')
    assert.ok(written.includes('9007199254740993'))
    const { expected } = JSON.parse(written) as { expected: { topic?: string; error?: string }[] }
    assert.equal(expected[0]?.topic, 'orders')
    assert.equal(expected[1], null)
    assert.match(expected[2]?.error ?? '', /Only Map objects supported/)
    assert.equal((await sluice(['test', config, fixture])).code, 0)

    file(
      'golden.json',
      written.replace('"topic":"orders"', '"topic":"bills"').replace('"topic": "orders"', '"topic": "bills"'),
    )
    const { code, out } = await sluice(['test', config, fixture])
    assert.equal(code, 1)
    assert.match(out, /not as expected:\n- topic: bills\n\+ topic: orders/)
    assert.match(out, /2 of 3 as expected/)
    await sluice(['test', config, fixture, '--update'])
    assert.equal(readFileSync(fixture, 'utf8'), written)
  })

  it('runs scripts of --plugin-path, at a time that can be told', async () => {
    const scripted = file('scripted.json', {
      name: 's',
      transforms: 'mine,wrap',
      'transforms.mine.type': 'Script',
      'transforms.mine.module': './mine.mjs',
      'transforms.wrap.type': 'Envelope',
      'transforms.wrap.wrap': 'false',
    })
    file('mine.mjs', `export default (r) => ({ value: { ...r.value, seen: true } })`)
    file('index.mjs', `export const plugins = []`)
    const fixture = file('plain.json', { value: { a: 1 } })
    const { code, out, err } = await sluice([
      'test',
      scripted,
      fixture,
      '--plugin-path',
      folder,
      '--now',
      '2026-01-31T12:00:00Z',
    ])
    assert.equal(code, 0, err)
    assert.match(out, /\+ {3}seen = true/)
    assert.match(
      out,
      /envelope\.accepted \(int64 org\.apache\.kafka\.connect\.data\.Timestamp v1\) = 2026-01-31T12:00:00\.000Z/,
    )
  })

  it('goes on after a script that loops for ever', async () => {
    const looping = file('looping.json', {
      name: 's',
      transforms: 'mine',
      'transforms.mine.type': 'Script',
      'transforms.mine.module': './looping.mjs',
    })
    file('looping.mjs', `export default (r) => { while (r.value.a === 1); return { value: { done: true } } }`)
    file('index.mjs', `export const plugins = []`)
    const fixture = file('two.json', [{ value: { a: 1 } }, { value: { a: 2 } }])
    const args = ['test', looping, fixture, '--plugin-path', folder]
    const { code, out } = await sluice([...args, '--timeout', '200'])
    assert.equal(code, 1)
    assert.match(out, /failed: mine \(.*Script\) has not answered within 200 ms/)
    assert.match(out, /\+ {3}done = true/)
    assert.match(out, /1 of 2 as expected/)
    const wrong = await sluice([...args, '--timeout', 'soon'])
    assert.match(wrong.err, /--timeout soon is no number of ms/)
  })

  it('names the file and what is wrong with it', async () => {
    const wrong = file('wrong.json', '{"records": [{"valeu": 1}]}')
    assert.match((await sluice(['test', config, wrong])).out, /"valeu" is no part of a record/)
    const { code, err } = await sluice(['test', config, file('broken.json', '[')])
    assert.equal(code, 1)
    assert.match(err, /Cannot use the fixture .*broken\.json/)
    assert.match((await sluice(['test', join(folder, 'none.json'), wrong])).err, /none\.json/)
    const unknown = file('unknown.json', { name: 'u', transforms: 'x', 'transforms.x.type': 'Nope' })
    assert.match((await sluice(['test', unknown, wrong])).err, /which name matches Nope/)
  })

  it('answers wrong usage with how it is used', async () => {
    for (const args of [[], ['test'], ['show', config, config], ['test', config, config, '--what']]) {
      const { code, err } = await sluice(args)
      assert.equal(code, 2)
      assert.match(err, /Usage: sluice transform test/)
    }
  })
})

describe('differences of lines', () => {
  it('property: the old and the new text can be read off, and nothing common is missed', () => {
    const lines = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 12 })
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const diff = diffLines(before, after)
        const side = (left: 'removed' | 'added') => diff.filter((l) => l.kind !== left).map((l) => l.text)
        assert.deepEqual(side('added'), before)
        assert.deepEqual(side('removed'), after)
        if (before.join() === after.join()) assert.ok(diff.every((l) => l.kind === 'same'))
      }),
    )
  })

  it('colours what was removed and added', () => {
    assert.equal(
      renderDiff(diffLines(['a', 'b'], ['a', 'c']), true),
      '  a\n\u001b[31m- b\u001b[0m\n\u001b[32m+ c\u001b[0m',
    )
  })
})
