import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { diagnose } from '../../../../connectors/elasticsearch/diagnosis.ts'
import { diagnosisOf, itemDiagnosis, requestError } from '../../../../connectors/elasticsearch/errors.ts'
import { traceOf } from '../../../../worker/util/error-codec.ts'

/** An error as the client throws it: its own around that of the socket. */
function lost(code: string): Error {
  const socket = Object.assign(new Error('of the socket'), { code })
  const error = new Error('of the client', { cause: socket })
  error.name = 'ConnectionError'
  return error
}

function answered(statusCode: number, type?: string): Error {
  const body = type === undefined ? '' : { error: { type, reason: 'as the server says' } }
  return Object.assign(new Error('answer'), { name: 'ResponseError', statusCode, body })
}

describe('the diagnosis of a failure', () => {
  it('goes by the code of the socket where there was no answer', () => {
    assert.match(diagnosisOf(lost('ENOTFOUND')) ?? '', /connection\.url/)
    assert.match(diagnosisOf(lost('UNABLE_TO_VERIFY_LEAF_SIGNATURE')) ?? '', /truststore\.location/)
    assert.equal(diagnosisOf(lost('ENOSUCH')), null)
    const late = new Error('no answer')
    late.name = 'TimeoutError'
    assert.match(diagnosisOf(late) ?? '', /read\.timeout\.ms/)
  })

  it('goes by the type that the server gives before the status, and the outer before the inner', () => {
    assert.match(diagnosisOf(answered(403)) ?? '', /create_index/)
    assert.match(diagnosisOf(answered(403, 'security_exception')) ?? '', /create_index/)
    assert.match(diagnosisOf(answered(403, 'cluster_block_exception')) ?? '', /index\.blocks/)
    assert.equal(diagnosisOf(answered(500, 'null_pointer_exception')), null)
    const nested = {
      type: 'mapper_parsing_exception',
      reason: 'r',
      caused_by: { type: 'illegal_argument_exception', reason: 'r' },
    }
    assert.match(itemDiagnosis(nested) ?? '', /does not suit the mapping/)
    assert.match(itemDiagnosis({ type: 'security_exception', reason: 'r' }) ?? '', /create_index/)
    assert.equal(itemDiagnosis(undefined), null)
    assert.equal(diagnose({ status: null, types: ['unheard_of_exception'], codes: [], showsReason: false }), null)
  })

  it('is one more line of the trace, and leaves the words of the reference as they are', () => {
    const heads = (error: unknown) =>
      traceOf(error)
        .split('\n')
        .filter((line) => !line.startsWith('\t'))
    const java = 'org.apache.kafka.connect.errors.ConnectException'
    const said =
      'ElasticsearchStatusException[Elasticsearch exception [type=index_closed_exception, reason=as the server says]]'
    const closed = requestError({
      what: 'execute bulk request',
      error: answered(400, 'index_closed_exception'),
      attempts: 1,
    })
    assert.deepEqual(heads(closed).slice(0, 2), [
      `${java}: Failed to execute bulk request due to '${said}' after 1 attempt(s)`,
      `Caused by: ${said}`,
    ])
    assert.match(heads(closed)[2] ?? '', /^Caused by: .*behavior\.on\.closed\.index=skip/)
    assert.equal(heads(closed).length, 3)
    const refused = heads(requestError({ what: 'check', error: lost('ECONNREFUSED'), attempts: 2 }))
    assert.match(refused[1] ?? '', /^Caused by: .*check host and port/)
    assert.match(refused.at(-1) ?? '', /of the socket/)
  })

  it('leaves out what the server says where that may quote documents (I8)', () => {
    const error = answered(400, 'illegal_argument_exception')
    const trace = traceOf(requestError({ what: 'execute bulk request', error, attempts: 1, quotesData: true }))
    assert.ok(!trace.includes('as the server says'))
    assert.match(trace, /HTTP 400 illegal_argument_exception/)
    // What the reasons may be is of use here only.
    assert.match(trace, /pipeline\.name/)
    const shown = traceOf(requestError({ what: 'create data stream s', error, attempts: 1 }))
    assert.match(shown, /as the server says/)
    assert.ok(!shown.includes('pipeline.name'))
  })
})
