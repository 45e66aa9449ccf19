/**
 * Item block actions: name the items that belong together with one, so that one worker backs them up, between the same hooks.
 *
 * **When to use**: where items have to be consistent with each other. Velero 1.15 and later. **Gotchas**: related items that
 * the backup's filters leave out stay out; an error makes the backup PartiallyFailed, and the item is backed up alone.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/itemblockaction/v1/item_block_action.go
 *
 * @module
 */
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Failure, Note, Request, Steps } from "./Action.ts"
import * as Action from "./Action.ts"
import type { Backup } from "./Backup.ts"
import * as BackupView from "./Backup.ts"
import type { PluginConfig } from "./PluginConfig.ts"
import type { ResourceIdentifier, ResourceSelector } from "./Resources.ts"

/** What the steps get besides the item. */
export interface ItemBlockRequest<Config = undefined> extends Request<Config> {
  readonly backup: Backup
}

/** What an action answers for one item. */
export interface ItemBlockReply {
  readonly relatedItems: ReadonlyArray<ResourceIdentifier>
  readonly notes?: ReadonlyArray<Note>
}

/** What the wire needs of an action; made by `make`. */
export interface ItemBlockAction<R> {
  readonly selector: ResourceSelector
  /** The whole pipeline, for one item. */
  readonly relatedItems: (call: {
    readonly plugin: string
    readonly item: Uint8Array
    readonly backup: Backup
  }) => Effect.Effect<ItemBlockReply, Failure, R | PluginConfig>
}

/**
 * An action from its steps.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Actions from "velero-plugin-cnpg/testing/Actions"
 * import * as ItemBlockAction from "velero-plugin-cnpg/velero/ItemBlockAction"
 *
 * const Pod = Schema.Struct({
 *   metadata: Schema.Struct({ namespace: Schema.String }),
 *   spec: Schema.Struct({ serviceAccountName: Schema.String })
 * })
 *
 * const action = ItemBlockAction.make({
 *   selector: { includedResources: ["pods"] },
 *   decode: Pod,
 *   fetch: () => Effect.void,
 *   transform: ({ metadata: { namespace }, spec }) =>
 *     Result.succeed({ group: "", resource: "serviceaccounts", namespace, name: spec.serviceAccountName }),
 *   encode: (_, account) => ({ relatedItems: [account] })
 * })
 *
 * const pod = { kind: "Pod", metadata: { name: "a", namespace: "shop" }, spec: { serviceAccountName: "web" } }
 * const { relatedItems } = await Effect.runPromise(Actions.relatedTo(action, pod))
 * relatedItems // => [{ group: "", resource: "serviceaccounts", namespace: "shop", name: "web" }]
 * ```
 */
export const make = <View, Facts, Decision, R, Config = undefined>(
  steps: Steps<View, Config, ItemBlockRequest<Config>, Facts, Decision, ItemBlockReply, R>
): ItemBlockAction<R> => {
  const run = Action.compose(steps)
  return {
    selector: steps.selector,
    relatedItems: ({ backup, item, plugin }) =>
      run({
        plugin,
        kind: "ItemBlockAction",
        owner: BackupView.key(backup),
        ownerField: { backup: BackupView.describe(backup) },
        item,
        request: (config) => Result.succeed({ plugin, config, backup })
      })
  }
}
