import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createContext, runInContext } from 'node:vm'
import { statusPage } from '../../../../worker/rest/status-page.ts'

const script = /<script>([\s\S]*)<\/script>/u.exec(statusPage.text?.content ?? '')?.[1] ?? ''

/** What the page shows in the column Behind for the task 0 of connector `c`, from the text of `/metrics`. */
function behind(metrics: readonly string[]): string | null {
  const element = { lastElementChild: {} }
  const context = createContext({
    document: { getElementById: () => element },
    fetch: () => Promise.reject(new Error('no worker')),
    setTimeout: () => undefined,
    performance,
    text: metrics.map((line) => line.replace(' ', '{connector="c",task="0"} ')).join('\n'),
  })
  runInContext(script, context)
  const shown: unknown = runInContext(`lagText(measure(parseMetrics(text)).get('["c","0"]')?.lag ?? null)`, context)
  return shown === null ? null : String(shown)
}

suite('the status page tells how far a task is behind', () => {
  const sink = 'kafka_connect_sink_task_metrics_sink_record_active_count'
  const log = 'kafka_connect_plugins_slot_unconfirmed_bytes'
  const rows = 'kafka_connect_plugins_snapshot_estimated_rows_left'

  test('a sink by its records in flight, a Postgres source by the log it has not confirmed', () => {
    assert.equal(behind([`${sink} 12345`]), '12.3K in flight')
    assert.equal(behind([`${log} 368`]), '0.4 kB of log')
    assert.equal(behind([`${log} 2500000`]), '2.5 MB of log')
  })

  test('rows that a snapshot has still to read say more', () => {
    assert.equal(behind([`${log} 2500000`, `${rows} 4500`]), '4.5K rows to snapshot')
    assert.equal(behind([`${log} 2500000`, `${rows} 0`]), '2.5 MB of log')
  })

  test('whatever a connector of others calls lag', () => {
    assert.equal(behind(['kafka_connect_plugins_feed_lag_ms 2500']), '2.5 s behind')
    assert.equal(behind(['kafka_connect_plugins_feed_lag 7']), '7 records behind')
  })

  test('nothing when all is done', () => {
    assert.equal(behind([`${sink} 0`, `${log} 0`, 'kafka_connect_sink_task_metrics_put_batch_max_time_ms 5']), null)
  })
})
