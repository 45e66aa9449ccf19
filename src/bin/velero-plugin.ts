/** The executable of every pack. */
import { main } from "./Main.ts"
import { packOf } from "./Pack.ts"

const entries = {
  cnpg: async () => main((await import("./velero-plugin-cnpg.ts")).program),
  kyma: async () => main((await import("./velero-plugin-kyma.ts")).program),
  filesystem: async () => main((await import("./velero-plugin-filesystem.ts")).program),
  example: async () => main((await import("./velero-plugin-example.ts")).program)
}

void entries[packOf(process.argv0, process.execPath)]()
