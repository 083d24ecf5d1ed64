// Records test/conformance/golden/connect-topics/*.json anew, from a Java worker:
//   node test/conformance/connect-topics/record.ts      (with TEST_KAFKA_BROKERS set)
import { mkdirSync, writeFileSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startJavaWorker } from '../../support/java-connect.ts'
import { requireService } from '../../support/services.ts'
import { topicRecords } from '../../support/topic-records.ts'
import { ClusterUnderTest, eventually, type WorkerUnderTest } from '../../support/worker-process.ts'
import { folder, type TopicName, toJson } from './golden-topics.ts'

const { brokers } = requireService('kafka').settings

async function ask(worker: WorkerUnderTest, method: string, path: string, body?: unknown): Promise<void> {
  await eventually(async () => {
    const answer = await worker.rest(method, path, body)
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
  }, 20_000)
}

async function isIn(worker: WorkerUnderTest, connector: string, states: readonly string[]): Promise<void> {
  interface Status {
    readonly connector: { readonly state: string }
    readonly tasks: readonly { readonly state: string }[]
  }
  await eventually(async () => {
    const { body } = await worker.rest('GET', `/connectors/${connector}/status`)
    const status = body as Status
    const found = [status.connector, ...status.tasks].map(({ state }) => state).join()
    if (found !== states.join()) throw new Error(`${connector} is ${found}`)
  }, 20_000)
}

async function play(java: WorkerUnderTest, cluster: ClusterUnderTest): Promise<void> {
  const file = (name: string): string => join(cluster.folder, name)
  const source = (name: string, topic = 'lines'): Readonly<Record<string, string>> => ({
    'connector.class': 'FileStreamSource',
    'tasks.max': '1',
    file: file(name),
    topic: `${topic}-${cluster.token}`,
  })
  await appendFile(file('in'), 'one\ntwo\n')
  await ask(java, 'PUT', '/connectors/file-1/config', source('in'))
  await isIn(java, 'file-1', ['RUNNING', 'RUNNING'])
  // The connector's tasks are fenced before they start again with other configs.
  await ask(java, 'PUT', '/connectors/file-1/config', { ...source('in'), 'batch.size': '100' })
  await ask(java, 'PUT', '/connectors/file-1/pause')
  await isIn(java, 'file-1', ['PAUSED', 'PAUSED'])
  await ask(java, 'PUT', '/connectors/file-1/resume')
  await isIn(java, 'file-1', ['RUNNING', 'RUNNING'])
  const name = 'Größe "x" – 漢字 😀'
  const initial = { ...source('in2'), 'header.text': 'a/b <&> \u2028 \u007f \u0001 \u001f \t' }
  await ask(java, 'POST', '/connectors', { name, config: initial, initial_state: 'STOPPED' })
  await isIn(java, encodeURIComponent(name), ['STOPPED'])
  await ask(java, 'PATCH', `/connectors/${encodeURIComponent(name)}/offsets`, {
    offsets: [{ partition: { filename: file('ä\u2028\u001f"\\') }, offset: { position: 9_007_199_254_740_991 } }],
  })
  await ask(java, 'PUT', '/connectors/gone/config', {
    ...source('in'),
    'connector.class': 'FileStreamSink',
    topics: 'x',
  })
  await isIn(java, 'gone', ['RUNNING', 'RUNNING'])
  await ask(java, 'DELETE', '/connectors/gone')
  await ask(java, 'POST', '/connectors/file-1/restart?includeTasks=true&onlyFailed=false')
  await ask(java, 'PUT', '/admin/loggers/a.b?scope=cluster', { level: 'debug' })
  await isIn(java, 'file-1', ['RUNNING', 'RUNNING'])
  await ask(java, 'PUT', '/connectors/file-1/stop')
  await isIn(java, 'file-1', ['STOPPED'])
  await ask(java, 'DELETE', '/connectors/file-1/offsets')
  // A task that fails leaves its trace.
  const unconvertible = { ...source('in'), 'value.converter': 'org.apache.kafka.connect.converters.IntegerConverter' }
  await ask(java, 'PUT', '/connectors/failing/config', unconvertible)
  await isIn(java, 'failing', ['RUNNING', 'FAILED'])
  // Source partitions of two fields.
  await ask(java, 'PUT', '/connectors/mirror/config', {
    'connector.class': 'org.apache.kafka.connect.mirror.MirrorHeartbeatConnector',
    'tasks.max': '1',
    'source.cluster.alias': 'a',
    'target.cluster.alias': 'b',
    'source.cluster.bootstrap.servers': brokers.join(','),
    'target.cluster.bootstrap.servers': brokers.join(','),
    'heartbeats.topic.replication.factor': '1',
  })
  await isIn(java, 'mirror', ['RUNNING', 'RUNNING'])
  await eventually(async () => {
    const { body } = await java.rest('GET', '/connectors/mirror/offsets')
    if (!JSON.stringify(body).includes('sourceClusterAlias')) throw new Error('no offset yet')
  }, 20_000)
}

await using cluster = await ClusterUnderTest.open(brokers, { 'exactly.once.source.support': 'enabled' })
const java = await (await startJavaWorker(cluster, ['mirror'])).ready(90_000)
await play(java, cluster)
await java.signal('SIGTERM')
mkdirSync(folder, { recursive: true })
for (const topic of ['configs', 'offsets', 'statuses'] satisfies TopicName[]) {
  const records = await topicRecords(brokers, `${topic}-${cluster.token}`)
  const rename = (text: string): string => text.replaceAll(cluster.folder, '/data').replaceAll(cluster.token, 'token')
  writeFileSync(join(folder, `${topic}.json`), toJson(records, rename))
}
