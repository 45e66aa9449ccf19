/**
 * `velero-cnpg/backup-restore-plugin`: leaves CNPG Backups out.
 *
 * A Backup comes back without its status, and to the operator that is a backup that was never run: it runs every one of them
 * again. Plugin configuration `restoreBackups: "true"` restores them all the same.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/backup_controller.go
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note, warn } from "../velero/Action.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as View from "../velero/View.ts"

export const Config = Schema.Struct({
  restoreBackups: Schema.Literals(["true", "false"]).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed("false" as const))
  )
})

const Backup = Schema.Struct({ metadata: View.Metadata })

export interface Decision {
  readonly skip: boolean
  readonly note: Note
}

/** Whether to restore a Backup. */
export const transform = ({ metadata }: typeof Backup.Type, { restoreBackups }: typeof Config.Type): Decision => {
  const name = `Backup ${metadata.namespace ?? ""}/${metadata.name}`
  return restoreBackups === "true"
    ? { skip: false, note: warn(`${name} is restored, as restoreBackups asks: the operator will run it again`) }
    : { skip: true, note: info(`${name} is not restored: the operator would run it again`) }
}

export const action = RestoreItemAction.make({
  selector: { includedResources: ["backups.postgresql.cnpg.io"] },
  config: Config,
  decode: Backup,
  fetch: (_, { config }) => Effect.succeed(config),
  transform: (backup, config) => Result.succeed(transform(backup, config)),
  encode: (item, { note, skip }) => ({ item, skip, notes: [note] })
})
