/** `velero-plugin-cnpg`: Velero and CloudNativePG together. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Services } from "../cnpg/Services.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import type { Program } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

const plugins: ReadonlyArray<Plugin.Plugin<Services | Kubernetes>> = [
  Plugin.backupItemActionV2(
    "replicated.com/cnpg-backup-plugin",
    async () => (await import("../cnpg/ClusterBackup.ts")).action,
    "Records server name and newest completed Barman backup as annotations of the stored Cluster."
  ),
  Plugin.backupItemActionV2(
    "velero-cnpg/owned-resource-backup-plugin",
    async () => (await import("../cnpg/OwnedResourceBackup.ts")).action,
    "Marks what the operator made for a Cluster as rebuildable, if the Cluster has a completed backup in an object store."
  ),
  Plugin.backupItemActionV2(
    "velero-cnpg/contents-backup-plugin",
    async () => (await import("../cnpg/ContentsBackup.ts")).action,
    "Takes along what a recovery needs, also into a backup by label or of chosen resources."
  ),
  Plugin.deleteItemAction(
    "velero-cnpg/backup-delete-plugin",
    async () => (await import("../cnpg/BackupDelete.ts")).action,
    "Deletes the CNPG Backups that were made for it, not their data."
  ),
  Plugin.itemBlockAction(
    "velero-cnpg/item-block-plugin",
    async () => (await import("../cnpg/ContentsBackup.ts")).blockAction,
    "Puts what a recovery needs into one block with the object, so that it is backed up beside it."
  ),
  // Before the Cluster's own: of one that lives that one has the last word.
  Plugin.restoreItemActionV2(
    "velero-cnpg/contents-restore-plugin",
    async () => (await import("../cnpg/ContentsRestore.ts")).action,
    "Restores first what the object refers to, names what is missing, maps hosts of mapped namespaces."
  ),
  Plugin.restoreItemActionV2(
    "replicated.com/cnpg-restore-plugin",
    async () => (await import("../cnpg/ClusterRestore.ts")).action,
    "Has it recover from the recorded archive, under a new server name to archive under, and writes ConfigMap cnpg-velero-override."
  ),
  Plugin.restoreItemActionV2(
    "replicated.com/deployment-restore-plugin",
    async () => (await import("../cnpg/DeploymentRestore.ts")).action,
    "Removes init containers named wait-for-migration-job."
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/owned-resource-restore-plugin",
    async () => (await import("../cnpg/OwnedResourceRestore.ts")).action,
    "Leaves out what was marked: the operator builds it anew."
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/secret-restore-plugin",
    async () => (await import("../cnpg/SecretRestore.ts")).action,
    "Has connection strings of generated Secrets name the new namespace, not the living database."
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/pooler-resource-restore-plugin",
    async () => (await import("../cnpg/PoolerResourceRestore.ts")).action,
    "Leaves out what belongs to a Pooler: restored, the operator would refuse the Pooler for ever."
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/pooler-pod-restore-plugin",
    async () => (await import("../cnpg/PoolerPodRestore.ts")).action,
    "Leaves out what belongs to a Pooler's Deployment: it names the old namespace."
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/backup-restore-plugin",
    async () => (await import("../cnpg/BackupRestore.ts")).action,
    "Leaves CNPG Backups out: restored, they would run again."
  ),
  Plugin.restoreItemActionV2(
    "velero-cnpg/declarative-object-restore-plugin",
    async () => (await import("../cnpg/DeclarativeRestore.ts")).action,
    "Removes finalizers and statuses of the old instances."
  )
]

/** Loaded with the first action, not with the list of plugins. */
const services = Layer.unwrap(
  Effect.promise(async () => {
    const [cnpg, kubernetes] = await Promise.all([import("../cnpg/Services.ts"), import("../kubernetes/ApiServer.ts")])
    return Layer.provideMerge(cnpg.layer, kubernetes.layer)
  })
)

export const program: Program<Services | Kubernetes> = {
  plugins,
  services,
  commands: async (args) => {
    const [{ preview, run }, { doctor }, { subject }] = await Promise.all([
      import("../cli/Commands.ts"),
      import("../cli/Doctor.ts"),
      import("../cli/preview/Clusters.ts")
    ])
    const name = "velero-plugin-cnpg"
    return run(
      {
        name,
        description: "Velero plugins that recover CloudNativePG clusters.",
        version,
        packs: executables,
        plugins,
        commands: [preview({ name, plugins, version }, subject), doctor(name)]
      },
      args
    )
  }
}
