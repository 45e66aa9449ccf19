/** `BackupItemAction` v1 and v2: messages to the one pipeline and back. */
import * as Effect from "effect/Effect"
import { BackupItemActionDefinition as DefinitionV1 } from "../../generated/velero/backup_item_action_v1.ts"
import { BackupItemActionDefinition as DefinitionV2 } from "../../generated/velero/backup_item_action_v2.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import type { BackupItemAction } from "../BackupItemAction.ts"
import { InvalidOperation } from "../Operation.ts"
import type { Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"
import { decodeBackup, identifierMessages, progressMessage, selectorMessage, speakingAs } from "./Messages.ts"
import { find } from "./Registry.ts"

interface OperationMessage {
  readonly plugin: string
  readonly operationID: string
  readonly backup: Uint8Array
}

const operationOf = <R>(action: BackupItemAction<R>, { backup, operationID, plugin }: OperationMessage) =>
  Effect.gen(function* () {
    if (action.operations === undefined) return yield* new InvalidOperation({ operationId: operationID })
    const request = { plugin, operationId: operationID, backup: yield* decodeBackup(backup) }
    return { operations: action.operations, request }
  })

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const v1 = find(plugins, "BackupItemAction")
  const v2 = find(plugins, "BackupItemActionV2")
  return [
    Rpc.service(DefinitionV1, {
      appliesTo: ({ plugin }) =>
        Effect.map(v1(plugin), ({ selector }) => ({ ResourceSelector: selectorMessage(selector) })),
      execute: Effect.fnUntraced(function* ({ backup, item, plugin }) {
        const action = yield* v1(plugin)
        const reply = yield* action.execute({
          plugin,
          kind: "BackupItemAction",
          item,
          backup: yield* decodeBackup(backup)
        })
        return { item: reply.item.bytes, additionalItems: identifierMessages(reply.additionalItems) }
      })
    }),
    Rpc.service(DefinitionV2, {
      appliesTo: ({ plugin }) =>
        Effect.map(v2(plugin), ({ selector }) => ({ ResourceSelector: selectorMessage(selector) })),
      execute: Effect.fnUntraced(function* ({ backup, item, plugin }) {
        const action = yield* v2(plugin)
        const reply = yield* action.execute({
          plugin,
          kind: "BackupItemActionV2",
          item,
          backup: yield* decodeBackup(backup)
        })
        return {
          item: reply.item.bytes,
          additionalItems: identifierMessages(reply.additionalItems),
          operationID: reply.operationId ?? "",
          postOperationItems: identifierMessages(reply.postOperationItems)
        }
      }),
      progress: Effect.fnUntraced(function* (message) {
        const { operations, request } = yield* operationOf(yield* v2(message.plugin), message)
        return { progress: progressMessage(yield* operations.progress(request)) }
      }, speakingAs("progress")),
      cancel: Effect.fnUntraced(function* (message) {
        const { operations, request } = yield* operationOf(yield* v2(message.plugin), message)
        yield* operations.cancel(request)
        return {}
      }, speakingAs("cancel"))
    })
  ]
}
