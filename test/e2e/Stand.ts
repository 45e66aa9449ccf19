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
import type { TimedOut } from "./Poll.ts"
import type { ServerEnded } from "./Processes.ts"
import { CommandFailed, Processes } from "./Processes.ts"
import type { User } from "./servers/Kubernetes.ts"
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
    /** Path of a kubeconfig for a user. */
    readonly kubeconfig: (user: User) => string
    readonly kubectl: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
    /** Velero's command line, of the version whose server runs. */
    readonly velero: (...args: ReadonlyArray<string>) => Effect.Effect<string, CommandFailed>
    /** Path of Velero's command line. */
    readonly veleroPath: () => string
    readonly kubectlPath: string
    readonly s3: ObjectStore
    /** Everything that the operator has logged so far. */
    readonly operatorLog: Effect.Effect<string>
    /** Runs this version of the operator, and the Barman Cloud plugin, from now on; their CRDs and webhooks are put in place. */
    readonly useOperator: (version: Components.OperatorVersion) => Effect.Effect<void, StandError>
    /** Runs this Velero from now on. */
    readonly useVelero: (options: VeleroOptions) => Effect.Effect<void, StandError>
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
  const [cluster, s3] = yield* Effect.all([Kubernetes.start(etcd, kubernetes), ObjectStores.start(versitygw)], {
    concurrency: "unbounded"
  })
  yield* applyCrds(cluster.api, ...(Components.snapshotCrds.files ?? []).map(snapshotCrds.file))
  const operatorSlot = yield* makeSlot
  const veleroSlot = yield* makeSlot
  let operatorLog: string | undefined
  let velero: Built | undefined
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
  const provided = Effect.provideService(Processes, processes)
  return Stand.of({
    api: cluster.api,
    kubeconfig: cluster.kubeconfig,
    kubectlPath: kubernetes.bin("kubectl"),
    veleroPath,
    s3,
    operatorLog: Effect.sync(() => (operatorLog === undefined ? "" : Fs.readFileSync(operatorLog, "utf8"))),
    kubectl: (...args) => runCommand(kubernetes.bin("kubectl"), args),
    velero: (...args) => Effect.suspend(() => runCommand(veleroPath(), args)),
    useOperator: (version) =>
      Effect.gen(function* () {
        const operator = yield* Build.build(Components.operator(version))
        operatorLog = (yield* operatorSlot(Operator.start(cluster, operator, barmanCloud))).log
      }).pipe(provided),
    useVelero: (options) =>
      Effect.gen(function* () {
        const built = yield* Build.build(Components.velero(options.version))
        yield* veleroSlot(VeleroServer.start(cluster, built, pluginForAws, s3, options))
        velero = built
      }).pipe(provided)
  })
})

export const layer: Layer.Layer<Stand, StandError, Processes> = Layer.effect(Stand, make)
