/** `velero-plugin-filesystem`: backups in a directory, and snapshots of volumes that are directories. */
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import { kubernetes, type Program } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

const plugins: ReadonlyArray<Plugin.Plugin<Kubernetes>> = [
  Plugin.objectStore(
    "velero-filesystem/object-store",
    async () => (await import("../filesystem/ObjectStore.ts")).objectStore,
    "Keeps backups, logs and metadata in a directory."
  ),
  Plugin.volumeSnapshotter(
    "velero-filesystem/volume-snapshotter",
    async () => (await import("../filesystem/VolumeSnapshotter.ts")).volumeSnapshotter,
    "Makes copies of hostPath and local volumes of Velero's own node, with reflinks."
  )
]

export const program: Program<Kubernetes> = {
  plugins,
  services: kubernetes,
  commands: async (args) => {
    const [{ run }, { commands }] = await Promise.all([import("../cli/Commands.ts"), import("../cli/Filesystem.ts")])
    return run(
      {
        name: "velero-plugin-filesystem",
        description: "Velero plugins for directories.",
        version,
        packs: executables,
        plugins,
        commands
      },
      args
    )
  }
}
