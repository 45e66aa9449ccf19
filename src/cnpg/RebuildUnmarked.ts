/**
 * Restores of backups that were made without `velero-cnpg/owned-resource-backup-plugin`: by the Go plugin, or before this one was
 * installed. Nothing in them is marked, and what a Cluster owned would stand in the way of its recovery.
 *
 * It has to be said: an object of a backup that was made with this plugin is not marked either where its Cluster has no base
 * backup, and then its volumes may be all there is.
 */
import * as Setting from "./Setting.ts"
import { annotation, plugin } from "./Names.ts"

export const setting: Setting.Setting<"true" | "false"> = {
  annotation: annotation.rebuildUnmarked,
  key: "rebuildUnmarked",
  plugin: plugin.clusterRestore,
  on: "Restore",
  isOfCluster: false,
  values: "true or false",
  default: "false",
  description:
    "For a backup that was made without this plugin: whether everything that a Cluster owned, its volumes too, is left out for the operator to make anew. Only where every Cluster in the backup has an archive; see [migrate-from-go-plugin.md](migrate-from-go-plugin.md).",
  parse: Setting.oneOf("true", "false")
}
