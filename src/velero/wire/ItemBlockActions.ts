/** `ItemBlockAction` v1: messages to the pipeline and back. */
import * as Effect from "effect/Effect"
import { ItemBlockActionDefinition } from "../../generated/velero/item_block_action.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import type { Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"
import { decodeBackup, identifierMessages, selectorMessage } from "./Messages.ts"
import { find } from "./Registry.ts"

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const action = find(plugins, "ItemBlockAction")
  return [
    Rpc.service(ItemBlockActionDefinition, {
      appliesTo: ({ plugin }) =>
        Effect.map(action(plugin), ({ selector }) => ({ ResourceSelector: selectorMessage(selector) })),
      getRelatedItems: Effect.fnUntraced(function* ({ backup, item, plugin }) {
        const { relatedItems } = yield* action(plugin)
        const reply = yield* relatedItems({ plugin, item, backup: yield* decodeBackup(backup) })
        return { relatedItems: identifierMessages(reply.relatedItems) }
      })
    })
  ]
}
