/** `velero-plugin-cnpg`: Velero and CloudNativePG together. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Services } from "../cnpg/Services.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import { main } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

const plugins: ReadonlyArray<Plugin.Plugin<Services | Kubernetes>> = [
  Plugin.backupItemActionV2(
    "replicated.com/cnpg-backup-plugin",
    async () => (await import("../cnpg/ClusterBackup.ts")).action
  ),
  Plugin.backupItemActionV2(
    "velero-cnpg/owned-resource-backup-plugin",
    async () => (await import("../cnpg/OwnedResourceBackup.ts")).action
  ),
  Plugin.backupItemActionV2(
    "velero-cnpg/contents-backup-plugin",
    async () => (await import("../cnpg/ContentsBackup.ts")).action
  ),
  Plugin.deleteItemAction(
    "velero-cnpg/backup-delete-plugin",
    async () => (await import("../cnpg/BackupDelete.ts")).action
  ),
  Plugin.itemBlockAction(
    "velero-cnpg/item-block-plugin",
    async () => (await import("../cnpg/ContentsBackup.ts")).blockAction
  ),
  // Before the Cluster's own: of one that lives that one has the last word.
  Plugin.restoreItemActionV2(
    "velero-cnpg/contents-restore-plugin",
    async () => (await import("../cnpg/ContentsRestore.ts")).action
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
    "velero-cnpg/pooler-pod-restore-plugin",
    async () => (await import("../cnpg/PoolerPodRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/backup-restore-plugin",
    async () => (await import("../cnpg/BackupRestore.ts")).action
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/declarative-object-restore-plugin",
    async () => (await import("../cnpg/DeclarativeRestore.ts")).action
  )
]

/** Loaded with the first action, not with the list of plugins. */
const services = Layer.unwrap(
  Effect.promise(async () => {
    const [cnpg, kubernetes] = await Promise.all([import("../cnpg/Services.ts"), import("../kubernetes/ApiServer.ts")])
    return Layer.provideMerge(cnpg.layer, kubernetes.layer)
  })
)

void main<Services | Kubernetes>({
  plugins,
  services,
  commands: async (args) =>
    (await import("../cli/Commands.ts")).run(
      {
        name: "velero-plugin-cnpg",
        description: "Velero plugins that recover CloudNativePG clusters.",
        version,
        packs: executables
      },
      args
    )
})
