/** Whether the operator recovers a restored Cluster: from what, into what, and with nothing of the old life in its way. */
import * as Effect from "effect/Effect"
import * as Admission from "./Admission.ts"
import type { Place } from "./Cluster.ts"
import { barmanCloud, bringUp, jobsOf, storeConfiguration, storeName } from "./Cluster.ts"
import type { Anything, ApplicationDatabase, Container, Job, RecoveryTarget, Resource, Saved } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import { until } from "./Poll.ts"
import { Stand } from "./Stand.ts"
import * as Verify from "./Verify.ts"

/** What a Cluster is to be recovered from. */
export interface Source {
  readonly serverName: string
  readonly backupId: string | undefined
  /** Default: the backup id alone. */
  readonly recoveryTarget?: RecoveryTarget
  readonly application: ApplicationDatabase
  /** The external cluster that names the archive; default: `clusterBackup`. */
  readonly through?: string
  /** Whether the archive is the Cluster's `barmanObjectStore`; default: the Barman Cloud plugin's. */
  readonly inTree?: boolean
}

/** `{cluster}-{YYYYMMDD-HHMMSS}` */
const serverNamePattern = (cluster: string): RegExp => new RegExp(`^${cluster}-\\d{8}-\\d{6}$`)

/** What a restore must leave to the operator. */
const rebuilt = [
  Objects.persistentVolumeClaims,
  Objects.pods,
  Objects.services,
  Objects.podDisruptionBudgets,
  Objects.leases
] as ReadonlyArray<Resource<Anything>>

/** The server name that a Cluster archives under. */
export const destinationOf = Effect.fnUntraced(function* ({ name, namespace }: Place) {
  const { api } = yield* Stand
  const { spec } = yield* api.get(Objects.clusters, namespace, name)
  return (
    spec.plugins?.find(({ isWALArchiver }) => isWALArchiver)?.parameters?.["serverName"] ??
    spec.backup?.barmanObjectStore?.serverName ??
    ""
  )
})

/** Waits for the operator to begin the recovery, and verifies all of it. Yields the server name that the Cluster archives under. */
export const verify = Effect.fn("Recovery.verify")(function* (place: Place, source: Source) {
  const job = yield* recoveryJob(place)
  yield* verifyJob(place, source, job)
  yield* verifyCluster(place, source)
  yield* Admission.verify(place.namespace, place.name)
  yield* verifyRebuilt(place)
  yield* verifyConfigMap(place, source)
  // When the recovery is done, the operator goes on to the instance.
  yield* bringUp(place)
  const destination = yield* destinationOf(place)
  return destination
})

/** Waits for the Job that recovers; if the operator does not create it, its phase and Jobs say what it does instead. */
export const recoveryJob = Effect.fnUntraced(function* (place: Place) {
  const { api } = yield* Stand
  const { name, namespace } = place
  const wanted = `${name}-1-full-recovery`
  return yield* until(
    `the operator creates Job ${wanted} in ${namespace}`,
    "20 seconds",
    Effect.gen(function* () {
      const jobs = yield* jobsOf(place)
      const found = jobs.find(({ metadata }) => metadata.name === wanted)
      if (found !== undefined) return found
      const { status } = yield* api.get(Objects.clusters, namespace, name)
      return yield* Effect.fail({
        message: `Cluster phase ${JSON.stringify(status?.phase ?? "")} (${status?.phaseReason ?? ""}), Jobs: ${jobs.map(({ metadata }) => metadata.name).join(", ") || "none"}`
      })
    })
  )
})

const words = ({ args = [], command = [] }: Container): ReadonlyArray<string> => [...command, ...args]

const verifyJob = Effect.fnUntraced(function* (place: Place, { inTree = false }: Source, { spec }: Saved<Job>) {
  const { containers, initContainers = [] } = spec.template.spec
  const [main] = containers
  yield* Verify.that(
    "the recovery Job runs `manager instance restore`",
    main !== undefined && words(main).join(" ").startsWith("/controller/manager instance restore"),
    main === undefined ? "no container" : words(main).join(" ")
  )
  const env = main?.env?.find(({ name }) => name === "CLUSTER_NAME")
  yield* Verify.equal("the Cluster that the recovery Job reads its source from", env?.value, place.name)
  const sidecar = initContainers.find(({ name }) => name === "plugin-barman-cloud")
  yield* Verify.equal("the Barman Cloud sidecar's arguments", sidecar?.args, inTree ? undefined : ["restore"])
  const jobs = yield* jobsOf(place)
  yield* Verify.equal(
    "the Cluster's only Job",
    jobs.map(({ metadata }) => metadata.name),
    [`${place.name}-1-full-recovery`]
  )
})

const verifyCluster = Effect.fnUntraced(function* (
  { name, namespace }: Place,
  {
    application,
    backupId,
    inTree = false,
    recoveryTarget = backupId === undefined ? undefined : { backupID: backupId },
    serverName,
    through = "clusterBackup"
  }: Source
) {
  const { api, s3 } = yield* Stand
  const { spec } = yield* api.get(Objects.clusters, namespace, name)
  yield* Verify.equal("the Cluster's bootstrap", spec.bootstrap, {
    recovery: {
      ...application,
      source: through,
      ...(recoveryTarget === undefined ? {} : { recoveryTarget })
    }
  })
  const external = spec.externalClusters?.find((entry) => entry.name === through)
  const archiver = spec.plugins?.find(({ isWALArchiver }) => isWALArchiver)
  if (inTree) {
    const store = storeConfiguration((yield* s3).url)
    yield* Verify.equal("the archive that it recovers from", external?.barmanObjectStore, { ...store, serverName })
    const { serverName: _, ...own } = spec.backup?.barmanObjectStore ?? { destinationPath: "" }
    yield* Verify.equal<object>("the store that it archives to", own, store)
  } else {
    yield* Verify.equal("the plugin that it recovers with", external?.plugin?.name, barmanCloud)
    yield* Verify.equal("the archive that it recovers from", external?.plugin?.parameters, {
      barmanObjectName: storeName,
      serverName
    })
    yield* Verify.equal("the ObjectStore that it archives to", archiver?.parameters?.["barmanObjectName"], storeName)
  }
  const destination = inTree ? spec.backup?.barmanObjectStore?.serverName : archiver?.parameters?.["serverName"]
  yield* Verify.that(
    "it archives under a new server name",
    serverNamePattern(name).test(destination ?? "") && destination !== serverName,
    destination
  )
})

/** Kinds that are made anew with a Cluster, and own things in their turn. */
const between = ["Job", "Pooler", "ReplicaSet"]

/** What stands beside the new Cluster is its own. */
const verifyRebuilt = Effect.fnUntraced(function* ({ name, namespace }: Place) {
  const { api } = yield* Stand
  const { metadata } = yield* api.get(Objects.clusters, namespace, name)
  for (const resource of rebuilt) {
    for (const object of yield* api.list(resource, namespace, `cnpg.io/cluster=${name}`)) {
      const owners = object.metadata.ownerReferences ?? []
      const isRestored = object.metadata.labels?.["velero.io/restore-name"] !== undefined
      const isOwned = owners.some(({ kind, uid }) => between.includes(kind) || uid === metadata.uid)
      yield* Verify.that(
        `${resource.kind} ${object.metadata.name} was made by the operator for this Cluster`,
        isOwned && !isRestored,
        isRestored ? "restored by Velero" : `owners ${JSON.stringify(owners)}`
      )
    }
  }
})

const verifyConfigMap = Effect.fnUntraced(function* (place: Place, { serverName }: Source) {
  const { api } = yield* Stand
  const { name, namespace } = place
  const { data = {}, metadata } = yield* api.get(Objects.configMaps, namespace, "cnpg-velero-override")
  const destination = yield* destinationOf(place)
  yield* Verify.equal(
    "the ConfigMap's server names of the Cluster",
    [data[`${name}.write_to_server_name`], data[`${name}.read_from_server_name`]],
    [destination, serverName]
  )
  yield* Verify.equal("the ConfigMap's Helm policy", metadata.annotations?.["helm.sh/resource-policy"], "keep")
})

/** None of a namespace's CNPG Backups is one of these; each one that is there was made for the new Cluster. */
export const verifyNoOldBackups = Effect.fnUntraced(function* (namespace: string, old: ReadonlyArray<string>) {
  const { api } = yield* Stand
  const names = (yield* api.list(Objects.backups, namespace)).map(({ metadata }) => metadata.name)
  yield* Verify.equal(
    "the CNPG Backups of before that are back",
    names.filter((name) => old.includes(name)),
    []
  )
})

/** The ScheduledBackup is there and makes Backups. */
export const verifySchedule = Effect.fnUntraced(function* (namespace: string, name: string) {
  const { api } = yield* Stand
  yield* until(
    `ScheduledBackup ${namespace}/${name} makes a Backup`,
    "20 seconds",
    Effect.map(api.list(Objects.backups, namespace, `cnpg.io/scheduled-backup=${name}`), (made) => made[0])
  )
})
