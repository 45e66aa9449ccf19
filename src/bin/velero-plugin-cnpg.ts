/** `velero-plugin-cnpg`: Velero and CloudNativePG together. */
import * as Layer from "effect/Layer"
import * as Recoveries from "../cnpg/Recoveries.ts"
import * as ServerNames from "../cnpg/ServerNames.ts"
import * as ApiServer from "../kubernetes/ApiServer.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import { main } from "./Main.ts"

type Services = Kubernetes | Recoveries.Recoveries | ServerNames.ServerNames

const plugins: ReadonlyArray<Plugin.Plugin<Services>> = [
  Plugin.backupItemActionV2(
    "replicated.com/cnpg-backup-plugin",
    async () => (await import("../cnpg/ClusterBackup.ts")).action
  ),
  Plugin.backupItemActionV2(
    "velero-cnpg/owned-resource-backup-plugin",
    async () => (await import("../cnpg/OwnedResourceBackup.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "replicated.com/cnpg-restore-plugin",
    async () => (await import("../cnpg/ClusterRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "replicated.com/deployment-restore-plugin",
    async () => (await import("../cnpg/DeploymentRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/owned-resource-restore-plugin",
    async () => (await import("../cnpg/OwnedResourceRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/secret-restore-plugin",
    async () => (await import("../cnpg/SecretRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/pooler-resource-restore-plugin",
    async () => (await import("../cnpg/PoolerResourceRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/backup-restore-plugin",
    async () => (await import("../cnpg/BackupRestore.ts")).action
  )
]

void main<Services>({
  plugins,
  services: Layer.mergeAll(Recoveries.layer, ServerNames.layer).pipe(Layer.provideMerge(ApiServer.layer)),
  commands: async (args) => (await import("../cli/Commands.ts")).run(args)
})
