/**
 * `example.com/custom-delete-action`: called for the ConfigMaps and Secrets of a backup that is being deleted.
 *
 * An action that keeps something of its own for each backup (a copy elsewhere, a row in a database) removes it here, in a
 * `commit` step. This one keeps nothing, and only says for which of its items it was called.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "../velero/Action.ts"
import * as Backup from "../velero/Backup.ts"
import * as DeleteItemAction from "../velero/DeleteItemAction.ts"
import * as View from "../velero/View.ts"

const ConfigMapOrSecret = Schema.Struct({ metadata: View.Metadata })

/** The item is the stored one: with what the backup action made of it. */
export const transform = ({ metadata }: typeof ConfigMapOrSecret.Type, backup: string) => ({
  notes:
    metadata.annotations?.["backup.example.com/processed"] === "true"
      ? [info("Executing custom delete action"), info(`Backup ${backup} no longer holds ${metadata.name}`)]
      : []
})

export const action = DeleteItemAction.make({
  selector: { includedResources: ["configmaps", "secrets"] },
  decode: ConfigMapOrSecret,
  fetch: (_, { backup }) => Effect.succeed(Backup.describe(backup)),
  transform: (view, backup: string) => Result.succeed(transform(view, backup)),
  encode: (_, decision) => decision
})
