/**
 * A cluster without containers: etcd, an API server with its controllers, the CloudNativePG operator with its webhooks, the Barman
 * Cloud plugin, an S3 server and Velero, as processes on free ports of 127.0.0.1, gone with their scope. With the filesystem pack
 * there is its directory instead of the S3 server.
 *
 * **What is real**: every server that decides something. **What is not**: there is no kubelet and no scheduler, so pods stay
 * Pending and no PostgreSQL runs; `Cluster.ts` writes the statuses that pods would have caused.
 *
 * The API server and its controllers run as long as the stand; S3 and the filesystem pack's server too, once they are needed. The
 * operator and Velero can be replaced: another version, other plugins, another user.
 */
import * as Fs from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { Api, RequestFailed } from "./Api.ts"
import type { BuildFailed, Built, GoMissing } from "./Build.ts"
import * as Build from "./Build.ts"
import * as Components from "./Components.ts"
import type { Given } from "./Given.ts"
import type { Executables } from "./Packs.ts"
import type { TimedOut } from "./Poll.ts"
import type { ServerEnded } from "./Processes.ts"
import { CommandFailed, Processes } from "./Processes.ts"
import type { FileStore } from "./servers/FileStore.ts"
import * as FileStores from "./servers/FileStore.ts"
import type { User } from "./servers/Kubernetes.ts"
import type { Link } from "./servers/Link.ts"
import * as Kubernetes from "./servers/Kubernetes.ts"
import type { ObjectStore } from "./servers/ObjectStore.ts"
import * as ObjectStores from "./servers/ObjectStore.ts"
import * as Operator from "./servers/Operator.ts"
import { applyCrds } from "./servers/Servers.ts"
import type { VeleroOptions } from "./servers/VeleroServer.ts"
import * as VeleroServer from "./servers/VeleroServer.ts"

export { veleroNamespace } from "./servers/VeleroServer.ts"

/** What a stand can fail with while it changes. */
export type StandError = CommandFailed | ServerEnded | TimedOut | RequestFailed | BuildFailed | GoMissing

export class Stand extends Context.Service<
  Stand,
  {
    readonly api: Api
    /** The packs under test. */
    readonly executables: Executables
    readonly given: Given
    /** Path of a kubeconfig for a user. */
    readonly kubeconfig: (user: User) => string
    readonly kubectl: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
    /** Velero's command line, of the version whose server runs. */
    readonly velero: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
    /** Of the Velero in use. */
    readonly veleroVersion: () => Components.VeleroVersion
    /** Path of Velero's command line. */
    readonly veleroPath: () => string
    readonly kubectlPath: string
    /** The plugins' way to the API server. */
    readonly link: Link
    /** Started when it is first asked for. */
    readonly s3: Effect.Effect<ObjectStore, StandError>
    /** The filesystem pack's directory; started when it is first asked for. */
    readonly files: Effect.Effect<FileStore, StandError>
    /** Everything that the Velero in use has logged so far. */
    readonly veleroLog: Effect.Effect<string>
    /** Everything that the operator has logged so far. */
    readonly operatorLog: Effect.Effect<string>
    /** Runs this version of the operator, and the Barman Cloud plugin, from now on; their CRDs and webhooks are put in place. */
    readonly useOperator: (version: Components.OperatorVersion) => Effect.Effect<void, StandError>
    /** Runs this Velero from now on. */
    readonly useVelero: (options: VeleroOptions) => Effect.Effect<void, StandError>
    /** Runs the Velero in use anew: it looks for kinds when it starts, and then every five minutes. */
    readonly restartVelero: Effect.Effect<void, StandError>
    /** Runs an effect with these executables in Velero's plugin directory instead of the packs, which come back after it. */
    readonly withPlugins: (
      plugins: ReadonlyArray<string>
    ) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | StandError, R>
    /** Runs a Velero of the same version beside the one in use, in a namespace of its own, until the scope closes. */
    readonly startVelero: (
      options: Omit<VeleroOptions, "version"> & { readonly namespace: string }
    ) => Effect.Effect<void, StandError, Scope.Scope>
  }
>()("velero-plugin-cnpg/e2e/Stand") {}

const commandDeadline = "60 seconds"

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

const make = Effect.fnUntraced(function* (executables: Executables, given: Given) {
  const processes = yield* Processes
  const [etcd, kubernetes, snapshotCrds, barmanCloud, versitygw, pluginForAws] = yield* Effect.all([
    Build.build(Components.etcd),
    Build.build(Components.kubernetes),
    Build.build(Components.snapshotCrds),
    Build.build(Components.barmanCloud),
    Build.build(Components.versitygw),
    Build.build(Components.pluginForAws)
  ])
  const scope = yield* Effect.scope
  const provided = Effect.provideService(Processes, processes)
  const s3 = yield* Effect.cached(ObjectStores.start(versitygw).pipe(Scope.provide(scope), provided))
  const files = yield* Effect.cached(FileStores.start(executables.filesystem).pipe(Scope.provide(scope), provided))
  const cluster = yield* Kubernetes.start(etcd, kubernetes)
  yield* applyCrds(cluster.api, ...(Components.snapshotCrds.files ?? []).map(snapshotCrds.file))
  const operatorSlot = yield* makeSlot
  const veleroSlot = yield* makeSlot
  let operatorLog: string | undefined
  let velero: Built | undefined
  let veleroLog: string | undefined
  let veleroOptions: VeleroOptions = { version: Components.veleroVersions[0], packs: [] }
  const veleroPath = () => velero?.bin("velero") ?? "velero"
  const runCommand = (command: string, args: ReadonlyArray<string>) =>
    processes.run(command, args, { env: { KUBECONFIG: cluster.kubeconfig("admin") } }).pipe(
      Effect.timeoutOrElse({
        duration: commandDeadline,
        orElse: () =>
          Effect.fail(
            new CommandFailed({
              command: [command, ...args].join(" "),
              reason: `longer than ${commandDeadline}`,
              output: ""
            })
          )
      })
    )
  const startVelero = Effect.fnUntraced(function* (options: VeleroOptions) {
    const built = yield* Build.build(Components.velero(options.version))
    const storage = options.packs.includes("filesystem")
      ? (yield* files).storage
      : yield* ObjectStores.storageOf(yield* s3, pluginForAws)
    const plugins = [...options.packs.map((pack) => executables[pack]), ...(options.plugins ?? [])]
    const { log } = yield* VeleroServer.start(cluster, built, plugins, storage, options)
    return { built, log }
  }, provided)
  const useVelero = (options: VeleroOptions) =>
    Effect.map(veleroSlot(startVelero(options)), ({ built, log }) => {
      velero = built
      veleroLog = log
      veleroOptions = options
    })
  return Stand.of({
    api: cluster.api,
    executables,
    given,
    kubeconfig: cluster.kubeconfig,
    link: cluster.link,
    kubectlPath: kubernetes.bin("kubectl"),
    veleroVersion: () => veleroOptions.version,
    veleroPath,
    s3,
    files,
    veleroLog: Effect.sync(() => (veleroLog === undefined ? "" : Fs.readFileSync(veleroLog, "utf8"))),
    operatorLog: Effect.sync(() => (operatorLog === undefined ? "" : Fs.readFileSync(operatorLog, "utf8"))),
    kubectl: (...args) => runCommand(kubernetes.bin("kubectl"), args),
    velero: (...args) => Effect.suspend(() => runCommand(veleroPath(), args)),
    useOperator: (version) =>
      Effect.gen(function* () {
        const operator = yield* Build.build(Components.operator(version))
        operatorLog = (yield* operatorSlot(Operator.start(cluster, operator, barmanCloud))).log
      }).pipe(provided),
    useVelero,
    restartVelero: Effect.suspend(() => useVelero(veleroOptions)),
    withPlugins: (plugins) => (effect) =>
      Effect.suspend(() => {
        const before = veleroOptions
        return useVelero({ ...before, packs: [], plugins, isRestart: true }).pipe(
          Effect.andThen(effect),
          Effect.ensuring(Effect.orDie(useVelero({ ...before, isRestart: true })))
        )
      }),
    startVelero: (options) =>
      Effect.suspend(() => Effect.asVoid(startVelero({ ...options, version: veleroOptions.version })))
  })
})

export const layer = (executables: Executables, given: Given): Layer.Layer<Stand, StandError, Processes> =>
  Layer.effect(Stand, make(executables, given))
