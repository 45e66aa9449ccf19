/** `RestoreItemAction` v1 and v2: messages to the one pipeline and back. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Duration as DurationMessage } from "../../generated/google/protobuf/duration.ts"
import { RestoreItemActionDefinition as DefinitionV1 } from "../../generated/velero/restore_item_action_v1.ts"
import { RestoreItemActionDefinition as DefinitionV2 } from "../../generated/velero/restore_item_action_v2.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import { InvalidOperation } from "../Operation.ts"
import type { Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"
import type { RestoreItemAction } from "../RestoreItemAction.ts"
import { decodeRestore, identifierMessages, progressMessage, selectorMessage, speakingAs } from "./Messages.ts"
import { find } from "./Registry.ts"

interface OperationMessage {
  readonly plugin: string
  readonly operationID: string
  readonly restore: Uint8Array
}

const operationOf = <R>(action: RestoreItemAction<R>, { operationID, plugin, restore }: OperationMessage) =>
  Effect.gen(function* () {
    if (action.operations === undefined) return yield* new InvalidOperation({ operationId: operationID })
    const request = { plugin, operationId: operationID, restore: yield* decodeRestore(restore) }
    return { operations: action.operations, request }
  })

const durationMessage = (duration: Duration.Duration | undefined): DurationMessage | undefined => {
  if (duration === undefined) return undefined
  const millis = Math.floor(Duration.toMillis(duration))
  return { seconds: BigInt(Math.floor(millis / 1000)), nanos: (millis % 1000) * 1_000_000 }
}

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const v1 = find(plugins, "RestoreItemAction")
  const v2 = find(plugins, "RestoreItemActionV2")
  return [
    Rpc.service(DefinitionV1, {
      appliesTo: ({ plugin }) =>
        Effect.map(v1(plugin), ({ selector }) => ({ ResourceSelector: selectorMessage(selector) })),
      execute: Effect.fnUntraced(function* ({ item, itemFromBackup, plugin, restore }) {
        const action = yield* v1(plugin)
        const reply = yield* action.execute({
          plugin,
          kind: "RestoreItemAction",
          item,
          itemFromBackup,
          restore: yield* decodeRestore(restore)
        })
        return {
          item: reply.item.bytes,
          additionalItems: identifierMessages(reply.additionalItems),
          skipRestore: reply.skip ?? false
        }
      })
    }),
    Rpc.service(DefinitionV2, {
      appliesTo: ({ plugin }) =>
        Effect.map(v2(plugin), ({ selector }) => ({ ResourceSelector: selectorMessage(selector) })),
      execute: Effect.fnUntraced(function* ({ item, itemFromBackup, plugin, restore }) {
        const action = yield* v2(plugin)
        const reply = yield* action.execute({
          plugin,
          kind: "RestoreItemActionV2",
          item,
          itemFromBackup,
          restore: yield* decodeRestore(restore)
        })
        return {
          item: reply.item.bytes,
          additionalItems: identifierMessages(reply.additionalItems),
          skipRestore: reply.skip ?? false,
          operationID: reply.operationId ?? "",
          waitForAdditionalItems: reply.waitForAdditionalItems !== undefined,
          additionalItemsReadyTimeout: durationMessage(reply.waitForAdditionalItems?.timeout)
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
      }, speakingAs("cancel")),
      areAdditionalItemsReady: Effect.fnUntraced(function* ({ additionalItems, plugin, restore }) {
        const { areAdditionalItemsReady } = yield* v2(plugin)
        if (areAdditionalItemsReady === undefined) return { ready: true }
        return {
          ready: yield* areAdditionalItemsReady({ plugin, restore: yield* decodeRestore(restore), additionalItems })
        }
      }, speakingAs("areAdditionalItemsReady"))
    })
  ]
}
