/**
 * `velero-cnpg/backup-restore-plugin`: leaves CNPG Backups out.
 *
 * A Backup comes back without its status, and to the operator that is a backup that was never run: it runs every one of them
 * again. Setting `velero-cnpg/restore-backups` restores them all the same.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/backup_controller.go
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Failure, info, type Note, warn } from "../velero/Action.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"
import { ownLabel } from "./Names.ts"
import * as Setting from "./Setting.ts"

export const setting: Setting.Setting<"true" | "false"> = {
  annotation: "velero-cnpg/restore-backups",
  key: "restoreBackups",
  plugin: "velero-cnpg/backup-restore-plugin",
  on: "Restore",
  isOfCluster: false,
  values: "true or false",
  default: "false",
  description:
    "Whether CNPG Backups are restored. They come back without their status, so the operator runs every one of them again.",
  parse: Setting.oneOf("true", "false")
}

const Backup = Schema.Struct({ metadata: View.Metadata })

export interface Decision {
  readonly skip: boolean
  readonly note: Note
}

/** Whether to restore a Backup. */
export const transform = (
  { metadata }: typeof Backup.Type,
  places: Setting.Places
): Result.Result<Decision, Failure> => {
  const name = `Backup ${metadata.namespace ?? ""}/${metadata.name}`
  const madeFor = metadata.labels?.[ownLabel.veleroBackup]
  if (madeFor !== undefined) {
    return Result.succeed({
      skip: true,
      note: info(`${name} is not restored: it was made for Velero backup ${madeFor}`)
    })
  }
  return Result.map(Setting.choose(setting, places), (restoreBackups) =>
    restoreBackups === "true"
      ? { skip: false, note: warn(`${name} is restored, as asked: the operator will run it again`) }
      : { skip: true, note: info(`${name} is not restored: the operator would run it again`) }
  )
}

export const action = RestoreItemAction.make({
  selector: { includedResources: ["backups.postgresql.cnpg.io"] },
  config: Setting.config([setting]),
  decode: Backup,
  fetch: (_, { config, restore }) => Effect.succeed({ velero: restore, config }),
  transform,
  encode: (item, { note, skip }) => ({ item, skip, notes: [note] })
})
