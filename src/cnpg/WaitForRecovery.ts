/**
 * The user's choice of how long a Restore waits for a Cluster on which nothing happens.
 *
 * Not how long a recovery may take: that depends on the size of the database, and Velero's own `--item-operation-timeout` ends it.
 */
import type * as Duration from "effect/Duration"
import * as GoDuration from "./GoDuration.ts"
import { annotation, plugin } from "./Names.ts"
import type * as Setting from "./Setting.ts"

export const setting: Setting.Setting<Duration.Duration> = {
  annotation: annotation.waitForRecovery,
  key: "waitForRecovery",
  plugin: plugin.clusterRestore,
  on: "Restore",
  isOfCluster: true,
  values: GoDuration.values,
  default: "30m",
  description:
    "A Restore waits until a recovered Cluster is up. It is given up, and the Restore is PartiallyFailed, when nothing has happened on the Cluster for so long; while a recovery is at work it may take longer. `0`: the Restore does not wait.",
  parse: GoDuration.parse
}
