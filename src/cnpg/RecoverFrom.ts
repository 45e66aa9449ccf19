/**
 * The user's choice of what a restored Cluster gets its data from.
 *
 * `object-store` (default): the operator recovers from the archive, so what it built for the old Cluster is not restored.
 * `volumes`: the restored volumes hold the data, so everything is restored and only the archive's name changes.
 */
import type * as Result from "effect/Result"
import type { Restore } from "../velero/Restore.ts"
import { annotation, plugin } from "./Names.ts"
import * as Setting from "./Setting.ts"

export const choices = ["object-store", "volumes"] as const
export type RecoverFrom = (typeof choices)[number]

export const setting: Setting.Setting<RecoverFrom> = {
  annotation: annotation.recoverFrom,
  key: "recoverFrom",
  plugin: plugin.clusterRestore,
  on: "Restore",
  isOfCluster: true,
  values: choices.join(" or "),
  default: "object-store",
  description:
    "What a restored Cluster gets its data from. `object-store`: the operator recovers it from its archive, and makes anew what it had built for the old one. `volumes`: its volumes are restored, it starts on them, and only its archive gets a new name. On the Cluster it has to stand when the backup is made.",
  parse: Setting.oneOf(...choices)
}

/** The Restore's word, else the Cluster's, else the ConfigMap's. `recorded` is the Cluster's annotation, wherever it was kept. */
export const choose = (
  restore: Restore,
  cluster: string,
  recorded: string | undefined,
  config: Setting.Config = {}
): Result.Result<RecoverFrom, Setting.InvalidSetting> =>
  Setting.choose(setting, {
    velero: restore,
    cluster: { name: cluster, annotations: recorded === undefined ? {} : { [annotation.recoverFrom]: recorded } },
    config
  })
