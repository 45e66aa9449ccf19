/**
 * A cluster without containers: etcd, an API server with its controllers, the CloudNativePG operator with its webhooks, the Barman
 * Cloud plugin, an S3 server and Velero, as processes on free ports of 127.0.0.1, gone with their scope.
 *
 * **What is real**: every server that decides something. **What is not**: there is no kubelet and no scheduler, so pods stay
 * Pending and no PostgreSQL runs; `Cluster.ts` writes the statuses that pods would have caused.
 *
 * The API server, its controllers and S3 run as long as the stand. The operator and Velero can be replaced: another version,
 * another plugin, another user.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { generate } from "selfsigned"
import * as Yaml from "yaml"
import type { Api } from "./Api.ts"
import * as Apis from "./Api.ts"
import type { BuildFailed, Built, GoMissing } from "./Build.ts"
import * as Build from "./Build.ts"
import * as Components from "./Components.ts"
import type { Anything, Resource, Saved } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import { type TimedOut, untilTrue } from "./Poll.ts"
import type { CommandFailed, Server, ServerEnded } from "./Processes.ts"
import { Processes } from "./Processes.ts"

/** What a stand can fail with while it changes. */
export type StandError = CommandFailed | ServerEnded | TimedOut | Apis.RequestFailed | BuildFailed | GoMissing

/** The users that the API server knows. */
export const users = {
  /** May do everything. */
  admin: ["system:masters"],
  /** May do what a scenario grants; nothing to begin with. */
  restricted: []
} as const
export type User = keyof typeof users

export interface VeleroOptions {
  readonly version: Components.VeleroVersion
  /** Executables of the plugin directory, beside the object store's. */
  readonly plugins: ReadonlyArray<string>
  /** Whom the plugins talk to the cluster as; default: `admin`, as Velero itself. */
  readonly pluginUser?: User
  /** More arguments for `velero server`. */
  readonly args?: ReadonlyArray<string>
}

export class Stand extends Context.Service<
  Stand,
  {
    readonly api: Api
    /** Path of a kubeconfig for a user. */
    readonly kubeconfig: (user: User) => string
    readonly kubectl: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
    /** Velero's command line, of the version whose server runs. */
    readonly velero: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
    /** Path of Velero's command line. */
    readonly veleroPath: () => string
    readonly kubectlPath: string
    readonly s3: { readonly url: string; readonly accessKey: string; readonly secretKey: string }
    /** Runs this version of the operator, and the Barman Cloud plugin, from now on; their CRDs and webhooks are put in place. */
    readonly useOperator: (version: Components.OperatorVersion) => Effect.Effect<void, StandError>
    /** Runs this Velero from now on. */
    readonly useVelero: (options: VeleroOptions) => Effect.Effect<void, StandError>
  }
>()("velero-plugin-cnpg/e2e/Stand") {}

/** Velero's namespace. */
export const veleroNamespace = "velero"

const operatorNamespace = "cnpg-system"
const bucket = "velero"
const region = "us-east-1"

/** Ports that were free a moment ago, all different. */
const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const servers = await Promise.all(
      Array.from(
        { length: count },
        () =>
          new Promise<Net.Server>((resolve) => {
            const server = Net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
      )
    )
    const ports = servers.map((server) => (server.address() as Net.AddressInfo).port)
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    return ports
  })

/** A certificate for 127.0.0.1 that is its own authority, for every TLS server of the stand, and a key pair for service accounts. */
const writeCertificates = Effect.fnUntraced(function* (directory: string) {
  const { cert, private: key } = yield* Effect.promise(() =>
    generate([{ name: "commonName", value: "stand" }], {
      keyType: "rsa",
      keySize: 2048,
      algorithm: "sha256",
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", digitalSignature: true, keyEncipherment: true, keyCertSign: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }
      ]
    })
  )
  // The file names are those that the operator looks for in its WEBHOOK_CERT_DIR.
  const [certFile, keyFile, publicFile] = ["apiserver.crt", "apiserver.key", "service-accounts.pub"].map((name) =>
    Path.join(directory, name)
  ) as [string, string, string]
  Fs.writeFileSync(certFile, cert)
  Fs.writeFileSync(keyFile, key, { mode: 0o600 })
  Fs.writeFileSync(publicFile, Crypto.createPublicKey(key).export({ type: "spki", format: "pem" }))
  return { cert, certFile, keyFile, publicFile }
})

const kubeconfigText = (url: string, ca: string, token: string): string =>
  JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        { name: "stand", cluster: { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") } }
      ],
      users: [{ name: "user", user: { token } }],
      contexts: [{ name: "stand", context: { cluster: "stand", user: "user" } }],
      "current-context": "stand"
    },
    undefined,
    2
  )

/** Waits for a server to be ready; if it ends before, that is the error. */
const ready = <E extends { readonly message: string }, R>(server: Server, check: Effect.Effect<boolean, E, R>) =>
  Effect.raceFirst(untilTrue(`${server.name} is ready`, "60 seconds", check), server.ended)

/** Whether somebody listens. */
const listens = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    const done = (answer: boolean) => {
      socket.destroy()
      resume(Effect.succeed(answer))
    }
    socket.once("connect", () => done(true)).once("error", () => done(false))
    return Effect.sync(() => void socket.destroy())
  })

/** A place for one thing at a time: what is put there ends what was there before. */
const makeSlot = Effect.gen(function* () {
  const parent = yield* Effect.scope
  let current: Scope.Closeable | undefined
  return <A, E, R>(acquire: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      if (current !== undefined) yield* Scope.close(current, Exit.void)
      current = yield* Scope.fork(parent)
      return yield* Scope.provide(acquire, current)
    })
})

/** The objects of a YAML file, or of every file in a folder. */
const readManifests = (path: string): ReadonlyArray<Saved<Anything>> =>
  Fs.statSync(path).isDirectory()
    ? Fs.readdirSync(path).flatMap((name) => readManifests(Path.join(path, name)))
    : Yaml.parseAllDocuments(Fs.readFileSync(path, "utf8")).flatMap((document) => {
        const object = document.toJS() as Saved<Anything> | null
        return object === null ? [] : [object]
      })

const applyCrds = Effect.fnUntraced(function* (api: Api, ...paths: ReadonlyArray<string>) {
  const definitions = paths.flatMap(readManifests)
  yield* Effect.forEach(definitions, (definition) => api.apply(Objects.crds, definition), { concurrency: 4 })
  yield* Effect.forEach(definitions, ({ metadata }) =>
    untilTrue(
      `CRD ${metadata.name} is established`,
      "30 seconds",
      Effect.map(api.get(Objects.crds, "", metadata.name), isEstablished)
    )
  )
})

const isEstablished = ({ status }: Saved<Anything>): boolean => {
  const conditions = (status?.["conditions"] ?? []) as ReadonlyArray<{ readonly type: string; readonly status: string }>
  return conditions.some(({ status: value, type }) => type === "Established" && value === "True")
}

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

/** etcd, the API server and its controllers. */
const startKubernetes = Effect.fnUntraced(function* (etcd: Built, kubernetes: Built) {
  const { directory, start } = yield* Processes
  const [clientPort, peerPort, apiPort, controllersPort] = (yield* freePorts(4)) as [number, number, number, number]
  const certificates = yield* writeCertificates(directory)
  const tokens = Object.fromEntries(
    Object.keys(users).map((user) => [user, Crypto.randomBytes(16).toString("hex")])
  ) as Record<User, string>
  const tokenFile = Path.join(directory, "tokens.csv")
  Fs.writeFileSync(
    tokenFile,
    Object.entries(users)
      .map(([user, groups]) => `${tokens[user as User]},${user},${user},"${groups.join(",")}"\n`)
      .join(""),
    { mode: 0o600 }
  )
  const url = `https://127.0.0.1:${apiPort}`
  const kubeconfig = (user: User) => Path.join(directory, `kubeconfig-${user}`)
  for (const user of Object.keys(users) as ReadonlyArray<User>) {
    Fs.writeFileSync(kubeconfig(user), kubeconfigText(url, certificates.cert, tokens[user]), { mode: 0o600 })
  }
  const etcdUrl = `http://127.0.0.1:${clientPort}`
  yield* start("etcd", etcd.bin("etcd"), [
    `--data-dir=${Path.join(directory, "etcd")}`,
    "--unsafe-no-fsync",
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=http://127.0.0.1:${peerPort}`
  ])
  const apiServer = yield* start("kube-apiserver", kubernetes.bin("kube-apiserver"), [
    `--etcd-servers=${etcdUrl}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${apiPort}`,
    `--tls-cert-file=${certificates.certFile}`,
    `--tls-private-key-file=${certificates.keyFile}`,
    `--token-auth-file=${tokenFile}`,
    `--service-account-key-file=${certificates.publicFile}`,
    `--service-account-signing-key-file=${certificates.keyFile}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--authorization-mode=RBAC",
    "--service-cluster-ip-range=10.0.0.0/24",
    "--disable-admission-plugins=ServiceAccount"
  ])
  const api = Apis.make({ url, ca: certificates.cert, token: tokens.admin })
  yield* ready(apiServer, Effect.as(api.request("GET", "/readyz"), true))
  yield* start("kube-controller-manager", kubernetes.bin("kube-controller-manager"), [
    `--kubeconfig=${kubeconfig("admin")}`,
    // Nodes and their addresses: there are none.
    "--controllers=*,-node-lifecycle-controller,-node-ipam-controller",
    `--service-account-private-key-file=${certificates.keyFile}`,
    `--root-ca-file=${certificates.certFile}`,
    "--bind-address=127.0.0.1",
    `--secure-port=${controllersPort}`
  ])
  return { api, ca: certificates.cert, kubeconfig }
})

const startS3 = Effect.fnUntraced(function* (versitygw: Built) {
  const { directory, start } = yield* Processes
  const [port] = (yield* freePorts(1)) as [number]
  const [accessKey, secretKey] = ["stand", Crypto.randomBytes(16).toString("hex")]
  // Its buckets are folders.
  const data = Path.join(directory, "s3")
  Fs.mkdirSync(Path.join(data, bucket), { recursive: true })
  const server = yield* start(
    "versitygw",
    versitygw.bin("versitygw"),
    [`--port=127.0.0.1:${port}`, "--quiet", "posix", data],
    { env: { ROOT_ACCESS_KEY_ID: accessKey, ROOT_SECRET_ACCESS_KEY: secretKey, VGW_REGION: region } }
  )
  yield* ready(server, listens(port))
  return { url: `http://127.0.0.1:${port}`, accessKey, secretKey }
})

/** `amd64`, as Go says it. */
const goArchitecture = process.arch === "x64" ? "amd64" : process.arch

interface Cluster {
  readonly api: Api
  readonly ca: string
  readonly kubeconfig: (user: User) => string
}

const startOperator = Effect.fnUntraced(function* (cluster: Cluster, operator: Built, barmanCloud: Built) {
  const { api, ca, kubeconfig } = cluster
  const { directory, start } = yield* Processes
  const [probePort, metricsPort, webhookPort] = (yield* freePorts(3)) as [number, number, number]
  const home = Fs.mkdtempSync(Path.join(directory, `cnpg-${operator.component.version}-`))
  const sockets = Path.join(home, "plugins")
  Fs.mkdirSync(sockets)
  yield* applyCrds(api, operator.file("config/crd/bases"), barmanCloud.file("config/crd/bases"))
  yield* api.apply(Objects.namespaces, { metadata: { name: operatorNamespace } })

  const plugin = yield* start(
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
  const server = yield* start(
    `cnpg-${operator.component.version}`,
    operator.bin("manager"),
    ["controller", `--webhook-port=${webhookPort}`, `--metrics-bind-address=127.0.0.1:${metricsPort}`],
    {
      cwd: home,
      env: {
        KUBECONFIG: kubeconfig("admin"),
        WEBHOOK_CERT_DIR: directory,
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
})

const startVelero = Effect.fnUntraced(function* (
  cluster: Cluster,
  velero: Built,
  pluginForAws: Built,
  s3: (typeof Stand)["Service"]["s3"],
  { args = [], pluginUser = "admin", plugins }: VeleroOptions
) {
  const { api, kubeconfig } = cluster
  const { directory, start } = yield* Processes
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
  const server = yield* start(
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
  return velero
})

const make = Effect.gen(function* () {
  const processes = yield* Processes
  const [etcd, kubernetes, snapshotCrds, barmanCloud, versitygw, pluginForAws] = yield* Effect.all([
    Build.build(Components.etcd),
    Build.build(Components.kubernetes),
    Build.build(Components.snapshotCrds),
    Build.build(Components.barmanCloud),
    Build.build(Components.versitygw),
    Build.build(Components.pluginForAws)
  ])
  const [cluster, s3] = yield* Effect.all([startKubernetes(etcd, kubernetes), startS3(versitygw)], {
    concurrency: "unbounded"
  })
  yield* applyCrds(cluster.api, ...(Components.snapshotCrds.files ?? []).map(snapshotCrds.file))
  const operatorSlot = yield* makeSlot
  const veleroSlot = yield* makeSlot
  let velero: Built | undefined
  const veleroPath = () => velero?.bin("velero") ?? "velero"
  const env = { KUBECONFIG: cluster.kubeconfig("admin") }
  const provided = Effect.provideService(Processes, processes)
  return Stand.of({
    api: cluster.api,
    kubeconfig: cluster.kubeconfig,
    kubectlPath: kubernetes.bin("kubectl"),
    veleroPath,
    s3,
    kubectl: (...args) => processes.run(kubernetes.bin("kubectl"), args, { env }),
    velero: (...args) => Effect.suspend(() => processes.run(veleroPath(), args, { env })),
    useOperator: (version) =>
      Effect.gen(function* () {
        const operator = yield* Build.build(Components.operator(version))
        yield* operatorSlot(startOperator(cluster, operator, barmanCloud))
      }).pipe(provided),
    useVelero: (options) =>
      Effect.gen(function* () {
        const built = yield* Build.build(Components.velero(options.version))
        velero = yield* veleroSlot(startVelero(cluster, built, pluginForAws, s3, options))
      }).pipe(provided)
  })
})

export const layer: Layer.Layer<Stand, StandError, Processes> = Layer.effect(Stand, make)

/** A resource's name in the API, for messages: `clusters.postgresql.cnpg.io`. */
export const resourceName = <T>({ group, plural }: Resource<T>): string =>
  group === "" ? plural : `${plural}.${group}`
