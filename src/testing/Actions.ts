/**
 * Whole item actions in memory: an item in, what Velero would get and read in its log out.
 *
 * **When to use**: for an action's own tests; no process, no socket and no cluster are involved. **Gotchas**: the cluster is
 * `kubernetes/Memory.ts`, which knows neither conflicts nor permissions; for those, put `testing/ApiServer.ts` behind the
 * compiled executable and drive it with `testing/VeleroHost.ts`.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Actions from "velero-plugin-cnpg/testing/Actions"
 * import { info } from "velero-plugin-cnpg/velero/Action"
 * import * as BackupItemAction from "velero-plugin-cnpg/velero/BackupItemAction"
 * import * as Item from "velero-plugin-cnpg/velero/Item"
 * import * as Json from "velero-plugin-cnpg/velero/Json"
 * import * as View from "velero-plugin-cnpg/velero/View"
 *
 * const action = BackupItemAction.make({
 *   selector: { includedResources: ["configmaps"] },
 *   decode: Schema.Struct({ metadata: View.Metadata }),
 *   fetch: () => Effect.void,
 *   transform: ({ metadata }) => Result.succeed(`${metadata.name} was seen`),
 *   encode: (item, seen) => ({
 *     item: Item.patch(item, [Json.set(["metadata", "annotations", "example.com/seen"], "true")]),
 *     notes: [info(seen)]
 *   })
 * })
 * const stored = await Effect.runPromise(Actions.backUp(action, `{"kind":"ConfigMap","metadata":{"name":"a"},"n":1.0}`))
 * stored.item.text // => `{"kind":"ConfigMap","metadata":{"name":"a","annotations":{"example.com/seen":"true"}},"n":1.0}`
 * stored.lines // => [["info", "a was seen"]]
 * ```
 *
 * @module
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Log from "../go-plugin/Log.ts"
import type { KubernetesObject } from "../kubernetes/Kubernetes.ts"
import * as Memory from "../kubernetes/Memory.ts"
import type { Backup } from "../velero/Backup.ts"
import type { BackupItemAction } from "../velero/BackupItemAction.ts"
import type { DeleteItemAction } from "../velero/DeleteItemAction.ts"
import type { Item } from "../velero/Item.ts"
import type { ItemBlockAction } from "../velero/ItemBlockAction.ts"
import type { JsonObject } from "../velero/Json.ts"
import * as PluginConfig from "../velero/PluginConfig.ts"
import type { Restore } from "../velero/Restore.ts"
import type { RestoreItemAction } from "../velero/RestoreItemAction.ts"

/** The name that the action goes by; it matters to nothing but its configuration and its log lines. */
export const plugin = "example.com/tested-action"

/** A Backup as Velero hands it to an action. */
export const backup: Backup = {
  metadata: { name: "nightly", namespace: "velero", uid: "uid-1", creationTimestamp: "2026-11-19T02:00:00Z" }
}

/** A Restore as Velero hands it to an action. */
export const restoration: Restore = {
  metadata: { name: "again", namespace: "velero", uid: "uid-2", creationTimestamp: "2026-11-20T02:00:00Z" },
  spec: { backupName: "nightly" }
}

/** Level and text of a log line. */
export type Line = readonly [level: string, message: string]

/** What the action finds besides its item. */
export interface World {
  /** Objects of the cluster. */
  readonly objects?: ReadonlyArray<KubernetesObject>
  /** `data` of the plugin's ConfigMap; without it there is none. */
  readonly config?: Readonly<Record<string, string>>
  /** All ConfigMaps that configure plugins, labels and all, instead of `config`. */
  readonly configMaps?: ReadonlyArray<PluginConfig.ConfigMap>
}

/** What came of a call, besides its reply. */
export interface Aftermath {
  /** Log lines at info and above. */
  readonly lines: ReadonlyArray<Line>
  /** The cluster's objects after the call. */
  readonly cluster: ReadonlyArray<KubernetesObject>
}

const configMap = (data: Readonly<Record<string, string>>, kind: string): PluginConfig.ConfigMap => ({
  metadata: { name: "tested-action", labels: { "velero.io/plugin-config": "", [plugin]: kind } },
  data
})

const inMemory = <A, E, R>(kind: string, { config, configMaps, objects }: World, call: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<Line> = []
    const log = Log.layer({
      level: "Info",
      write: (text) => {
        const line = JSON.parse(text) as Readonly<Record<string, string>>
        lines.push([line["@level"] ?? "", line["@message"] ?? ""])
      }
    })
    const cluster = Memory.make(objects)
    const configs = PluginConfig.layerTest(configMaps ?? (config === undefined ? [] : [configMap(config, kind)]))
    const reply = yield* Effect.provide(call, Layer.mergeAll(configs, cluster.layer, log))
    return { reply, lines, cluster: cluster.objects() }
  })

/** Runs anything else of a plugin, such as an operation's progress or a call of an object store. */
export const run = <A, E, R>(call: Effect.Effect<A, E, R>, world: Omit<World, "config"> = {}) =>
  inMemory("", world, call)

const bytesOf = (item: string | JsonObject): Uint8Array =>
  new TextEncoder().encode(typeof item === "string" ? item : JSON.stringify(item))

/** A reply with an item; `isUntouched` where Velero gets the very bytes that it sent. */
const withItem = <Reply extends { readonly item: Item }>(
  bytes: Uint8Array,
  { cluster, lines, reply }: { readonly reply: Reply } & Aftermath
) => ({ ...reply, isUntouched: reply.item.bytes === bytes, lines, cluster })

/** Backs one item up. */
export const backUp = <R>(
  action: BackupItemAction<R>,
  item: string | JsonObject,
  world: World & { readonly backup?: Backup } = {}
) => {
  const bytes = bytesOf(item)
  const kind = "BackupItemAction"
  return Effect.map(
    inMemory(kind, world, action.execute({ plugin, kind, item: bytes, backup: world.backup ?? backup })),
    (answer) => withItem(bytes, answer)
  )
}

/** Restores one item. Velero has taken `status`, owners, uid and the like from it; `itemFromBackup` (default: the item) has them. */
export const restore = <R>(
  action: RestoreItemAction<R>,
  item: string | JsonObject,
  world: World & { readonly restore?: Restore; readonly itemFromBackup?: string | JsonObject } = {}
) => {
  const bytes = bytesOf(item)
  const kind = "RestoreItemAction"
  const itemFromBackup = world.itemFromBackup === undefined ? bytes : bytesOf(world.itemFromBackup)
  return Effect.map(
    inMemory(
      kind,
      world,
      action.execute({ plugin, kind, item: bytes, itemFromBackup, restore: world.restore ?? restoration })
    ),
    (answer) => withItem(bytes, answer)
  )
}

/** Deletes the backup that holds one item. */
export const remove = <R>(
  action: DeleteItemAction<R>,
  item: string | JsonObject,
  world: World & { readonly backup?: Backup } = {}
) =>
  Effect.map(
    inMemory(
      "DeleteItemAction",
      world,
      action.execute({ plugin, item: bytesOf(item), backup: world.backup ?? backup })
    ),
    ({ cluster, lines }): Aftermath => ({ cluster, lines })
  )

/** Asks for the items that belong together with one. */
export const relatedTo = <R>(
  action: ItemBlockAction<R>,
  item: string | JsonObject,
  world: World & { readonly backup?: Backup } = {}
) =>
  Effect.map(
    inMemory(
      "ItemBlockAction",
      world,
      action.relatedItems({ plugin, item: bytesOf(item), backup: world.backup ?? backup })
    ),
    ({ cluster, lines, reply }) => ({ ...reply, cluster, lines })
  )
