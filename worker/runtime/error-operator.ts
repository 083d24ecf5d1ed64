/** The error operator of a task from its options (KIP-298). */
import type { DeadLetterReporter } from './error-reporters.ts'
import { LogReporter } from './error-reporters.ts'
import { type ErrorCounters, ErrorOperator, type ErrorReporter } from './retry.ts'
import type { TaskEnvironment } from './task-environment.ts'
import type { SinkOptions, SourceOptions } from './task-options.ts'

/** @param options.deadLetters closed with the operator; null for sources, and for sinks without a queue */
export function openErrorOperator(options: {
  readonly env: Pick<TaskEnvironment, 'id' | 'logger' | 'clock' | 'random'>
  readonly options: SourceOptions | SinkOptions
  readonly counters: ErrorCounters
  readonly deadLetters: DeadLetterReporter | null
}): ErrorOperator {
  const { env, options: given, counters, deadLetters } = options
  const { id, logger, clock, random } = env
  const reporters: ErrorReporter[] = []
  if (given['errors.log.enable']) {
    reporters.push(new LogReporter({ id, logger, includeMessages: given['errors.log.include.messages'], counters }))
  }
  if (deadLetters !== null) reporters.push(deadLetters)
  return new ErrorOperator({
    retry: { timeoutMs: given['errors.retry.timeout'], maxDelayMs: given['errors.retry.delay.max.ms'] },
    tolerance: given['errors.tolerance'] === 'all' ? 'all' : 'none',
    reporters,
    counters,
    clock,
    random,
  })
}
