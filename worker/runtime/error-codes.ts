import { defineErrorCodes } from '../api/errors.ts'

/** Codes of running connectors and tasks. */
export const runtimeErrorCodes = defineErrorCodes({
  CONNECT_CONNECTOR_BLOCKED: {
    meaning: 'A connector did not return from one of its methods, so its thread was replaced.',
    remedy: 'Correct the connector that the message names, then restart it.',
  },
  CONNECT_CONNECTOR_FAILED: {
    meaning: 'A failed connector cannot change its state.',
    remedy: 'Correct the cause that its trace names, then restart it.',
  },
  CONNECT_CONNECTOR_NOT_RUNNING: {
    meaning: 'Task configs were asked of a connector that does not run.',
    remedy: 'Resume or restart the connector.',
  },
  CONNECT_CONNECTOR_TYPE: {
    meaning: 'A source was treated as a sink, or a sink as a source.',
    remedy: 'Check the `connector.class` of the config.',
  },
  CONNECT_DLQ_INIT: {
    meaning: 'The dead letter queue could not be opened or created.',
    remedy:
      'Create the topic, or grant the right to create it; check `errors.deadletterqueue.topic.replication.factor`.',
  },
  CONNECT_HOST_EXITED: {
    meaning: 'A plugin called `process.exit`; only its own thread ended.',
    remedy: 'Correct the plugin, it has to throw an error instead; then restart the connector or task.',
  },
  CONNECT_HOST_MEMORY: {
    meaning: 'The thread of a connector or task reached the memory that a thread may use; others are not concerned.',
    remedy: 'Let it hold less at a time (`max.poll.records`, batch sizes), or correct the plugin; then restart it.',
  },
  CONNECT_HOST_UNCAUGHT: {
    meaning: 'A plugin threw where nobody could catch it: in a timer, an event, or a promise that nobody awaited.',
    remedy: 'Correct the plugin at the place that the trace shows, then restart the connector or task.',
  },
  CONNECT_HOST_GONE: {
    meaning: 'The thread of a connector or task has ended.',
    remedy: 'Restart the connector or task; the log holds the cause.',
  },
  CONNECT_OFFSETS_FAILED: {
    meaning: 'Offsets could not be read or changed.',
    remedy: 'The cause is in the log; once the connector is stopped the request may be repeated safely.',
  },
  CONNECT_OFFSETS_INVALID: {
    meaning: 'An offset in the request does not have the shape that sinks or sources use.',
    remedy: 'Correct what the message names; `GET /connectors/{name}/offsets` shows the shape.',
  },
  CONNECT_OFFSETS_REFUSED: {
    meaning: 'The connector does not accept these offsets.',
    remedy: 'Correct what its message names.',
  },
  CONNECT_OWN_OFFSET_TOPIC: {
    meaning: 'An exactly-once source writes to the topic of its own offsets.',
    remedy: 'Give the connector another topic.',
  },
  CONNECT_PARTITION_NOT_ASSIGNED: {
    meaning: 'A sink asked for a partition that it does not have.',
    remedy: 'Correct the connector: only partitions of `assignment()` can be paused or resumed.',
  },
  CONNECT_PUT_FAILED: {
    meaning: 'A sink could not write and does not want to try again.',
    remedy: 'The cause in the trace tells why; correct it and restart the task.',
  },
  CONNECT_RECORD_TIMESTAMP: {
    meaning: 'A source record has a negative timestamp.',
    remedy: 'Correct the connector or the transform that sets it.',
  },
  CONNECT_SEND_FAILED: {
    meaning: 'Kafka refused a source record for good.',
    remedy: 'The cause in the trace tells why (size, rights, topic); correct it and restart the task.',
  },
  CONNECT_TASK_BLOCKED: {
    meaning: 'A task did not give its thread back for minutes, so the thread was ended.',
    remedy: 'Correct the plugin: what computes or waits must do so in pieces, with an await; then restart the task.',
  },
  CONNECT_TASK_ERROR: {
    meaning: 'A task threw an error that carries no code of its own.',
    remedy: 'The trace tells what and where; correct the cause and restart the task.',
  },
  CONNECT_TASKS_MAX: {
    meaning: 'The connector made more tasks than `tasks.max` allows.',
    remedy: 'Raise `tasks.max`; or set `tasks.max.enforce=false` for now.',
  },
  CONNECT_TOLERANCE_EXCEEDED: {
    meaning: 'A record failed and `errors.tolerance` is `none`.',
    remedy: 'Correct the cause, or set `errors.tolerance=all`, with a dead letter queue for sinks.',
  },
  CONNECT_TOPIC_CREATION: {
    meaning: 'A topic could not be created for a source.',
    remedy: 'Create the topic, or grant the right to; then restart the task.',
  },
  CONNECT_TRANSACTION_EXPIRED: {
    meaning: 'A transaction lasted longer than the brokers allow.',
    remedy: 'Raise `producer.override.transaction.timeout.ms`, or commit more often; restart the task.',
  },
  CONNECT_TRANSACTION_FAILED: {
    meaning: 'Records or offsets of a transaction could not be written.',
    remedy: 'The cause in the trace tells why; restart the task, it goes on at the last committed offset.',
  },
  CONNECT_TRANSITION_PREEMPTED: {
    meaning: 'A later request changed the state before this one had begun.',
    remedy: 'Nothing: the later request counts.',
  },
})
