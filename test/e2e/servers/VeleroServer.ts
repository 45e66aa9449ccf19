/** Velero's server, with the plugin under test and the object store's. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type { Built } from "../Build.ts"
import type { VeleroVersion } from "../Components.ts"
import * as Objects from "../Objects.ts"
import { Processes } from "../Processes.ts"
import type { Cluster, User } from "./Kubernetes.ts"
import type { ObjectStore } from "./ObjectStore.ts"
import { bucket, region } from "./ObjectStore.ts"
import { applyCrds, freePorts, ready } from "./Servers.ts"

export interface VeleroOptions {
  readonly version: VeleroVersion
  /** Executables of the plugin directory, beside the object store's. */
  readonly plugins: ReadonlyArray<string>
  /** Whom the plugins talk to the cluster as; default: `admin`, as Velero itself. */
  readonly pluginUser?: User
  /** More arguments for `velero server`. */
  readonly args?: ReadonlyArray<string>
}

/** Velero's namespace. */
export const veleroNamespace = "velero"

/** Puts CRDs and the storage location in place and starts it; it runs until the scope closes. */
export const start = Effect.fnUntraced(function* (
  cluster: Cluster,
  velero: Built,
  pluginForAws: Built,
  s3: ObjectStore,
  { args = [], pluginUser = "admin", plugins }: VeleroOptions
) {
  const { api, kubeconfig } = cluster
  const { directory, start: startServer } = yield* Processes
  const [metricsPort, profilerPort] = (yield* freePorts(2)) as [number, number]
  const home = Fs.mkdtempSync(Path.join(directory, `velero-${velero.component.version}-`))
  const pluginDirectory = Path.join(home, "plugins")
  Fs.mkdirSync(pluginDirectory)
  for (const plugin of [...plugins, pluginForAws.bin("velero-plugin-for-aws")]) {
    Fs.copyFileSync(plugin, Path.join(pluginDirectory, Path.basename(plugin)), Fs.constants.COPYFILE_FICLONE)
  }
  const credentials = Path.join(home, "credentials")
  Fs.writeFileSync(
    credentials,
    `[default]\naws_access_key_id=${s3.accessKey}\naws_secret_access_key=${s3.secretKey}\n`,
    {
      mode: 0o600
    }
  )

  yield* applyCrds(api, velero.file("config/crd/v1/bases"), velero.file("config/crd/v2alpha1/bases"))
  yield* api.apply(Objects.namespaces, { metadata: { name: veleroNamespace } })
  // Every restore looks at Velero's own Deployment.
  yield* api.apply(Objects.deployments, {
    metadata: { name: "velero", namespace: veleroNamespace },
    spec: {
      replicas: 0,
      selector: { matchLabels: { deploy: "velero" } },
      template: {
        metadata: { labels: { deploy: "velero" } },
        spec: { containers: [{ name: "velero", image: `velero/velero:v${velero.component.version}` }] }
      }
    }
  })
  // Made anew, so that what it says of itself is said by this server.
  yield* api.remove(Objects.backupStorageLocations, veleroNamespace, "default")
  yield* api.apply(Objects.backupStorageLocations, {
    metadata: { name: "default", namespace: veleroNamespace },
    spec: {
      provider: "aws",
      default: true,
      objectStorage: { bucket },
      config: { region, s3ForcePathStyle: "true", s3Url: s3.url, checksumAlgorithm: "" }
    }
  })
  const server = yield* startServer(
    `velero-${velero.component.version}`,
    velero.bin("velero"),
    [
      "server",
      // Its own user; the plugins' is in the environment, which they inherit.
      `--kubeconfig=${kubeconfig("admin")}`,
      `--namespace=${veleroNamespace}`,
      `--plugin-dir=${pluginDirectory}`,
      `--metrics-address=127.0.0.1:${metricsPort}`,
      `--profiler-address=127.0.0.1:${profilerPort}`,
      ...args
    ],
    {
      env: {
        KUBECONFIG: kubeconfig(pluginUser),
        VELERO_NAMESPACE: veleroNamespace,
        VELERO_SCRATCH_DIR: home,
        LD_LIBRARY_PATH: pluginDirectory,
        AWS_SHARED_CREDENTIALS_FILE: credentials
      }
    }
  )
  yield* ready(
    server,
    Effect.map(
      api.get(Objects.backupStorageLocations, veleroNamespace, "default"),
      ({ status }) => status?.phase === "Available"
    )
  )
})
