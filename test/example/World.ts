/** Whole actions with what they log, on plugin configuration and Kubernetes in memory. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Memory from "../../src/kubernetes/Memory.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import type { BackupItemAction } from "../../src/velero/BackupItemAction.ts"
import type { DeleteItemAction } from "../../src/velero/DeleteItemAction.ts"
import type { Item } from "../../src/velero/Item.ts"
import type { ItemBlockAction } from "../../src/velero/ItemBlockAction.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import type { RestoreItemAction } from "../../src/velero/RestoreItemAction.ts"
import * as Fixtures from "../velero/Fixtures.ts"

/** The name that an action is registered under does not matter to it, but for plugin configuration. */
export const plugin = "example.com/tested-action"

export const nightly: Backup = {
  metadata: { name: "nightly", namespace: "velero", uid: "uid-1", creationTimestamp: "2026-11-19T02:00:00Z" }
}

/** Level and text of a log line. */
export type Line = readonly [level: string, message: string]

/** Runs an effect with a log, a cluster in memory and plugin configuration, and tells what it logged at info and above. */
export const logged = <A, E>(
  effect: Effect.Effect<A, E, PluginConfig.PluginConfig>,
  config = PluginConfig.layerTest()
) =>
  Effect.gen(function* () {
    const log = Fixtures.makeLog()
    const answer = yield* Effect.provide(effect, Layer.mergeAll(config, Memory.layer(), log.layer))
    const lines = log.lines
      .filter((line) => line["@level"] !== "debug")
      .map((line): Line => [line["@level"] ?? "", line["@message"] ?? ""])
    return { answer, lines }
  })

/** What came of an item. */
const outcome = (bytes: Uint8Array, item: Item) => ({
  text: item.text,
  /** The very bytes that came, as Velero gets them for an unchanged item. */
  isUntouched: item.bytes === bytes
})

export const backUp = (
  action: BackupItemAction<never>,
  item: string,
  {
    backup = nightly,
    config
  }: { readonly backup?: Backup; readonly config?: Layer.Layer<PluginConfig.PluginConfig> } = {}
) => {
  const bytes = Fixtures.bytesOf(item)
  return Effect.map(
    logged(action.execute({ plugin, kind: "BackupItemAction", item: bytes, backup }), config),
    ({ answer, lines }) => ({ ...answer, ...outcome(bytes, answer.item), lines })
  )
}

export const restore = (action: RestoreItemAction<never>, item: string) => {
  const bytes = Fixtures.bytesOf(item)
  const call = { plugin, kind: "RestoreItemAction", item: bytes, itemFromBackup: bytes, restore: {} }
  return Effect.map(logged(action.execute(call)), ({ answer, lines }) => ({
    ...answer,
    ...outcome(bytes, answer.item),
    lines
  }))
}

export const remove = (action: DeleteItemAction<never>, item: string) =>
  Effect.map(logged(action.execute({ plugin, item: Fixtures.bytesOf(item), backup: nightly })), ({ lines }) => lines)

export const relatedTo = (action: ItemBlockAction<never>, item: string) =>
  Effect.map(
    logged(action.relatedItems({ plugin, item: Fixtures.bytesOf(item), backup: nightly })),
    ({ answer }) => answer.relatedItems
  )

/** An item in one line, spelled as nothing would print it again; `metadata` and `rest` are members of JSON text. */
export const odd = (kind: string, metadata = "", rest = ""): string =>
  ` {"zz":1.0,"kind":"${kind}",  "metadata":{"generation":9007199254740993,"name":"one","namespace":"shop"${metadata}}${rest},"\\u0061":1e400}\n`
