/**
 * `velero-cnpg/owned-resource-restore-plugin`: leaves out what `owned-resource-backup-plugin` marked, unless the user wants the
 * data from the volumes (`velero-cnpg/recover-from: volumes` on the Restore or, at backup, on the Cluster).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { info, type Note } from "../velero/Action.ts"
import type { Restore } from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import { annotation, label } from "./Names.ts"
import { Owned, ownedResources } from "./OwnedResourceBackup.ts"
import type { InvalidRecoverFrom } from "./RecoverFrom.ts"
import * as RecoverFrom from "./RecoverFrom.ts"

export interface Decision {
  readonly skip: boolean
  readonly notes: ReadonlyArray<Note>
}

/** Whether to restore an item. */
export const transform = ({ kind, metadata }: Owned, restore: Restore): Result.Result<Decision, InvalidRecoverFrom> => {
  const cluster = metadata.annotations?.[annotation.ownedBy]
  const backupId = metadata.annotations?.[annotation.backupId]
  if (!cluster || !backupId) return Result.succeed({ skip: false, notes: [] })
  const name = `${kind} ${metadata.namespace ?? ""}/${metadata.name}`
  return Result.map(
    RecoverFrom.choose(restore, `Cluster ${cluster}`, metadata.annotations?.[annotation.recoverFrom]),
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
  decode: Owned,
  fetch: (_, { restore }) => Effect.succeed(restore),
  transform,
  encode: (item, { notes, skip }) => ({ item, skip, notes })
})
