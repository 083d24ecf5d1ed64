/** Restarts of connectors whose values from config providers expire (KIP-297, `config.action.reload`). */
import type { RawConfig } from '../api/connector.ts'
import type { Clock, Logger } from '../api/context.ts'
import { RebalanceInProgressError, toError } from '../api/errors.ts'

export interface ConfigReloadsOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** In the order of the herder's commands. */
  restartConnector(connector: string): Promise<void>
}

/** Longest time that a timer can wait, in ms. */
const longestWaitMs = 2 ** 31 - 1
/** Before a restart that came in the middle of a rebalance is tried again, in ms. */
const retryMs = 1_000

export class ConfigReloads {
  readonly #options: ConfigReloadsOptions
  readonly #waiting = new Map<string, AbortController>()

  constructor(options: ConfigReloadsOptions) {
    this.#options = options
  }

  /**
   * A connector has read its values, so what was planned before is void.
   * @param ttlMs after which they should be read again; null: they do not expire
   */
  read(connector: string, config: RawConfig, ttlMs: number | null): void {
    this.cancel(connector)
    if (ttlMs === null || (config['config.action.reload'] ?? 'restart').trim().toLowerCase() !== 'restart') return
    const waiting = new AbortController()
    this.#waiting.set(connector, waiting)
    this.#options.logger.info({ connector, ttlMs }, 'values of config providers expire; the connector restarts then')
    void this.#restartAfter(connector, ttlMs, waiting.signal)
  }

  /** The connector stops here, or starts again. */
  cancel(connector: string): void {
    this.#waiting.get(connector)?.abort()
    this.#waiting.delete(connector)
  }

  /** Never rejects: a start that fails is reported as the connector's state. */
  async #restartAfter(connector: string, ttlMs: number, signal: AbortSignal): Promise<void> {
    const { clock, logger, restartConnector } = this.#options
    for (let leftMs = ttlMs; leftMs > 0 && !signal.aborted; leftMs -= longestWaitMs) {
      await clock.sleep(Math.min(leftMs, longestWaitMs), signal)
    }
    while (!signal.aborted) {
      logger.info({ connector }, 'restarting a connector whose values of config providers have expired')
      try {
        return await restartConnector(connector)
      } catch (error) {
        logger.warn({ connector, error: toError(error) }, 'the connector could not be restarted with new values')
        if (!(error instanceof RebalanceInProgressError)) return
      }
      await clock.sleep(retryMs, signal)
    }
  }
}
