/**
 * `velero-cnpg/owned-resource-restore-plugin`: leaves out what `owned-resource-backup-plugin` marked, unless the user wants the
 * data from the volumes (setting `velero-cnpg/recover-from`).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { info, type Note } from "../velero/Action.ts"
import type { Restore } from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import { configuration } from "./ClusterRestoreConfig.ts"
import { annotation, label } from "./Names.ts"
import { Owned, ownedResources } from "./OwnedResourceBackup.ts"
import * as RecoverFrom from "./RecoverFrom.ts"
import type { Config, InvalidSetting } from "./Setting.ts"

export interface Decision {
  readonly skip: boolean
  readonly notes: ReadonlyArray<Note>
}

/** Whether to restore an item. */
export const transform = (
  { kind, metadata }: Owned,
  restore: Restore,
  config: Config = {}
): Result.Result<Decision, InvalidSetting> => {
  const cluster = metadata.annotations?.[annotation.ownedBy]
  const backupId = metadata.annotations?.[annotation.backupId]
  if (!cluster || !backupId) return Result.succeed({ skip: false, notes: [] })
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
                `${name} is not restored: the operator makes it anew when Cluster ${cluster} recovers from backup ${backupId}`
              )
            ]
          }
  )
}

export const action = RestoreItemAction.make({
  selector: { includedResources: ownedResources, labelSelector: label.cluster },
  ...configuration,
  decode: Owned,
  fetch: (_, { config, restore }) => Effect.succeed({ config, restore }),
  transform: (owned, { config, restore }) => transform(owned, restore, config),
  encode: (item, { notes, skip }) => ({ item, skip, notes })
})
