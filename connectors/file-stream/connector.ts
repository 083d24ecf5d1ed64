import type {
  ConnectorContext,
  ExactlyOnceSupport,
  RawConfig,
  SinkConnector,
  SourceConnector,
  SourceConnectorContext,
} from '../../worker/api/connector.ts'
import type { SourceOffset, SourcePartition } from '../../worker/api/record.ts'
import type { FileStreamSinkConfig, FileStreamSourceConfig } from './config.ts'
import { offsetError } from './errors.ts'

/** Name of the file in a source partition, and of the byte position after a line in a source offset. */
export const filenameField = 'filename'
export const positionField = 'position'

/** Without a name the task reads the standard input, which has no positions. */
export function hasFile(file: string | null): file is string {
  return file !== null && file !== ''
}

export class FileStreamSourceConnector implements SourceConnector<FileStreamSourceConfig> {
  readonly watches = false
  #taskConfig: RawConfig = {}

  async start(_config: FileStreamSourceConfig, context: SourceConnectorContext): Promise<void> {
    this.#taskConfig = context.rawConfig
  }

  /** One task whatever `tasks.max` says: a file is read in order. */
  async taskConfigs(): Promise<readonly RawConfig[]> {
    return [this.#taskConfig]
  }

  async stop(): Promise<void> {}

  exactlyOnceSupport({ file }: FileStreamSourceConfig): ExactlyOnceSupport {
    return hasFile(file) ? 'supported' : 'unsupported'
  }

  /**
   * Checks the form of offsets; whether a position lies within the file is seen when the task starts (Connect 4.3).
   * A null offset is allowed for anything, so that whatever stands there can be cleaned up.
   */
  async alterOffsets(
    { file }: FileStreamSourceConfig,
    offsets: readonly (readonly [SourcePartition | null, SourceOffset | null])[],
  ): Promise<boolean> {
    if (!hasFile(file)) {
      throw offsetError(
        "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for input and offsets are not tracked.",
      )
    }
    for (const [partition, offset] of offsets) if (offset !== null) checkOffset(partition, offset)
    return true
  }
}

function checkOffset(partition: SourcePartition | null, offset: SourceOffset): void {
  if (!Object.hasOwn(offset, positionField)) {
    throw offsetError(`Offset objects should either be null or contain the key '${positionField}'`)
  }
  const position = offset[positionField]
  if (typeof position !== 'bigint' && !(typeof position === 'number' && Number.isInteger(position))) {
    throw offsetError(`The value for the '${positionField}' key in the offset is expected to be a Long value`)
  }
  if (position < 0) {
    throw offsetError(`The value for the '${positionField}' key in the offset should be a non-negative value`)
  }
  // JSON null is no object: REST passes it on so that the connector names the problem.
  if (partition === null) throw offsetError('Partition objects cannot be null')
  if (!Object.hasOwn(partition, filenameField)) {
    throw offsetError(`Partition objects should contain the key '${filenameField}'`)
  }
}

export class FileStreamSinkConnector implements SinkConnector<FileStreamSinkConfig> {
  readonly watches = false
  #taskConfig: RawConfig = {}

  async start(_config: FileStreamSinkConfig, context: ConnectorContext): Promise<void> {
    this.#taskConfig = context.rawConfig
  }

  async taskConfigs(maxTasks: number): Promise<readonly RawConfig[]> {
    return Array.from({ length: maxTasks }, () => this.#taskConfig)
  }

  async stop(): Promise<void> {}

  /** The offsets are the consumer group's: there is nothing else to alter. */
  async alterOffsets(): Promise<boolean> {
    return true
  }
}
