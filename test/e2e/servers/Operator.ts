/** The CloudNativePG operator with its webhooks, and the Barman Cloud plugin. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Built } from "../Build.ts"
import * as Objects from "../Objects.ts"
import { Processes } from "../Processes.ts"
import type { Cluster } from "./Kubernetes.ts"
import { applyCrds, freePorts, listens, readManifests, ready } from "./Servers.ts"

const operatorNamespace = "cnpg-system"

interface Webhook {
  readonly clientConfig: { readonly service?: { readonly path: string } }
}

/** The operator's webhooks, called at its address instead of at its Service. */
const webhooksAt = (url: string, ca: string, file: string) =>
  readManifests(file).map((object) => ({
    resource: object.kind === "MutatingWebhookConfiguration" ? Objects.mutatingWebhooks : Objects.validatingWebhooks,
    object: {
      ...object,
      webhooks: (object["webhooks"] as ReadonlyArray<Webhook>).map((webhook) => ({
        ...webhook,
        clientConfig: {
          url: `${url}${webhook.clientConfig.service?.path ?? ""}`,
          caBundle: Buffer.from(ca).toString("base64")
        }
      }))
    }
  }))

/** `amd64`, as Go says it. */
const goArchitecture = process.arch === "x64" ? "amd64" : process.arch

/** Puts CRDs and webhooks in place and starts both; they run until the scope closes. Yields the operator's server. */
export const start = Effect.fnUntraced(function* (cluster: Cluster, operator: Built, barmanCloud: Built) {
  const { api, ca, certificates, kubeconfig } = cluster
  const { directory, start: startServer } = yield* Processes
  const [probePort, metricsPort, webhookPort] = (yield* freePorts(3)) as [number, number, number]
  const home = Fs.mkdtempSync(Path.join(directory, `cnpg-${operator.component.version}-`))
  const sockets = Path.join(home, "plugins")
  Fs.mkdirSync(sockets)
  yield* applyCrds(api, operator.file("config/crd/bases"), barmanCloud.file("config/crd/bases"))
  yield* api.apply(Objects.namespaces, { metadata: { name: operatorNamespace } })

  const plugin = yield* startServer(
    "barman-cloud",
    barmanCloud.bin("manager"),
    ["operator", `--plugin-path=${sockets}`, `--health-probe-bind-address=127.0.0.1:${probePort}`],
    {
      env: {
        KUBECONFIG: kubeconfig("admin"),
        SIDECAR_IMAGE: `ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v${barmanCloud.component.version}`
      }
    }
  )
  // The operator looks for plugins when it starts, and never again.
  yield* ready(
    plugin,
    Effect.sync(() => Fs.readdirSync(sockets).length > 0)
  )

  // The operator reads its own executable, to know the hash of what runs in pods.
  Fs.mkdirSync(Path.join(home, "operator"))
  Fs.symlinkSync(operator.bin("manager"), Path.join(home, "operator", `manager_${goArchitecture}`))
  const server = yield* startServer(
    `cnpg-${operator.component.version}`,
    operator.bin("manager"),
    ["controller", `--webhook-port=${webhookPort}`, `--metrics-bind-address=127.0.0.1:${metricsPort}`],
    {
      cwd: home,
      env: {
        KUBECONFIG: kubeconfig("admin"),
        WEBHOOK_CERT_DIR: certificates,
        OPERATOR_NAMESPACE: operatorNamespace,
        OPERATOR_IMAGE_NAME: `ghcr.io/cloudnative-pg/cloudnative-pg:${operator.component.version}`,
        POSTGRES_IMAGE_NAME: "ghcr.io/cloudnative-pg/postgresql:17.5",
        PLUGIN_SOCKET_DIR: sockets
      }
    }
  )
  yield* ready(server, listens(webhookPort))
  for (const { object, resource } of webhooksAt(
    `https://127.0.0.1:${webhookPort}`,
    ca,
    operator.file("config/webhook/manifests.yaml")
  )) {
    yield* api.apply(resource, object)
  }
  return server
})
