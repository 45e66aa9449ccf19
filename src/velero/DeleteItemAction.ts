/**
 * Delete item actions: called for each matching item of a backup that is being deleted.
 *
 * **When to use**: to remove what an action made elsewhere for this backup. **Gotchas**: an error is logged and the deletion
 * goes on; a backup whose contents are gone is deleted without any action.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/delete_item_action.go
 */
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Failure, Note, Request, Steps } from "./Action.ts"
import * as Action from "./Action.ts"
import type { Backup } from "./Backup.ts"
import * as BackupView from "./Backup.ts"
import type { PluginConfig } from "./PluginConfig.ts"
import type { ResourceSelector } from "./Resources.ts"

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
  readonly execute: (call: {
    readonly plugin: string
    readonly item: Uint8Array
    readonly backup: Backup
  }) => Effect.Effect<DeleteReply, Failure, R | PluginConfig>
}

/** An action from its steps. */
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
