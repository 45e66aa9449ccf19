/** Stores ConfigMaps with the name of their backup. The object in the cluster is never touched. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info } from "velero-plugin-cnpg/velero/Action"
import * as Backup from "velero-plugin-cnpg/velero/Backup"
import * as BackupItemAction from "velero-plugin-cnpg/velero/BackupItemAction"
import * as Item from "velero-plugin-cnpg/velero/Item"
import * as Json from "velero-plugin-cnpg/velero/Json"
import * as View from "velero-plugin-cnpg/velero/View"

/** All that the action reads of an item. */
const ConfigMap = Schema.Struct({ metadata: View.Metadata })

/** The decision, a pure function: what to change, and what to say in Velero's log. */
export const transform = ({ metadata }: typeof ConfigMap.Type, backup: string) => ({
  patches: [Json.set(["metadata", "annotations", "example.com/my-plugin"], backup)],
  notes: [info(`${metadata.name} is in ${backup}`)]
})

export const action = BackupItemAction.make({
  selector: { includedResources: ["configmaps"] },
  decode: ConfigMap,
  fetch: (_, { backup }) => Effect.succeed(Backup.describe(backup)),
  transform: (configMap, backup: string) => Result.succeed(transform(configMap, backup)),
  encode: (item, { notes, patches }) => ({ item: Item.patch(item, patches), notes })
})
