import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { builtinTransforms } from '../../../transforms/index.ts'
import { Schemas } from '../../../worker/api/data.ts'
import { kindOf, RetriableError } from '../../../worker/api/errors.ts'
import type { TransformationPlugin } from '../../../worker/api/plugin.ts'
import { parseConfig } from '../../../worker/config/config-def.ts'
import { record, struct } from './support.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-script-'))
after(() => rmSync(folder, { recursive: true }))
mkdirSync(join(folder, 'plugins', 'scripts'), { recursive: true })

let files = 0
function write(source: string, extension = 'ts', at = join(folder, 'plugins', 'scripts')): string {
  const file = join(at, `script-${files++}.${extension}`)
  writeFileSync(file, source)
  return file
}

async function load(module: string, pluginPath = [join(folder, 'plugins')]) {
  const plugin = builtinTransforms.find((p): p is TransformationPlugin => p.name === 'sluice.transforms.Script')
  assert.ok(plugin)
  const metrics = { counter: () => ({ add() {} }), gauge: () => ({ set() {} }), histogram: () => ({ observe() {} }) }
  const clock = { now: () => 0, monotonicMs: () => 0, sleep: async () => undefined }
  const instance = await plugin.create({ pluginPath, metrics, clock })
  instance.configure(parseConfig(plugin.config, { module }))
  return instance
}

const valueSchema = struct({ name: Schemas.string, n: Schemas.int64 })
const input = record({ valueSchema, value: { name: 'Ada', n: 1n } })

describe('Script', () => {
  it('runs TypeScript with what changes, the record itself, or null', async () => {
    const script = await load(
      write(`
        interface Row { readonly name: string; readonly n: bigint }
        export default function (record: { readonly value: Row; readonly topic: string }) {
          if (record.value.n === 0n) return null
          if (record.value.n === 2n) return record
          return { topic: record.topic + '.x', value: { ...record.value, name: record.value.name.toUpperCase() } }
        }`),
    )
    const result = script.apply(input)
    assert.deepEqual(result?.value, { name: 'ADA', n: 1n })
    assert.equal(result?.topic, 'topic.x')
    assert.equal(result?.offset, input.offset)
    assert.equal(script.apply(input.with({ value: { name: 'x', n: 0n } })), null)
    const same = input.with({ value: { name: 'x', n: 2n } })
    assert.equal(script.apply(same), same)
  })

  it('gives only the records to it that its predicate takes', async () => {
    const script = await load(
      write(
        `export const predicate = (record) => record.topic === 'other'; export const transform = () => null`,
        'mjs',
      ),
    )
    assert.equal(script.apply(input), input)
    assert.equal(script.apply(input.with({ topic: 'other' })), null)
  })

  it('makes values with the tools it is given, and takes CommonJS', async () => {
    const script = await load(
      write(
        `module.exports = (record, { makeSchema, Schemas, Decimal, decimalSchema }) => record.with({
          valueSchema: makeSchema({ type: 'STRUCT', fields: [{ name: 'd', schema: decimalSchema(2) }] }),
          value: { d: new Decimal(125n, 2) } })`,
        'cjs',
      ),
    )
    const value = script.apply(input)?.value as { d: unknown } | undefined
    assert.equal(String(value?.d), '1.25')
  })

  it('finds a module from the working directory and from the folders of plugin.path', async () => {
    const file = write('export default (r) => r', 'mjs')
    await load(`scripts/${file.split('/').at(-1)}`)
  })

  it('refuses modules outside of plugin.path, also through links', async () => {
    const outside = write('export default (r) => r', 'mjs', folder)
    await assert.rejects(load(outside), /not below any entry of the worker's plugin.path/)
    const link = join(folder, 'plugins', 'link.mjs')
    symlinkSync(outside, link)
    await assert.rejects(load(link), /not below any entry/)
    await assert.rejects(load(write('export default (r) => r', 'mjs'), []), /not below any entry/)
  })

  for (const [what, source, message] of [
    ['throws when it is loaded', `throw new Error('broken')`, /Cannot load .*broken/],
    ['has no function', `export const a = 1`, /exports no function/],
    ['has a predicate that is no function', `export const predicate = 1; export default () => null`, /is no function/],
    ['waits at its top level', `await 1; export default () => null`, /awaits something at its top level/],
    ['is no TypeScript', `export default function ( {`, /Cannot load/],
    ['has an enumeration', `enum A { b } export default () => A.b`, /types are only taken off/],
  ] as const) {
    it(`says at the start that a module ${what}`, async () => {
      await assert.rejects(load(write(source)), message)
    })
  }

  it('says that there is no module', async () => {
    await assert.rejects(load('./none.ts'), /There is no module \.\/none\.ts/)
  })

  for (const [what, source, message] of [
    ['throws', `() => { throw new TypeError('oops') }`, /threw TypeError: oops/],
    ['answers with nothing', `() => {}`, /answered with nothing/],
    ['answers with a text', `() => 'x'`, /answered with a string/],
    ['is async', `async (r) => r`, /cannot be async/],
    ['changes what there is not', `() => ({ vaule: 1 })`, /change vaule/],
    [
      'gives the wrong type',
      `(r) => ({ value: { ...r.value, n: 1 } })`,
      /value\.n is a value of .*Long, where the schema has INT64/,
    ],
    [
      'leaves a required field out',
      `() => ({ value: { name: 'x' } })`,
      /value\.n is null, but its schema is not optional/,
    ],
    ['adds a field without its schema', `(r) => ({ value: { ...r.value, x: 1 } })`, /value\.x is not in the schema/],
    ['gives no topic', `() => ({ topic: '' })`, /topic that is no text/],
    ['gives headers of another shape', `() => ({ headers: { a: 1 } })`, /headers that are no list/],
  ] as const) {
    it(`fails the record when the script ${what}`, async () => {
      const script = await load(write(`export default ${source}`, 'mjs'))
      assert.throws(
        () => script.apply(input),
        (error: Error) =>
          kindOf(error) === 'record' && message.test(error.message) && error.message.includes('script-'),
      )
    })
  }

  it('lets errors of ours through with their kind', async () => {
    const api = new URL('../../../worker/api/errors.ts', import.meta.url).href
    const script = await load(
      write(
        `import { RetriableError } from '${api}'; export default () => { throw new RetriableError('CONNECT_X', 'later') }`,
      ),
    )
    assert.throws(() => script.apply(input), RetriableError)
  })
})
