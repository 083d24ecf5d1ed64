/**
 * Options of connectors by which failed tasks start again. They are ours: without them a failed task stays FAILED, as
 * in Connect, and neither `config/validate` nor a status shows anything of them.
 */
import { atLeast, type ConfigOf, defineConfig } from '../api/config.ts'
import type { RawConfig } from '../api/connector.ts'
import { parseConfig } from './config-def.ts'

const group = 'Error Handling'

export const restartOptions = defineConfig({
  'errors.restart.max.attempts': {
    type: 'INT',
    default: 0,
    valid: atLeast(-1),
    importance: 'MEDIUM',
    group,
    displayName: 'Maximum Restarts of a Failed Task',
    doc: "How often in a row a failed task is started again by itself (count); 0, the default, never, as in Kafka Connect; -1 without limit. Only failures that may pass are worth a start: the other side was away, or the task's thread ended. Records that cannot be processed and wrong configurations are not. Counting begins anew when a task has run for longer than `errors.restart.delay.max.ms`, and after a restart by hand. A Sluice option.",
  },
  'errors.restart.delay.ms': {
    type: 'LONG',
    default: 5000,
    valid: atLeast(1),
    importance: 'LOW',
    group,
    displayName: 'First Delay of a Restart',
    doc: 'Time from a failure to the first restart, in ms; it doubles with each further one. A Sluice option.',
  },
  'errors.restart.delay.max.ms': {
    type: 'LONG',
    default: 300_000,
    valid: atLeast(1),
    importance: 'LOW',
    group,
    displayName: 'Longest Delay of a Restart',
    doc: 'Upper bound of the time from a failure to the next restart, in ms. A Sluice option.',
  },
})

export type RestartOptions = ConfigOf<typeof restartOptions>

/** Whether a config asks for restarts, so that its validation is to show these options. */
export function asksForRestarts(config: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(restartOptions.keys).some((name) => Object.hasOwn(config, name))
}

/** @throws ConfigError for a value that validation would have refused */
export function parseRestartOptions(config: RawConfig): RestartOptions {
  return parseConfig(restartOptions, config)
}
