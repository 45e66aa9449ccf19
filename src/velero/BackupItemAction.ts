/**
 * Backup item actions: called for each matching item on its way into a backup.
 *
 * **When to use**: to record something in the stored item, to add items to the backup, to start an operation.
 * **Gotchas**: the reply changes what is *stored*, never the object in the cluster. An error leaves the item out and makes the
 * backup PartiallyFailed.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/backupitemaction/v2/backup_item_action.go
 *
 * @module
 */
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Failure, Note, Request, Steps } from "./Action.ts"
import * as Action from "./Action.ts"
import type { Backup } from "./Backup.ts"
import * as BackupView from "./Backup.ts"
import type { Item } from "./Item.ts"
import type { Progress } from "./Operation.ts"
import type { PluginConfig } from "./PluginConfig.ts"
import type { ResourceIdentifier, ResourceSelector } from "./Resources.ts"

/** What the steps get besides the item. */
export interface BackupRequest<Config = undefined> extends Request<Config> {
  readonly backup: Backup
}

/** What an action answers for one item. */
export interface BackupReply {
  /** The item to store; the item that came, to store it as it is. */
  readonly item: Item
  /** Other objects that must be in the backup; one that does not exist is a warning. */
  readonly additionalItems?: ReadonlyArray<ResourceIdentifier>
  /** An operation that the commit step started. Not allowed while the backup finalizes. */
  readonly operationId?: string
  /** Objects that go through the actions once more when the operations are done. */
  readonly postOperationItems?: ReadonlyArray<ResourceIdentifier>
  readonly notes?: ReadonlyArray<Note>
}

/** A request about an operation. */
export interface BackupOperationRequest {
  readonly plugin: string
  readonly operationId: string
  readonly backup: Backup
}

/** How Velero follows an operation, and gives it up (once, after a time-out). */
export interface BackupOperations<R> {
  /** How far it is. A failure fails the operation at once. */
  readonly progress: (request: BackupOperationRequest) => Effect.Effect<Progress, Failure, R>
  /** Stops it, if it can be stopped. Called after a time-out, once; what fails here is ignored. */
  readonly cancel: (request: BackupOperationRequest) => Effect.Effect<void, Failure, R>
}

/** What the wire needs of an action; made by `make`. */
export interface BackupItemAction<R> {
  readonly selector: ResourceSelector
  /** The whole pipeline, for one item. */
  readonly execute: (call: {
    readonly plugin: string
    readonly kind: string
    readonly item: Uint8Array
    readonly backup: Backup
  }) => Effect.Effect<BackupReply, Failure, R | PluginConfig>
  readonly operations: BackupOperations<R> | undefined
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
 * import * as BackupItemAction from "velero-plugin-cnpg/velero/BackupItemAction"
 *
 * // A Site is of no use without the Secret that it names: that goes into the backup too.
 * const Site = Schema.Struct({
 *   metadata: Schema.Struct({ namespace: Schema.String }),
 *   spec: Schema.Struct({ secretName: Schema.String })
 * })
 *
 * const action = BackupItemAction.make({
 *   selector: { includedResources: ["sites.example.com"] },
 *   decode: Site,
 *   fetch: () => Effect.void,
 *   transform: ({ metadata: { namespace }, spec }) =>
 *     Result.succeed([{ group: "", resource: "secrets", namespace, name: spec.secretName }]),
 *   encode: (item, additionalItems) => ({ item, additionalItems })
 * })
 *
 * const site = { kind: "Site", metadata: { name: "a", namespace: "shop" }, spec: { secretName: "token" } }
 * const stored = await Effect.runPromise(Actions.backUp(action, site))
 * stored.additionalItems // => [{ group: "", resource: "secrets", namespace: "shop", name: "token" }]
 * stored.isUntouched // => true
 * ```
 */
export const make = <View, Facts, Decision, R, Config = undefined>(
  steps: Steps<View, Config, BackupRequest<Config>, Facts, Decision, BackupReply, R> & {
    readonly operations?: BackupOperations<R>
  }
): BackupItemAction<R> => {
  const run = Action.compose(steps)
  return {
    selector: steps.selector,
    execute: ({ backup, item, kind, plugin }) =>
      run({
        plugin,
        kind,
        owner: BackupView.key(backup),
        ownerField: { backup: BackupView.describe(backup) },
        item,
        request: (config) => Result.succeed({ plugin, config, backup })
      }),
    operations: steps.operations
  }
}
