/**
 * `velero-cnpg/owned-resource-restore-plugin`: leaves out what `owned-resource-backup-plugin` marked, unless the user wants the
 * data from the volumes (setting `velero-cnpg/recover-from`). Of a backup that nobody marked it leaves out what a Cluster owned, if it
 * is told to (setting `velero-cnpg/rebuild-unmarked`).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import type { Restore } from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import { configuration } from "./ClusterRestoreConfig.ts"
import { annotation, label } from "./Names.ts"
import { Owned, ownedResources, parentOf } from "./OwnedResourceBackup.ts"
import * as RebuildUnmarked from "./RebuildUnmarked.ts"
import * as RecoverFrom from "./RecoverFrom.ts"
import { isCnpgOwner } from "./Recoveries.ts"
import * as Setting from "./Setting.ts"
import type { Config, InvalidSetting } from "./Setting.ts"

const decodeOwned = Schema.decodeUnknownOption(Owned)

export interface Decision {
  readonly skip: boolean
  readonly notes: ReadonlyArray<Note>
}

/** Whether an item belonged to a Cluster when it was backed up, as far as it tells by itself. */
export const wasOwned = (backedUp: Owned): boolean =>
  parentOf(backedUp) !== undefined ||
  (backedUp.metadata.ownerReferences ?? []).some((reference) => isCnpgOwner(reference, "Cluster"))

/** An item that nobody marked. */
const unmarked = (
  { kind, metadata }: Owned,
  backedUp: Option.Option<Owned>,
  restore: Restore,
  config: Config
): Result.Result<Decision, InvalidSetting> =>
  Option.exists(backedUp, wasOwned)
    ? Result.map(Setting.choose(RebuildUnmarked.setting, { velero: restore, config }), (rebuild) =>
        rebuild === "true"
          ? {
              skip: true,
              notes: [
                info(
                  `${kind} ${metadata.namespace ?? ""}/${metadata.name} is not restored: the backup does not mark it, and ${annotation.rebuildUnmarked} asks for it to be made anew by the operator`
                )
              ]
            }
          : { skip: false, notes: [] }
      )
    : Result.succeed({ skip: false, notes: [] })

/** Whether to restore an item; `backedUp` still has its owners. */
export const transform = (
  owned: Owned,
  backedUp: Option.Option<Owned>,
  restore: Restore,
  config: Config = {}
): Result.Result<Decision, InvalidSetting> => {
  const { kind, metadata } = owned
  const cluster = metadata.annotations?.[annotation.ownedBy]
  // The second is of a Cluster whose first backup was made for that Velero backup.
  const backup = metadata.annotations?.[annotation.backupId] || metadata.annotations?.[annotation.freshBackupName]
  if (!cluster || !backup) return unmarked(owned, backedUp, restore, config)
  const name = `${kind} ${metadata.namespace ?? ""}/${metadata.name}`
  return Result.map(
    RecoverFrom.choose(restore, `Cluster ${cluster}`, metadata.annotations?.[annotation.recoverFrom], config),
    (source) =>
      source === "volumes"
        ? { skip: false, notes: [info(`${name} is restored: Cluster ${cluster} gets its data from its volumes`)] }
        : {
            skip: true,
            notes: [
              info(
                `${name} is not restored: the operator makes it anew when Cluster ${cluster} recovers from backup ${backup}`
              )
            ]
          }
  )
}

export const action = RestoreItemAction.make({
  selector: { includedResources: ownedResources, labelSelector: label.cluster },
  ...configuration,
  decode: Owned,
  fetch: (_, { config, itemFromBackup, restore }) =>
    Effect.succeed({ backedUp: decodeOwned(itemFromBackup.tree), config, restore }),
  transform: (owned, { backedUp, config, restore }) => transform(owned, backedUp, restore, config),
  encode: (item, { notes, skip }) => ({ item, skip, notes })
})
