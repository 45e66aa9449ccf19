/** `velero-plugin-kyma`: what restores of Kyma 1 need. It changes common resources, so it is an executable of its own. */
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import { kubernetes, main } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

const plugins: ReadonlyArray<Plugin.Plugin<Kubernetes>> = [
  Plugin.restoreItemAction(
    "kyma-project.io/instances-restore-plugin",
    async () => (await import("../kyma/ServiceInstanceRestore.ts")).action
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/secrets-restore-plugin",
    async () => (await import("../kyma/SecretRestore.ts")).action
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/nats-channels-restore-plugin",
    async () => (await import("../kyma/NatsChannelRestore.ts")).action
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/knative-kyma-integration-restore-plugin",
    async () => (await import("../kyma/KnativeRestore.ts")).action
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/by-label-restore-plugin",
    async () => (await import("../kyma/ByLabelRestore.ts")).action
  )
]

void main<Kubernetes>({
  plugins,
  services: kubernetes,
  commands: async (args) =>
    (await import("../cli/Commands.ts")).run(
      { name: "velero-plugin-kyma", description: "Velero plugins that restore Kyma 1.", version, packs: executables },
      args
    )
})
