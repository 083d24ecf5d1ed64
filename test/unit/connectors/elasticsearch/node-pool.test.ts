import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { HttpConnection } from '../../../../connectors/elasticsearch/http-connection.ts'
import { NodePool } from '../../../../connectors/elasticsearch/node-pool.ts'
import { bareConnection } from './support.ts'

function pool(names: readonly string[]) {
  const connections = names.map((name) => bareConnection(`http://${name}:9200`))
  const time = { nowMs: 5 }
  const nodes = new NodePool(connections, () => time.nowMs)
  const byName = (name: string) => connections[names.indexOf(name)] as HttpConnection
  return { time, nodes, byName, take: () => nodes.getConnection()?.url.hostname }
}

describe('nodes of a cluster', () => {
  it('are asked in turn', () => {
    const { nodes, take } = pool(['a', 'b', 'c'])
    assert.equal(nodes.size, 3)
    assert.deepEqual([take(), take(), take(), take()], ['a', 'b', 'c', 'a'])
  })

  it('rest after a failure, longer each time, up to a minute', () => {
    const { nodes, time, byName, take } = pool(['a', 'b'])
    for (const restMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
      nodes.markDead(byName('a'))
      time.nowMs += restMs - 1
      assert.deepEqual([take(), take()], ['b', 'b'])
      time.nowMs += 1
      assert.deepEqual(new Set([take(), take()]), new Set(['a', 'b']))
    }
  })

  it('are as good as new after an answer', () => {
    const { nodes, time, byName, take } = pool(['a', 'b'])
    for (let i = 0; i < 5; i++) nodes.markDead(byName('a'))
    nodes.markAlive(byName('a'))
    assert.deepEqual([take(), take()], ['a', 'b'])
    nodes.markDead(byName('a'))
    time.nowMs += 1000
    assert.deepEqual([take(), take()], ['a', 'b'])
  })

  it('are asked all the same when all rest: first the one that rests no longer than the others', () => {
    const { nodes, time, byName, take } = pool(['a', 'b', 'c'])
    for (const name of ['c', 'b', 'a', 'b']) {
      nodes.markDead(byName(name))
      time.nowMs += 10
    }
    assert.deepEqual([take(), take()], ['c', 'c'])
  })
})
