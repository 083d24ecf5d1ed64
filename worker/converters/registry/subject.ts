import { ConfigError, DataError } from '../../api/errors.ts'

export type SubjectStrategy = 'topic' | 'record' | 'topic-record'

const strategies: ReadonlyMap<string, SubjectStrategy> = new Map([
  ['TopicNameStrategy', 'topic'],
  ['RecordNameStrategy', 'record'],
  ['TopicRecordNameStrategy', 'topic-record'],
])

/** The strategy of a class name, with or without its package. @throws ConfigError */
export function subjectStrategy(option: string, className: string): SubjectStrategy {
  const strategy = strategies.get(className.slice(className.lastIndexOf('.') + 1))
  if (strategy !== undefined) return strategy
  throw new ConfigError([{ option, message: `must be one of ${[...strategies.keys()].join(', ')}` }])
}

/**
 * Subject under which the schema of a topic's keys or values is registered.
 * @param recordName full name of the record; null when the schema has none
 * @throws DataError when the strategy needs a name that is not there
 */
export function subjectOf(
  strategy: SubjectStrategy,
  topic: string,
  role: 'key' | 'value',
  recordName: string | null,
): string {
  if (strategy === 'topic') return `${topic}-${role}`
  if (recordName === null) {
    const message = `The schema of a ${role} of ${topic} has no record name, which its subject name strategy needs`
    throw new DataError('CONNECT_REGISTRY_SCHEMA', message)
  }
  return strategy === 'record' ? recordName : `${topic}-${recordName}`
}
