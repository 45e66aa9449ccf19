/** `velero-plugin-kyma`: what restores of Kyma 1 need. It changes common resources, so it is an executable of its own. */
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Plugin from "../velero/Plugin.ts"
import { kubernetes, type Program } from "./Main.ts"
import { executables } from "./Pack.ts"
import { version } from "./Version.ts"

const plugins: ReadonlyArray<Plugin.Plugin<Kubernetes>> = [
  Plugin.restoreItemAction(
    "kyma-project.io/instances-restore-plugin",
    async () => (await import("../kyma/ServiceInstanceRestore.ts")).action,
    "Removes spec.serviceClassRef and spec.servicePlanRef."
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/secrets-restore-plugin",
    async () => (await import("../kyma/SecretRestore.ts")).action,
    "Makes the ServiceBinding of the Secret's namespace and name its only owner; without one it changes nothing."
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/nats-channels-restore-plugin",
    async () => (await import("../kyma/NatsChannelRestore.ts")).action,
    "Leaves out what is labelled messaging.knative.dev/role: natss-channel."
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/knative-kyma-integration-restore-plugin",
    async () => (await import("../kyma/KnativeRestore.ts")).action,
    "Leaves out what has a label that begins with serving.knative.dev/."
  ),
  Plugin.restoreItemAction(
    "kyma-project.io/by-label-restore-plugin",
    async () => (await import("../kyma/ByLabelRestore.ts")).action,
    "Leaves out what is labelled eventing.knative.dev/broker: default."
  )
]

export const program: Program<Kubernetes> = {
  plugins,
  services: kubernetes,
  commands: async (args) =>
    (await import("../cli/Commands.ts")).run(
      {
        name: "velero-plugin-kyma",
        description: "Velero plugins that restore Kyma 1.",
        version,
        packs: executables,
        plugins
      },
      args
    )
}
