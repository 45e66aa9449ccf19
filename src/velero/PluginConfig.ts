/**
 * Plugin configuration by Velero's ConfigMap convention: a ConfigMap in Velero's namespace with the label
 * `velero.io/plugin-config` and a label `<plugin name>: <kind>`.
 *
 * The ConfigMaps are listed once for each Backup or Restore, for all actions together, and their absence is remembered too.
 * Where they cannot be read at all, defaults apply and one warning says so; a value that an action's schema refuses is an error.
 *
 * @see https://velero.io/docs/main/custom-plugins/#plugin-configuration
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/common/plugin_config.go
 *
 * @module
 */
import * as EffectConfig from "effect/Config"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Semaphore from "effect/Semaphore"
import { Kubernetes, resources } from "../kubernetes/Kubernetes.ts"
import * as View from "./View.ts"

/** More than one ConfigMap configures a plugin; Velero's own words. */
export class AmbiguousPluginConfig extends Data.TaggedError("AmbiguousPluginConfig")<{
  readonly selector: string
  readonly names: ReadonlyArray<string>
}> {
  override get message() {
    return `found more than one ConfigMap matching label selector ${JSON.stringify(this.selector)}: [${this.names.join(" ")}]. Delete all but one`
  }
}

/** A ConfigMap holds a value that its plugin does not understand. */
export class InvalidPluginConfig extends Data.TaggedError("InvalidPluginConfig")<{
  readonly configMap: string
  readonly plugin: string
  readonly detail: string
}> {
  override get message() {
    return `ConfigMap ${this.configMap} configures ${this.plugin} wrongly: ${this.detail}. Correct that key of its data, or delete the ConfigMap to use the defaults`
  }
}

const ConfigMap = Schema.Struct({
  metadata: View.Metadata,
  data: View.optional(View.StringMap)
})
/** A ConfigMap that configures plugins. */
export interface ConfigMap extends Schema.Schema.Type<typeof ConfigMap> {}

/** On every ConfigMap that configures a plugin, with an empty value. */
export const pluginConfigLabel = "velero.io/plugin-config"

/**
 * Finds the ConfigMaps of plugins.
 *
 * `find` answers with none where there is none or where they cannot be read. `owner` is the Backup or Restore that asks.
 */
export class PluginConfig extends Context.Service<
  PluginConfig,
  {
    readonly namespace: string
    /** The ConfigMap of a plugin of this kind, if it has one. */
    readonly find: (
      owner: string,
      plugin: string,
      kind: string
    ) => Effect.Effect<Option.Option<ConfigMap>, AmbiguousPluginConfig>
  }
>()("velero-plugin-cnpg/velero/PluginConfig") {}

/** A `…V2` kind may be labelled with or without its version: Velero's documentation knows only the plain names. */
const acceptedKinds = (kind: string): ReadonlyArray<string> => [kind, kind.replace(/V2$/, "")]

const pick = (
  configMaps: ReadonlyArray<ConfigMap>,
  plugin: string,
  kind: string
): Effect.Effect<Option.Option<ConfigMap>, AmbiguousPluginConfig> => {
  const matching = configMaps.filter(({ metadata }) => acceptedKinds(kind).includes(metadata.labels?.[plugin] ?? ""))
  return matching.length > 1
    ? Effect.fail(
        new AmbiguousPluginConfig({
          selector: `${pluginConfigLabel},${plugin}=${kind}`,
          names: matching.map(({ metadata }) => metadata.name)
        })
      )
    : Effect.succeed(Option.fromNullishOr(matching[0]))
}

const decodeConfigMap = Schema.decodeUnknownOption(ConfigMap)

const make = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  const namespace = yield* EffectConfig.String("VELERO_NAMESPACE").pipe(
    EffectConfig.withDefault("velero"),
    Effect.orDie
  )
  const lock = yield* Semaphore.make(1)
  // A process works for one Backup or Restore, at most for those that run at once.
  const known = new Map<string, ReadonlyArray<ConfigMap>>()

  const list = kubernetes.fold(
    resources.configMaps,
    { namespace, labelSelector: pluginConfigLabel },
    (): ReadonlyArray<ConfigMap> => [],
    (found, object) => [...found, ...Option.toArray(decodeConfigMap(object))]
  )

  const listOnce = (owner: string) =>
    Semaphore.withPermits(
      lock,
      1
    )(
      Effect.gen(function* () {
        const found = known.get(owner)
        if (found !== undefined) return found
        const configMaps = yield* Effect.catch(list, (error) =>
          Effect.as(
            Effect.logWarning(`plugin configuration cannot be read, the defaults apply: ${error.message}`),
            [] as ReadonlyArray<ConfigMap>
          )
        )
        known.set(owner, configMaps)
        return configMaps
      })
    )

  return PluginConfig.of({
    namespace,
    find: (owner, plugin, kind) => Effect.flatMap(listOnce(owner), (configMaps) => pick(configMaps, plugin, kind))
  })
})

/** Needs the cluster only when an action with a configuration runs. */
export const layer: Layer.Layer<PluginConfig, never, Kubernetes> = Layer.effect(PluginConfig, make)

/** Fixed ConfigMaps, for tests. */
export const layerTest = (configMaps: ReadonlyArray<ConfigMap> = []): Layer.Layer<PluginConfig> =>
  Layer.succeed(PluginConfig, { namespace: "velero", find: (_, plugin, kind) => pick(configMaps, plugin, kind) })

/** What a configuration is read for. */
export interface Reader {
  readonly plugin: string
  readonly kind: string
  /** The Backup or Restore. */
  readonly owner: string
}

/**
 * Reads the configuration of an action; without a schema nothing is looked up.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Actions from "velero-plugin-cnpg/testing/Actions"
 * import { info } from "velero-plugin-cnpg/velero/Action"
 * import * as BackupItemAction from "velero-plugin-cnpg/velero/BackupItemAction"
 *
 * // ConfigMaps hold strings; every key needs a default, for where there is no ConfigMap.
 * const Config = Schema.Struct({
 *   copies: Schema.FiniteFromString.pipe(Schema.withDecodingDefaultKey(Effect.succeed("1")))
 * })
 *
 * const action = BackupItemAction.make({
 *   selector: {},
 *   config: Config,
 *   decode: Schema.Struct({}),
 *   fetch: (_, { config }) => Effect.succeed(config),
 *   transform: (_, config: typeof Config.Type) => Result.succeed(info(`${config.copies} copies`)),
 *   encode: (item, note) => ({ item, notes: [note] })
 * })
 *
 * const pod = { kind: "Pod", metadata: { name: "a" } }
 * const lines = (config: Record<string, string>) =>
 *   Effect.runPromise(Effect.map(Actions.backUp(action, pod, { config }), (stored) => stored.lines))
 * await lines({}) // => [["info", "1 copies"]]
 * await lines({ copies: "3" }) // => [["info", "3 copies"]]
 * await lines({ copy: "3" }).catch(({ name }) => name) // => "InvalidPluginConfig"
 * ```
 */
export const reader = <Config>(
  schema: Schema.ConstraintDecoder<Config> | undefined
): ((call: Reader) => Effect.Effect<Config, AmbiguousPluginConfig | InvalidPluginConfig, PluginConfig>) => {
  // Steps without a schema have `Config = undefined`.
  if (schema === undefined) return () => Effect.succeed(undefined as Config)
  const decode = Schema.decodeEffect(schema, { errors: "all", onExcessProperty: "error" })
  return Effect.fnUntraced(function* ({ kind, owner, plugin }: Reader) {
    const service = yield* PluginConfig
    const configMap = Option.getOrUndefined(yield* service.find(owner, plugin, kind))
    return yield* Effect.mapError(
      decode(configMap?.data ?? {}),
      (error) =>
        new InvalidPluginConfig({
          configMap: `${service.namespace}/${configMap?.metadata.name ?? ""}`,
          plugin,
          detail: error.message.replace(/\s*\n\s*/g, " ")
        })
    )
  })
}
