/** `PluginLister`: what an executable offers, in the order of its list. */
import * as Effect from "effect/Effect"
import { PluginListerDefinition } from "../../generated/velero/plugin_lister.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import type { Plugin } from "../Plugin.ts"

/** `command` is the path that Velero will execute to reach the plugins; a kind that it does not know would end it. */
export const service = <R>(
  plugins: ReadonlyArray<Plugin<R>>,
  command: string,
  knows: (kind: Plugin<R>["kind"]) => boolean
): Service<never> =>
  Rpc.service(PluginListerDefinition, {
    listPlugins: () =>
      Effect.succeed({
        plugins: plugins.filter(({ kind }) => knows(kind)).map(({ kind, name }) => ({ command, kind, name }))
      })
  })
