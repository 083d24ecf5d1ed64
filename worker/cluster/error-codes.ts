import { defineErrorCodes } from '../api/errors.ts'

/** Codes of the herders, the worker group and the internal topics. */
export const clusterErrorCodes = defineErrorCodes({
  CONNECT_CONFIG_READ: {
    meaning: 'The config topic could not be read to its end before offsets were changed.',
    remedy: 'Check that the brokers are reachable, then send the request again.',
  },
  CONNECT_CONFIG_WRITE: {
    meaning: 'A record could not be written to the config topic.',
    remedy:
      'Send the request again; if it keeps failing, check the brokers and the rights of the worker on `config.storage.topic`.',
  },
  CONNECT_CONFIG_TOPIC_PARTITIONS: {
    meaning: 'The config topic has more than one partition, so the order of configs is not certain.',
    remedy: 'Name another topic in `config.storage.topic`, or create it anew with one partition.',
  },
  CONNECT_CONNECTOR_START: {
    meaning: 'A restarted connector did not start.',
    remedy: 'Look at its trace in `GET /connectors/{name}/status`, correct the cause, restart it.',
  },
  CONNECT_CONNECTOR_STOPPED: {
    meaning: 'Task configs were given for a connector that is stopped.',
    remedy: 'Resume the connector; its tasks follow.',
  },
  CONNECT_FENCING_OUTDATED: {
    meaning: 'New task configs appeared while older tasks were fenced (KIP-618).',
    remedy: 'Nothing: the fencing is repeated for the new tasks.',
  },
  CONNECT_GROUP_BYTES: {
    meaning: 'A member of the worker group sent data that cannot be read.',
    remedy: 'See that only workers use this `group.id`, all of Connect 2.3 or later.',
  },
  CONNECT_GROUP_PROTOCOL: {
    meaning: 'The group settled on a protocol that no worker speaks.',
    remedy: 'Give all workers of the group a `connect.protocol` that they share.',
  },
  CONNECT_INTERNAL_TOPIC: {
    meaning: 'An internal topic could not be created or found.',
    remedy: 'Check the rights of the worker, and that its replication factor is not above the number of brokers.',
  },
  CONNECT_INTERNAL_TOPIC_CLEANUP: {
    meaning: 'An internal topic is not compacted, so its records may be lost.',
    remedy: 'Set `cleanup.policy=compact` on the topic that the message names.',
  },
  CONNECT_NOT_A_SOURCE: {
    meaning: 'Fencing was asked for a connector that is not a source.',
    remedy: 'Nothing for users: only workers send this request.',
  },
  CONNECT_NOT_STOPPED: {
    meaning: 'Offsets may be changed only while the connector is stopped and has no tasks.',
    remedy: 'Stop it with `PUT /connectors/{name}/stop`, wait until its tasks are gone, then send the request again.',
  },
  CONNECT_OFFSET_FILE_FOREIGN: {
    meaning: 'The offset file was written by something else.',
    remedy: 'Name another file in `offset.storage.file.filename`, or move this one away to start without offsets.',
  },
  CONNECT_OFFSET_NOT_A_MAP: {
    meaning: 'A source partition or offset is not a map of fields.',
    remedy: 'Correct the connector: partitions and offsets are objects with primitive values.',
  },
  CONNECT_OFFSET_NOT_PRIMITIVE: {
    meaning: 'A source partition or offset holds a nested value.',
    remedy: 'Correct the connector: only texts, numbers, booleans and null are stored.',
  },
  CONNECT_OFFSET_UNREADABLE: {
    meaning: 'The offset topic holds a record that is no offset.',
    remedy: 'See that nothing else writes to `offset.storage.topic`.',
  },
  CONNECT_SHUTTING_DOWN: {
    meaning: 'The worker is about to stop.',
    remedy: 'Send the request to another worker.',
  },
  CONNECT_SIGNATURE_ALGORITHM: {
    meaning: 'An internal request is signed with an algorithm that this worker does not know or accept.',
    remedy: 'Give all workers the same `inter.worker.verification.algorithms`.',
  },
  CONNECT_SIGNATURE_INVALID: {
    meaning: 'An internal request is signed with another key.',
    remedy:
      'Nothing after a change of key: it is repeated. Otherwise somebody outside the group calls an internal endpoint.',
  },
  CONNECT_SIGNATURE_MISSING: {
    meaning: 'An internal request has no signature.',
    remedy: 'Internal endpoints are for workers only; see that all speak `connect.protocol=sessioned`.',
  },
  CONNECT_SIGNATURE_NO_KEY: {
    meaning: 'This worker has not read a session key yet.',
    remedy: 'Nothing: the request is repeated.',
  },
  CONNECT_STANDALONE: {
    meaning: 'The request makes sense for distributed workers only.',
    remedy: 'Use `sluice distributed`.',
  },
  CONNECT_TASK_GENERATION: {
    meaning: 'Newer task configs exist than those the task was about to start with.',
    remedy: 'Nothing: the tasks of the new configs start instead.',
  },
  CONNECT_TASK_REVOKED: {
    meaning: 'The task was given to another worker before it had started here.',
    remedy: 'Nothing: it starts there.',
  },
})
