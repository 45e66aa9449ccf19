/** Finds the implementation that a call names, and loads it at its first call. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Implementations, Kind, Plugin } from "../Plugin.ts"

/** Velero's own words; its Go SDK forgets to fill the kind in. */
export class UnknownPlugin extends Data.TaggedError("UnknownPlugin")<{ readonly kind: Kind; readonly plugin: string }> {
  override get message() {
    return `${this.kind} plugin: ${this.plugin} was not found or has an invalid name format`
  }
}

/** An implementation's module failed to load; the next call tries again. */
export class PluginNotLoaded extends Data.TaggedError("PluginNotLoaded")<{
  readonly plugin: string
  readonly detail: string
}> {
  override get message() {
    return `plugin ${this.plugin} could not be loaded: ${this.detail}`
  }
}

export type Find<R, K extends Kind> = (
  name: string
) => Effect.Effect<Implementations<R>[K], UnknownPlugin | PluginNotLoaded>

/** A look-up for one kind, with a cache of what was loaded. */
export const find = <R, K extends Kind>(plugins: ReadonlyArray<Plugin<R>>, kind: K): Find<R, K> => {
  const loads = new Map(plugins.filter((plugin) => plugin.kind === kind).map(({ load, name }) => [name, load]))
  const loaded = new Map<string, Implementations<R>[K]>()
  return (plugin) =>
    Effect.suspend((): Effect.Effect<Implementations<R>[K], UnknownPlugin | PluginNotLoaded> => {
      const known = loaded.get(plugin)
      if (known !== undefined) return Effect.succeed(known)
      const load = loads.get(plugin)
      if (load === undefined) return Effect.fail(new UnknownPlugin({ kind, plugin }))
      return Effect.tryPromise({
        try: async () => {
          // The filter above ties the registration's type to the kind.
          const implementation = (await load()) as Implementations<R>[K]
          loaded.set(plugin, implementation)
          return implementation
        },
        catch: (cause) =>
          new PluginNotLoaded({ plugin, detail: cause instanceof Error ? cause.message : String(cause) })
      })
    })
}
