/** `velero-plugin-example`: one small plugin of every kind, which the documentation walks through. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Buckets } from "../example/Buckets.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import { main } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

/** Velero lists plugins in this order. Kinds and their versions may come in any mixture. */
const plugins: ReadonlyArray<Plugin.Plugin<Buckets | Kubernetes>> = [
  Plugin.backupItemAction(
    "example.com/custom-backup-action",
    async () => (await import("../example/CustomBackupAction.ts")).action
  ),
  Plugin.restoreItemAction(
    "example.com/custom-restore-action",
    async () => (await import("../example/CustomRestoreAction.ts")).action
  ),
  Plugin.objectStore(
    "example.com/custom-object-store",
    async () => (await import("../example/CustomObjectStore.ts")).store
  ),
  Plugin.backupItemAction(
    "example.com/configurable-action",
    async () => (await import("../example/ConfigurableAction.ts")).action
  ),
  Plugin.deleteItemAction(
    "example.com/custom-delete-action",
    async () => (await import("../example/CustomDeleteAction.ts")).action
  ),
  Plugin.backupItemActionV2(
    "example.com/async-backup-action",
    async () => (await import("../example/AsyncBackupAction.ts")).action
  ),
  Plugin.itemBlockAction(
    "example.com/custom-item-block-action",
    async () => (await import("../example/CustomItemBlockAction.ts")).action
  ),
  Plugin.volumeSnapshotter(
    "example.com/custom-volume-snapshotter",
    async () => (await import("../example/CustomVolumeSnapshotter.ts")).snapshotter
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

void main<Buckets | Kubernetes>({
  plugins,
  services,
  commands: async (args) =>
    (await import("../cli/Commands.ts")).run(
      {
        name: "velero-plugin-example",
        description: "Example Velero plugins of every kind.",
        version,
        packs: executables
      },
      args
    )
})
