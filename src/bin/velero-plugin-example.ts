/** `velero-plugin-example`: one small plugin of every kind, which the documentation walks through. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Buckets } from "../example/Buckets.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import type { Program } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

/** Velero lists plugins in this order. Kinds and their versions may come in any mixture. */
const plugins: ReadonlyArray<Plugin.Plugin<Buckets | Kubernetes>> = [
  Plugin.backupItemAction(
    "example.com/custom-backup-action",
    async () => (await import("../example/CustomBackupAction.ts")).action,
    "Sets annotations backup.example.com/processed and backup.example.com/timestamp on ConfigMaps and Secrets."
  ),
  Plugin.restoreItemAction(
    "example.com/custom-restore-action",
    async () => (await import("../example/CustomRestoreAction.ts")).action,
    "Sets spec.replicas of Deployments and StatefulSets to 1."
  ),
  Plugin.objectStore(
    "example.com/custom-object-store",
    async () => (await import("../example/CustomObjectStore.ts")).store,
    "Keeps objects in memory, for as long as its process lives."
  ),
  Plugin.backupItemAction(
    "example.com/configurable-action",
    async () => (await import("../example/ConfigurableAction.ts")).action,
    "Sets an annotation, whose key a ConfigMap says, on what is labelled backup-required=true."
  ),
  Plugin.deleteItemAction(
    "example.com/custom-delete-action",
    async () => (await import("../example/CustomDeleteAction.ts")).action,
    "Logs one line for each ConfigMap and Secret that the backup action processed, when their backup is deleted."
  ),
  Plugin.backupItemActionV2(
    "example.com/async-backup-action",
    async () => (await import("../example/AsyncBackupAction.ts")).action,
    "Starts an operation of so many seconds for ConfigMaps with backup.example.com/operation-seconds, then sets an annotation."
  ),
  Plugin.itemBlockAction(
    "example.com/custom-item-block-action",
    async () => (await import("../example/CustomItemBlockAction.ts")).action,
    "Puts the ConfigMaps and Secrets that Pods mount into the same item block."
  ),
  Plugin.volumeSnapshotter(
    "example.com/custom-volume-snapshotter",
    async () => (await import("../example/CustomVolumeSnapshotter.ts")).snapshotter,
    "Makes snapshots of host paths that copy nothing, each with a warning."
  )
]

/** Loaded with the first call of a plugin, not with the list of plugins. */
const services = Layer.unwrap(
  Effect.promise(async () => {
    const [buckets, kubernetes] = await Promise.all([
      import("../example/Buckets.ts"),
      import("../kubernetes/ApiServer.ts")
    ])
    return Layer.mergeAll(buckets.layer, kubernetes.layer)
  })
)

export const program: Program<Buckets | Kubernetes> = {
  plugins,
  services,
  commands: async (args) =>
    (await import("../cli/Commands.ts")).run(
      {
        name: "velero-plugin-example",
        description: "Example Velero plugins of every kind.",
        version,
        packs: executables,
        plugins
      },
      args
    )
}
