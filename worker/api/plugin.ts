import type { ConfigDef, ConfigKeys, ConfigOf } from './config.ts'
import type { SinkConnector, SourceConnector } from './connector.ts'
import type { Converter, HeaderConverter } from './converter.ts'
import type { ConfigProblem, ErrorCodes } from './errors.ts'
import type { SinkTask, SourceTask } from './task.ts'
import type { Predicate, Transformation, TransformationContext } from './transform.ts'

/**
 * A plugin is a value: a manifest with a factory. A manifest and its config definition import no driver: every
 * validation of any connector loads them, and so does each thread that runs the plugin. Factories are async so that the
 * code behind them, and the driver behind that, load on first use
 * (`createTask: async () => new (await import('./task.ts')).S3SinkTask()`).
 */
interface Manifest<D extends ConfigDef> {
  /** Class name that REST lists: the Java name where one exists. */
  readonly name: string
  /** Further names by which configs may call it. */
  readonly aliases: readonly string[]
  readonly version: string
  readonly config: D
  readonly errorCodes?: ErrorCodes
}

export interface SourceConnectorPlugin<D extends ConfigDef = ConfigDef> extends Manifest<D> {
  readonly type: 'source'
  readonly taskName: string
  createConnector(): Promise<SourceConnector<ConfigOf<D>>>
  createTask(): Promise<SourceTask<ConfigOf<D>>>
  /**
   * Checks that need I/O, after every option by itself and the definition's own rules were fine.
   * @param raw the connector's whole config, with the framework's own options, references resolved
   */
  validate?(config: ConfigOf<D>, raw: Readonly<Record<string, string | null>>): Promise<readonly ConfigProblem[]>
}

export interface SinkConnectorPlugin<D extends ConfigDef = ConfigDef> extends Manifest<D> {
  readonly type: 'sink'
  readonly taskName: string
  createConnector(): Promise<SinkConnector<ConfigOf<D>>>
  createTask(): Promise<SinkTask<ConfigOf<D>>>
  /**
   * Checks that need I/O, after every option by itself and the definition's own rules were fine.
   * @param raw the connector's whole config, with the framework's own options, references resolved
   */
  validate?(config: ConfigOf<D>, raw: Readonly<Record<string, string | null>>): Promise<readonly ConfigProblem[]>
}

export interface TransformationPlugin<D extends ConfigDef = ConfigDef> extends Manifest<D> {
  readonly type: 'transformation'
  create(context?: TransformationContext): Promise<Transformation<ConfigOf<D>>>
}

export interface PredicatePlugin<D extends ConfigDef = ConfigDef> extends Manifest<D> {
  readonly type: 'predicate'
  create(context?: TransformationContext): Promise<Predicate<ConfigOf<D>>>
}

export interface ConverterPlugin<D extends ConfigDef = ConfigDef> extends Manifest<D> {
  readonly type: 'converter'
  create(): Promise<Converter<ConfigOf<D>>>
}

export interface HeaderConverterPlugin<D extends ConfigDef = ConfigDef> extends Manifest<D> {
  readonly type: 'header_converter'
  create(): Promise<HeaderConverter<ConfigOf<D>>>
}

/**
 * Any plugin, as the registry keeps it. Method parameters are bivariant, so a plugin of a particular config is
 * assignable; the framework passes exactly what that plugin's own definition parsed.
 */
export type ConnectorPlugin = SourceConnectorPlugin | SinkConnectorPlugin
export type Plugin = ConnectorPlugin | TransformationPlugin | PredicatePlugin | ConverterPlugin | HeaderConverterPlugin

type Spec<P> = Omit<P, 'type'>

export function defineSourceConnector<K extends ConfigKeys>(
  spec: Spec<SourceConnectorPlugin<ConfigDef<K>>>,
): SourceConnectorPlugin<ConfigDef<K>> {
  return { ...spec, type: 'source' }
}

export function defineSinkConnector<K extends ConfigKeys>(
  spec: Spec<SinkConnectorPlugin<ConfigDef<K>>>,
): SinkConnectorPlugin<ConfigDef<K>> {
  return { ...spec, type: 'sink' }
}

export function defineTransformation<K extends ConfigKeys>(
  spec: Spec<TransformationPlugin<ConfigDef<K>>>,
): TransformationPlugin<ConfigDef<K>> {
  return { ...spec, type: 'transformation' }
}

export function definePredicate<K extends ConfigKeys>(
  spec: Spec<PredicatePlugin<ConfigDef<K>>>,
): PredicatePlugin<ConfigDef<K>> {
  return { ...spec, type: 'predicate' }
}

export function defineConverter<K extends ConfigKeys>(
  spec: Spec<ConverterPlugin<ConfigDef<K>>>,
): ConverterPlugin<ConfigDef<K>> {
  return { ...spec, type: 'converter' }
}

export function defineHeaderConverter<K extends ConfigKeys>(
  spec: Spec<HeaderConverterPlugin<ConfigDef<K>>>,
): HeaderConverterPlugin<ConfigDef<K>> {
  return { ...spec, type: 'header_converter' }
}
