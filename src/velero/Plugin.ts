/**
 * A pack's list of plugins: kinds, names, and how to load each.
 *
 * As in Velero's Go SDK a plugin is registered by name with an initializer that runs at its first use, so that listing plugins
 * loads none of them.
 *
 * @module
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import type { BackupItemAction } from "./BackupItemAction.ts"
import type { DeleteItemAction } from "./DeleteItemAction.ts"
import type { ItemBlockAction } from "./ItemBlockAction.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import * as PluginName from "./PluginName.ts"
import type { RestoreItemAction } from "./RestoreItemAction.ts"
import type { VolumeSnapshotter } from "./VolumeSnapshotter.ts"

/** Implementations by Velero's name of their kind. */
export interface Implementations<R> {
  readonly BackupItemAction: BackupItemAction<R>
  readonly BackupItemActionV2: BackupItemAction<R>
  readonly RestoreItemAction: RestoreItemAction<R>
  readonly RestoreItemActionV2: RestoreItemAction<R>
  readonly DeleteItemAction: DeleteItemAction<R>
  readonly ItemBlockAction: ItemBlockAction<R>
  readonly ObjectStore: ObjectStore<R>
  readonly VolumeSnapshotter: VolumeSnapshotter<R>
}

/** @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/common/plugin_kinds.go */
export type Kind = keyof Implementations<never>

interface Registration<K extends Kind, R> {
  readonly kind: K
  readonly name: string
  readonly load: () => Promise<Implementations<R>[K]>
  /** What it changes, in one sentence for people; empty where the pack does not say. */
  readonly description: string
}

/** One plugin of a pack; `R` are the services that it needs. */
export type Plugin<R> = { readonly [K in Kind]: Registration<K, R> }[Kind]

const register =
  <K extends Kind>(kind: K) =>
  <R>(name: string, load: () => Promise<Implementations<R>[K]>, description = ""): Registration<K, R> => ({
    kind,
    name,
    load,
    description
  })

/** Velero 1.0 and later. An operation that the action starts is not followed. */
export const backupItemAction = register("BackupItemAction")
/** Velero 1.11 and later. */
export const backupItemActionV2 = register("BackupItemActionV2")
/** Velero 1.0 and later. An operation that the action starts is not followed. */
export const restoreItemAction = register("RestoreItemAction")
/** Velero 1.11 and later. */
export const restoreItemActionV2 = register("RestoreItemActionV2")
/** Velero 1.5 and later. */
export const deleteItemAction = register("DeleteItemAction")
/** Velero 1.15 and later: an older server does not know the kind, and exits. */
export const itemBlockAction = register("ItemBlockAction")
/** Every Velero. */
export const objectStore = register("ObjectStore")
/** Every Velero. */
export const volumeSnapshotter = register("VolumeSnapshotter")

/** A list that Velero would refuse, which would make its server exit. */
export class InvalidPluginList extends Data.TaggedError("InvalidPluginList")<{ readonly detail: string }> {
  override get message() {
    return `these plugins cannot be served: ${this.detail}`
  }
}

/**
 * Checks names as Velero does: well-formed, and unique within a kind.
 *
 * @example
 * ```ts
 * import * as Result from "effect/Result"
 * import * as Plugin from "velero-plugin-cnpg/velero/Plugin"
 *
 * const load = () => Promise.reject(new Error("loaded at its first call, not here"))
 * const plugins = [Plugin.backupItemAction("example.com/a", load), Plugin.restoreItemActionV2("example.com/a", load)]
 * Result.isSuccess(Plugin.list(plugins)) // => true
 * Result.isFailure(Plugin.list([...plugins, Plugin.backupItemAction("example.com/a", load)])) // => true
 * ```
 */
export const list = <R>(
  plugins: ReadonlyArray<Plugin<R>>
): Result.Result<ReadonlyArray<Plugin<R>>, InvalidPluginList> => {
  const names = new Map<Kind, Set<string>>()
  for (const { kind, name } of plugins) {
    const existing = names.get(kind) ?? new Set()
    const checked = PluginName.validate(name, existing)
    if (Result.isFailure(checked)) {
      return Result.fail(new InvalidPluginList({ detail: `${kind} ${name}: ${checked.failure.message}` }))
    }
    names.set(kind, existing.add(name))
  }
  return Result.succeed(plugins)
}
