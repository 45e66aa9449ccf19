/**
 * The ConfigMap of `replicated.com/cnpg-restore-plugin`. Whoever decides on a Cluster, or on what belongs to one, reads this one: two
 * ConfigMaps could say that a Cluster recovers from its archive and that its volumes come back, which then stand in the way.
 */
import { plugin } from "./Names.ts"
import * as RebuildUnmarked from "./RebuildUnmarked.ts"
import * as RecoverFrom from "./RecoverFrom.ts"
import * as RecoveryTarget from "./RecoveryTarget.ts"
import * as Setting from "./Setting.ts"
import * as WaitForRecovery from "./WaitForRecovery.ts"

/** The part of an action's steps that reads it. */
export const configuration = {
  config: Setting.config([
    RecoverFrom.setting,
    RecoveryTarget.setting,
    WaitForRecovery.setting,
    RebuildUnmarked.setting
  ]),
  configuredAs: plugin.clusterRestore
}
