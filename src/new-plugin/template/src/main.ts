/** The executable: which plugins it has, under which names. Each is loaded at its first call. */
import { kubernetes, main } from "velero-plugin-cnpg/bin/Main"
import * as Plugin from "velero-plugin-cnpg/velero/Plugin"
import packageJson from "../package.json" with { type: "json" }

const plugins = [
  Plugin.backupItemActionV2(
    "example.com/my-plugin",
    async () => (await import("./Action.ts")).action,
    "What it changes, in one sentence."
  )
]

void main({
  plugins,
  services: kubernetes,
  commands: async (args) =>
    (await import("velero-plugin-cnpg/cli/Commands")).run(
      { name: packageJson.name, description: "Velero plugins of my own.", version: packageJson.version, plugins },
      args
    )
})
