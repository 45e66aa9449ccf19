/** `PluginLister`: what an executable offers, in the order of its list. */
import * as Effect from "effect/Effect"
import { PluginListerDefinition } from "../../generated/velero/plugin_lister.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import type { Plugin } from "../Plugin.ts"

/** `command` is the path that Velero will execute to reach the plugins. */
export const service = <R>(plugins: ReadonlyArray<Plugin<R>>, command: string): Service<never> =>
  Rpc.service(PluginListerDefinition, {
    listPlugins: () => Effect.succeed({ plugins: plugins.map(({ kind, name }) => ({ command, kind, name })) })
  })
