import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Converter } from '../../../../worker/api/converter.ts'
import { Schemas } from '../../../../worker/api/data.ts'
import { RetriableError } from '../../../../worker/api/errors.ts'
import type { SinkRecord } from '../../../../worker/api/record.ts'
import { ByteArrayConverter } from '../../../../worker/converters/primitives.ts'
import { SimpleHeaderConverter } from '../../../../worker/converters/simple-header.ts'
import { ErrorOperator } from '../../../../worker/runtime/retry.ts'
import { SinkPipeline } from '../../../../worker/runtime/sink-pipeline.ts'
import { TransformationChain } from '../../../../worker/runtime/transformation-chain.ts'
import { SteppingClock } from '../../../support/contexts.ts'

/** Must load something before its first message; the first attempts fail, as those at a registry that is away. */
class LoadingConverter implements Converter<unknown> {
  attempts = 0
  #loaded = false
  readonly #failures: number

  constructor(failures: number) {
    this.#failures = failures
  }

  configure(): void {}
  fromConnectData = (): null => null

  toConnectData() {
    if (!this.#loaded) throw new Error('not loaded')
    return { schema: Schemas.string, value: 'read' }
  }

  needsPrepare(): boolean {
    return !this.#loaded
  }

  async prepare(): Promise<void> {
    if (this.attempts++ < this.#failures) throw new RetriableError('CONNECT_TEST', 'away')
    this.#loaded = true
  }
}

test('a schema that could not be loaded is asked for again until errors.retry.timeout', async () => {
  const value = new LoadingConverter(2)
  const nothing = (): void => undefined
  const errors = new ErrorOperator({
    retry: { timeoutMs: 60_000, maxDelayMs: 1000 },
    tolerance: 'none',
    reporters: [],
    counters: {
      failure: nothing,
      error: nothing,
      skipped: nothing,
      retry: nothing,
      logged: nothing,
      deadLetterRequest: nothing,
      deadLetterFailure: nothing,
    },
    clock: new SteppingClock(),
  })
  const loaded = <C>(converter: C) => ({ className: 'X', version: '1', converter })
  const pipeline = new SinkPipeline({
    chain: new TransformationChain([]),
    converters: {
      key: loaded(new ByteArrayConverter()),
      value: loaded(value),
      header: loaded(new SimpleHeaderConverter()),
      close: async () => undefined,
    },
    errors,
    keepOriginals: false,
  })
  const records = [1n, 2n].map((offset) => ({
    offset,
    timestamp: 5,
    timestampType: 'CreateTime' as const,
    key: null,
    value: Buffer.from('x'),
    headers: [],
  }))
  const out: SinkRecord[] = []
  const batch = { topic: 't', partition: 0, records, nextOffset: 3n, endOffset: 3n }
  assert.equal(await pipeline.convert(batch, out, new AbortController().signal), true)
  assert.deepEqual(
    out.map((record) => [record.offset, record.value]),
    [
      [1n, 'read'],
      [2n, 'read'],
    ],
  )
  assert.equal(value.attempts, 3)
})
