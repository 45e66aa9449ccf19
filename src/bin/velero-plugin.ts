/** The executable of every pack. */
import { packOf } from "./Pack.ts"

const entries = {
  cnpg: () => import("./velero-plugin-cnpg.ts"),
  kyma: () => import("./velero-plugin-kyma.ts"),
  filesystem: () => import("./velero-plugin-filesystem.ts"),
  example: () => import("./velero-plugin-example.ts")
}

void entries[packOf(process.argv0, process.execPath)]()
