/** Holds the deep imports to the pinned kafkajs: a changed package fails here and not in production. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { BrokerNode } from '../../../../worker/kafka/broker-node.ts'
import { readConnectionConfig } from '../../../../worker/kafka/client-config.ts'
import { brokerMaker } from '../../../../worker/kafka/kafkajs-internals.ts'
import { PropertyReader } from '../../../../worker/kafka/property-reader.ts'
import { metadataRequest } from '../../../../worker/kafka/protocol/metadata.ts'
import { ScriptedBroker } from '../../../support/kafka/scripted-broker.ts'

const config = (bootstrap: string) =>
  readConnectionConfig(new PropertyReader({ 'bootstrap.servers': bootstrap, 'request.timeout.ms': '300' }), {
    apiTimeoutMs: 1000,
  })

test('the package is the one that was read', () => {
  const require = createRequire(import.meta.url)
  assert.equal((require('kafkajs/package.json') as { version: string }).version, '2.2.4')
})

test('brokers, pools, connections and queues have the parts that are used', () => {
  const broker = brokerMaker(config('127.0.0.1:1'), null)('127.0.0.1', 1, 7)
  const methods = [
    'findGroupCoordinator',
    'syncGroup',
    'heartbeat',
    'leaveGroup',
    'describeGroups',
    'deleteTopics',
    'describeConfigs',
  ] as const
  for (const method of methods) assert.equal(typeof broker[method], 'function', method)
  assert.equal(broker.connectionPool.pool.length, 2)
  const [connection] = broker.connectionPool.pool
  assert.ok(connection)
  for (const method of [
    'connect',
    'authenticate',
    'disconnect',
    'nextCorrelationId',
    'isConnected',
    'isAuthenticated',
    'socketFactory',
    'processData',
  ] as const) {
    assert.equal(typeof connection[method], 'function', method)
  }
  const queue = connection.requestQueue
  assert.equal(connection.authHandlers, null)
  for (const method of [
    'push',
    'checkPendingRequests',
    'maybeThrottle',
    'fulfillRequest',
    'rejectAll',
    'destroy',
  ] as const) {
    assert.equal(typeof queue[method], 'function', method)
  }
  assert.ok(queue.inflight instanceof Map && Array.isArray(queue.pending))
})

test('an idle connection keeps no timer of the request queue', async () => {
  const scripted = new ScriptedBroker({ partitions: 1 })
  await using _close = scripted
  const address = await scripted.listen()
  const broker = brokerMaker(config(address), null)('127.0.0.1', Number(address.split(':')[1]), 1)
  const node = new BrokerNode(broker, 'test', 1)
  const metadata = await node.send(metadataRequest(['t'], false))
  assert.deepEqual(
    metadata.topics.map((t) => t.topic),
    ['t'],
  )
  assert.equal(broker.connectionPool.pool[0]?.requestQueue.throttleCheckTimeoutId, null)
  node.close()
})

test('a lost connection rejects what waits on it, and the next request connects anew', async () => {
  const scripted = new ScriptedBroker({ partitions: 1 })
  await using _close = scripted
  const address = await scripted.listen()
  const node = new BrokerNode(
    brokerMaker(config(address), null)('127.0.0.1', Number(address.split(':')[1]), 1),
    'test',
    1,
  )
  await node.connect()
  const waiting = node.send(metadataRequest(null, false))
  node.drop('main', 'test')
  await assert.rejects(waiting, { kind: 'retriable', code: 'CONNECT_KAFKA_UNREACHABLE' })
  assert.equal((await node.send(metadataRequest(['t'], false))).clusterId, 'scripted')
  node.close()
  await assert.rejects(node.send(metadataRequest(null, false)), { code: 'CONNECT_KAFKA_CLOSED' })
})

test('a broker that does not answer costs the time-out and its connection', async () => {
  const { createServer } = await import('node:net')
  const sockets = new Set<{ destroy(): void }>()
  const silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const address = silent.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const patient = { ...config(`127.0.0.1:${port}`), connectionTimeoutMs: 300 }
  const node = new BrokerNode(brokerMaker(patient, null)('127.0.0.1', port, 1), 'test', 1)
  await assert.rejects(node.send(metadataRequest(null, false)), { kind: 'retriable' })
  node.close()
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => silent.close(resolve))
  await delay(1)
})

test('a port without a listener is retriable and names the address', async () => {
  const node = new BrokerNode(brokerMaker(config('127.0.0.1:1'), null)('127.0.0.1', 1, 1), 'test', 1)
  await assert.rejects(node.connect(), {
    kind: 'retriable',
    code: 'CONNECT_KAFKA_UNREACHABLE',
    message: /127\.0\.0\.1:1/,
  })
  assert.ok(node.restMs() > 0, 'the next try waits')
  node.close()
})
