/** Every setting of the pack, by the plugin whose ConfigMap it may stand in; `docs/configuration.md` is checked against this list. */
import { setting as restoreBackups } from "./BackupRestore.ts"
import { setting as initContainers } from "./DeploymentRestore.ts"
import { settings as onDemandBackup } from "./OnDemandBackup.ts"
import { setting as rebuildUnmarked } from "./RebuildUnmarked.ts"
import { setting as recoverFrom } from "./RecoverFrom.ts"
import { setting as recoveryTarget } from "./RecoveryTarget.ts"
import type { Setting } from "./Setting.ts"
import { setting as waitForRecovery } from "./WaitForRecovery.ts"

export const settings: ReadonlyArray<Setting<unknown>> = [
  ...onDemandBackup,
  recoverFrom,
  recoveryTarget,
  waitForRecovery,
  restoreBackups,
  initContainers,
  rebuildUnmarked
]
