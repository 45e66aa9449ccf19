/** Velero's server, with the plugins under test and a place for backups. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Built } from "../Build.ts"
import type { VeleroVersion } from "../Components.ts"
import * as Objects from "../Objects.ts"
import type { Pack } from "../Packs.ts"
import { Processes } from "../Processes.ts"
import type { Cluster, User } from "./Kubernetes.ts"
import { applyCrds, freePorts, ready } from "./Servers.ts"
import type { Storage } from "./Storage.ts"

export interface VeleroOptions {
  readonly version: VeleroVersion
  /** What is in the plugin directory. With the filesystem pack among them, that is where backups are kept; else in S3. */
  readonly packs: ReadonlyArray<Pack>
  /** More executables for the plugin directory. */
  readonly plugins?: ReadonlyArray<string>
  /** An installation of its own beside the one in `velero`, which is the default. */
  readonly namespace?: string
  /** It has run before, and goes on with the location that it knows. */
  readonly isRestart?: boolean
  /** Whom the plugins talk to the cluster as; default: `admin`, as Velero itself. */
  readonly pluginUser?: User
  /** More arguments for `velero server`. */
  readonly args?: ReadonlyArray<string>
}

/** Velero's namespace. */
export const veleroNamespace = "velero"

/** What Velero does once in a while, so often that one can wait for it. */
const frequencies = ["--garbage-collection-frequency=3s", "--item-operation-sync-frequency=2s"]

/** Puts CRDs and the storage location in place and starts it; it runs until the scope closes. */
export const start = Effect.fnUntraced(function* (
  cluster: Cluster,
  velero: Built,
  plugins: ReadonlyArray<string>,
  storage: Storage,
  { args = [], isRestart = false, namespace = veleroNamespace, pluginUser = "admin" }: VeleroOptions
) {
  const { api, kubeconfig } = cluster
  const { directory, start: startServer } = yield* Processes
  const [metricsPort, profilerPort] = (yield* freePorts(2)) as [number, number]
  const name = `${namespace}-${velero.component.version}`
  const home = Fs.mkdtempSync(Path.join(directory, `${name}-`))
  const pluginDirectory = Path.join(home, "plugins")
  Fs.mkdirSync(pluginDirectory)
  for (const plugin of storage.plugin === undefined ? plugins : [...plugins, storage.plugin]) {
    Fs.copyFileSync(plugin, Path.join(pluginDirectory, Path.basename(plugin)), Fs.constants.COPYFILE_FICLONE)
  }

  yield* applyCrds(api, velero.file("config/crd/v1/bases"), velero.file("config/crd/v2alpha1/bases"))
  yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
  // Every restore looks at Velero's own Deployment.
  yield* api.apply(Objects.deployments, {
    metadata: { name: "velero", namespace },
    spec: {
      replicas: 0,
      selector: { matchLabels: { deploy: "velero" } },
      template: {
        metadata: { labels: { deploy: "velero" } },
        spec: { containers: [{ name: "velero", image: `velero/velero:v${velero.component.version}` }] }
      }
    }
  })
  // No pod reports here that a recovered Cluster is up: a Restore waits for that where a scenario asks for it.
  yield* api.apply(Objects.configMaps, {
    metadata: {
      name: "cnpg-restore-plugin",
      namespace,
      labels: { "velero.io/plugin-config": "", "replicated.com/cnpg-restore-plugin": "RestoreItemAction" }
    },
    data: { waitForRecovery: "0" }
  })
  // Made anew, so that what it says of itself is said by this server.
  if (!isRestart) yield* api.remove(Objects.backupStorageLocations, namespace, "default")
  yield* api.apply(Objects.backupStorageLocations, {
    metadata: { name: "default", namespace },
    spec: {
      provider: storage.provider,
      default: true,
      objectStorage: { bucket: storage.bucket },
      config: storage.config
    }
  })
  const server = yield* startServer(
    name,
    velero.bin("velero"),
    [
      "server",
      // Its own user; the plugins' is in the environment, which they inherit.
      `--kubeconfig=${kubeconfig("admin")}`,
      `--namespace=${namespace}`,
      `--plugin-dir=${pluginDirectory}`,
      `--metrics-address=127.0.0.1:${metricsPort}`,
      `--profiler-address=127.0.0.1:${profilerPort}`,
      ...frequencies,
      ...args
    ],
    {
      env: {
        KUBECONFIG: kubeconfig(pluginUser),
        VELERO_NAMESPACE: namespace,
        // Enough for any answer here, and short enough to wait for one that does not come.
        KUBERNETES_CALL_TIMEOUT: "10 seconds",
        VELERO_SCRATCH_DIR: home,
        LD_LIBRARY_PATH: pluginDirectory,
        ...storage.env
      }
    }
  )
  yield* ready(
    server,
    Effect.map(
      api.get(Objects.backupStorageLocations, namespace, "default"),
      ({ status }) => status?.phase === "Available"
    )
  )
  return server
})
