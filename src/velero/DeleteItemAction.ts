/**
 * Delete item actions: called for each matching item of a backup that is being deleted.
 *
 * **When to use**: to remove what an action made elsewhere for this backup. **Gotchas**: an error is logged and the deletion
 * goes on; a backup whose contents are gone is deleted without any action.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/delete_item_action.go
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
import type { ResourceSelector } from "./Resources.ts"

/** What the steps get besides the item. */
export interface DeleteRequest<Config = undefined> extends Request<Config> {
  /** The Backup that is being deleted. */
  readonly backup: Backup
}

/** A deletion answers nothing; what it does is its commit step. */
export interface DeleteReply {
  readonly notes?: ReadonlyArray<Note>
}

/** What the wire needs of an action; made by `make`. */
export interface DeleteItemAction<R> {
  readonly selector: ResourceSelector
  /** The whole pipeline, for one item. */
  readonly execute: (call: {
    readonly plugin: string
    readonly item: Uint8Array
    readonly backup: Backup
  }) => Effect.Effect<DeleteReply, Failure, R | PluginConfig>
}

/**
 * An action from its steps.
 *
 * @example
 * ```ts
 * import * as Context from "effect/Context"
 * import * as Effect from "effect/Effect"
 * import * as Result from "effect/Result"
 * import * as Schema from "effect/Schema"
 * import * as Actions from "velero-plugin-cnpg/testing/Actions"
 * import * as DeleteItemAction from "velero-plugin-cnpg/velero/DeleteItemAction"
 * import * as View from "velero-plugin-cnpg/velero/View"
 *
 * // Where the pack's backup action put its copies; a layer of it goes to `main` beside `kubernetes`.
 * class Copies extends Context.Service<Copies, { readonly remove: (id: string) => Effect.Effect<void> }>()("Copies") {}
 *
 * const action = DeleteItemAction.make({
 *   selector: { includedResources: ["sites.example.com"] },
 *   decode: Schema.Struct({ metadata: View.Metadata }),
 *   fetch: () => Effect.void,
 *   transform: ({ metadata }) => Result.succeed(metadata.annotations?.["example.com/copy"]),
 *   encode: () => ({}),
 *   // Writes come last, when nothing can fail any more for a reason that was known before.
 *   commit: (id) => Effect.flatMap(Copies, ({ remove }) => (id === undefined ? Effect.void : remove(id)))
 * })
 *
 * const removed: Array<string> = []
 * const copies = Copies.of({ remove: (id) => Effect.sync(() => void removed.push(id)) })
 * const site = { kind: "Site", metadata: { name: "a", annotations: { "example.com/copy": "copy-1" } } }
 * await Effect.runPromise(Actions.remove(action, site).pipe(Effect.provideService(Copies, copies)))
 * removed // => ["copy-1"]
 * ```
 */
export const make = <View, Facts, Decision, R, Config = undefined>(
  steps: Steps<View, Config, DeleteRequest<Config>, Facts, Decision, DeleteReply, R>
): DeleteItemAction<R> => {
  const run = Action.compose(steps)
  return {
    selector: steps.selector,
    execute: ({ backup, item, plugin }) =>
      run({
        plugin,
        kind: "DeleteItemAction",
        owner: BackupView.key(backup),
        ownerField: { backup: BackupView.describe(backup) },
        item,
        request: (config) => Result.succeed({ plugin, config, backup })
      })
  }
}
