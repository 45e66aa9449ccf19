/** `DeleteItemAction`: messages to the pipeline and back. */
import * as Effect from "effect/Effect"
import { DeleteItemActionDefinition } from "../../generated/velero/delete_item_action.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import type { Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"
import { decodeBackup, selectorMessage } from "./Messages.ts"
import { find } from "./Registry.ts"

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const action = find(plugins, "DeleteItemAction")
  return [
    Rpc.service(DeleteItemActionDefinition, {
      appliesTo: ({ plugin }) =>
        Effect.map(action(plugin), ({ selector }) => ({ ResourceSelector: selectorMessage(selector) })),
      execute: Effect.fnUntraced(function* ({ backup, item, plugin }) {
        const { execute } = yield* action(plugin)
        yield* execute({ plugin, item, backup: yield* decodeBackup(backup) })
        return {}
      })
    })
  ]
}
