/**
 * Restore item actions: called for each matching item on its way from a backup into a cluster.
 *
 * **When to use**: to change an item before it is created, to leave it out, to restore others first, to follow what becomes of it.
 * **Gotchas**: actions run even if the object exists already. The item has lost `status`, `ownerReferences`, `uid` and the
 * like; `itemFromBackup` has them. Namespaces are the original ones (`Restore.targetNamespace` tells where it goes). An error
 * leaves the item out and makes the restore PartiallyFailed.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/restoreitemaction/v2/restore_item_action.go
 *
 * @module
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Failure, Note, Request, Steps } from "./Action.ts"
import * as Action from "./Action.ts"
import type { Item } from "./Item.ts"
import * as Items from "./Item.ts"
import type { Progress } from "./Operation.ts"
import type { PluginConfig } from "./PluginConfig.ts"
import type { ResourceIdentifier, ResourceSelector } from "./Resources.ts"
import type { Restore } from "./Restore.ts"
import * as RestoreView from "./Restore.ts"

/** What the steps get besides the item. */
export interface RestoreRequest<Config = undefined> extends Request<Config> {
  readonly restore: Restore
  /** The item as it was backed up, with status, ownerReferences and uid. */
  readonly itemFromBackup: Item
}

/** What an action answers for one item. */
export interface RestoreReply {
  /** The item to create; the item that came, to create it as it is. */
  readonly item: Item
  /** Leave the item out; additional items are then ignored, and no further action sees it. */
  readonly skip?: boolean
  /** Items of the backup to restore before this one, by their original namespaces. */
  readonly additionalItems?: ReadonlyArray<ResourceIdentifier>
  /** Hold the item back until `areAdditionalItemsReady`; after the timeout (default: Velero's) it is restored all the same. */
  readonly waitForAdditionalItems?: { readonly timeout?: Duration.Duration }
  /** An operation to follow. */
  readonly operationId?: string
  readonly notes?: ReadonlyArray<Note>
}

/** A request about an operation. */
export interface RestoreOperationRequest {
  readonly plugin: string
  readonly operationId: string
  readonly restore: Restore
}

/** How Velero follows an operation, and gives it up (once, after a time-out). */
export interface RestoreOperations<R> {
  /** How far it is. A failure fails the operation at once. */
  readonly progress: (request: RestoreOperationRequest) => Effect.Effect<Progress, Failure, R>
  /** Stops it, if it can be stopped. Called after a time-out, once; what fails here is ignored. */
  readonly cancel: (request: RestoreOperationRequest) => Effect.Effect<void, Failure, R>
}

/** Whether additional items are ready; their namespaces are the original ones. */
export interface ReadyRequest {
  readonly plugin: string
  readonly restore: Restore
  readonly additionalItems: ReadonlyArray<ResourceIdentifier>
}

/** What the wire needs of an action; made by `make`. */
export interface RestoreItemAction<R> {
  readonly selector: ResourceSelector
  /** The whole pipeline, for one item. */
  readonly execute: (call: {
    readonly plugin: string
    readonly kind: string
    readonly item: Uint8Array
    readonly itemFromBackup: Uint8Array
    readonly restore: Restore
  }) => Effect.Effect<RestoreReply, Failure, R | PluginConfig>
  readonly operations: RestoreOperations<R> | undefined
  /** Absent: ready at once. */
  readonly areAdditionalItemsReady: ((request: ReadyRequest) => Effect.Effect<boolean, Failure, R>) | undefined
}

/**
 * An action from its steps. The same action can be registered as v1 or, with operations or without, as v2.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Actions from "velero-plugin-cnpg/testing/Actions"
 * import { info } from "velero-plugin-cnpg/velero/Action"
 * import * as RestoreItemAction from "velero-plugin-cnpg/velero/RestoreItemAction"
 * import * as View from "velero-plugin-cnpg/velero/View"
 *
 * // Leaves out what some controller owned when it was backed up: it will be made again.
 * const action = RestoreItemAction.make({
 *   selector: { includedResources: ["configmaps"] },
 *   decode: Schema.Struct({ metadata: View.Metadata }),
 *   // Owners are taken from the item before it gets here.
 *   fetch: (_, { itemFromBackup }) =>
 *     Effect.map(
 *       Schema.decodeUnknownEffect(Schema.Struct({ metadata: View.Metadata }))(itemFromBackup.tree),
 *       ({ metadata }) => (metadata.ownerReferences ?? []).some(({ controller }) => controller === true)
 *     ),
 *   transform: ({ metadata }, isOwned: boolean) => Result.succeed({ isOwned, name: metadata.name }),
 *   encode: (item, { isOwned, name }) => ({ item, skip: isOwned, notes: isOwned ? [info(`left ${name} out`)] : [] })
 * })
 *
 * const item = { kind: "ConfigMap", metadata: { name: "a" } }
 * const owner = { apiVersion: "v1", kind: "Site", name: "a", uid: "u", controller: true }
 * const itemFromBackup = { ...item, metadata: { ...item.metadata, ownerReferences: [owner] } }
 * const owned = await Effect.runPromise(Actions.restore(action, item, { itemFromBackup }))
 * owned.skip // => true
 * owned.lines // => [["info", "left a out"]]
 * const free = await Effect.runPromise(Actions.restore(action, item))
 * free.skip // => false
 * ```
 */
export const make = <View, Facts, Decision, R, Config = undefined>(
  steps: Steps<View, Config, RestoreRequest<Config>, Facts, Decision, RestoreReply, R> & {
    readonly operations?: RestoreOperations<R>
    readonly areAdditionalItemsReady?: (request: ReadyRequest) => Effect.Effect<boolean, Failure, R>
  }
): RestoreItemAction<R> => {
  const run = Action.compose(steps)
  return {
    selector: steps.selector,
    execute: ({ item, itemFromBackup, kind, plugin, restore }) =>
      run({
        plugin,
        kind,
        owner: RestoreView.key(restore),
        ownerField: { restore: RestoreView.describe(restore) },
        item,
        request: (config) =>
          Result.map(Items.parse(itemFromBackup), (original) => ({ plugin, config, restore, itemFromBackup: original }))
      }),
    operations: steps.operations,
    areAdditionalItemsReady: steps.areAdditionalItemsReady
  }
}
