/** Every scenario, in the order of the table. */
import type { Scenario } from "../Scenario.ts"
import { backupChoice } from "./BackupChoice.ts"
import { chosen } from "./Chosen.ts"
import { data, dataInPod } from "./Data.ts"
import { deploy } from "./Deploy.ts"
import { doctor } from "./Doctor.ts"
import { declarativeObjects } from "./DeclarativeObjects.ts"
import { defaultServerName } from "./DefaultServerName.ts"
import { examplePack } from "./ExamplePack.ts"
import { apiStops, pluginKilled } from "./Faults.ts"
import { filesystemItems } from "./FilesystemItems.ts"
import { filesystemStore } from "./FilesystemStore.ts"
import { fourClusters } from "./FourClusters.ts"
import { goBackup } from "./GoBackup.ts"
import { helmChart } from "./HelmChart.ts"
import { inPlace } from "./InPlace.ts"
import { inTree } from "./InTree.ts"
import { kymaPack } from "./KymaPack.ts"
import { mappedBesideTheLiving } from "./MappedBesideTheLiving.ts"
import { mappedOldGone } from "./MappedOldGone.ts"
import { withoutRights } from "./Permissions.ts"
import { onDemandBackup, onDemandBackupFails, onDemandBackupNotBegun, onDemandBackupTwice } from "./OnDemandBackup.ts"
import { pluginList } from "./PluginList.ts"
import { pooler } from "./Pooler.ts"
import { readable } from "./Readable.ts"
import { recoveryTargets } from "./RecoveryTargets.ts"
import { replicaCluster } from "./ReplicaCluster.ts"
import { onTopOfAnotherLife, onTopOfLiving, onTopOfRestored } from "./RestoreOnTop.ts"
import { restoreWithStatus } from "./RestoreWithStatus.ts"
import { secondGeneration } from "./SecondGeneration.ts"
import { targetForms } from "./TargetForms.ts"
import { volumeSnapshots } from "./VolumeSnapshots.ts"
import { volumesOnly } from "./VolumesOnly.ts"
import { cannotRecover, comesUp, neverBegins, recoveryFails, stoppedLife } from "./WaitForRecovery.ts"
import { webhooks } from "./Webhooks.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  inPlace,
  mappedBesideTheLiving,
  mappedOldGone,
  fourClusters,
  onTopOfRestored,
  onTopOfLiving,
  onTopOfAnotherLife,
  secondGeneration,
  backupChoice,
  goBackup,
  onDemandBackup,
  onDemandBackupFails,
  onDemandBackupNotBegun,
  onDemandBackupTwice,
  restoreWithStatus,
  comesUp,
  recoveryFails,
  neverBegins,
  cannotRecover,
  stoppedLife,
  chosen,
  readable,
  withoutRights,
  doctor,
  apiStops,
  pluginKilled,
  pooler,
  declarativeObjects,
  inTree,
  defaultServerName,
  replicaCluster,
  volumesOnly,
  data,
  dataInPod,
  recoveryTargets,
  targetForms,
  webhooks,
  pluginList,
  filesystemStore,
  filesystemItems,
  volumeSnapshots,
  deploy,
  helmChart,
  examplePack,
  kymaPack
]
