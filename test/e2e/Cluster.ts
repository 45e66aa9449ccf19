/**
 * CNPG Clusters as running ones look, and what the operator did with them.
 *
 * The operator itself brings a Cluster as far as its first Job. What the Job's pod and the instance manager would have reported is
 * written here, in their words; everything that follows from it the operator does.
 */
import * as Effect from "effect/Effect"
import * as DateTime from "effect/DateTime"
import * as Objects from "./Objects.ts"
import type { Backup, Cluster, ClusterSpec, Job, PluginEntry, Saved } from "./Objects.ts"
import { until, untilTrue } from "./Poll.ts"
import { Stand } from "./Stand.ts"
import { archiveBucket } from "./servers/ObjectStore.ts"

/** As Kubernetes writes it. */
export const timestamp = (time: DateTime.Utc): string => `${DateTime.formatIso(time).slice(0, 19)}Z`

/** The Barman Cloud plugin. */
export const barmanCloud = "barman-cloud.cloudnative-pg.io"

/** Where a Cluster is. */
export interface Place {
  readonly namespace: string
  readonly name: string
}

/** Name of the ObjectStore that `createNamespace` makes, and of the Secret with its credentials. */
export const storeName = "orders-store"

/** A namespace with an ObjectStore and its Secret. */
export const createNamespace = Effect.fn("createNamespace")(function* (namespace: string) {
  const stand = yield* Stand
  const { api } = stand
  const s3 = yield* stand.s3
  yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
  yield* api.apply(Objects.secrets, {
    metadata: { name: storeName, namespace },
    stringData: { ACCESS_KEY_ID: s3.accessKey, ACCESS_SECRET_KEY: s3.secretKey }
  })
  yield* api.apply(Objects.objectStores, {
    metadata: { name: storeName, namespace },
    spec: { configuration: storeConfiguration(s3.url) }
  })
})

/** Where Barman keeps an archive; also an in-tree `barmanObjectStore`. */
export const storeConfiguration = (url: string) => ({
  destinationPath: `s3://${archiveBucket}/postgres`,
  endpointURL: url,
  s3Credentials: {
    accessKeyId: { name: storeName, key: "ACCESS_KEY_ID" },
    secretAccessKey: { name: storeName, key: "ACCESS_SECRET_KEY" }
  }
})

/** An entry of `spec.plugins` that archives; without a server name the operator's default holds. */
export const archiver = (serverName?: string): PluginEntry => ({
  name: barmanCloud,
  isWALArchiver: true,
  parameters: { barmanObjectName: storeName, ...(serverName === undefined ? {} : { serverName }) }
})

/** A Cluster with a database of its own name, archiving under a server name. */
export const archived = (name: string, serverName?: string): ClusterSpec => ({
  instances: 1,
  storage: { size: "1Gi" },
  bootstrap: { initdb: { database: name, owner: `${name}_owner` } },
  plugins: [archiver(serverName)]
})

/** Creates a Cluster and brings it up. */
export const createCluster = Effect.fn("createCluster")(function* (place: Place, spec: ClusterSpec) {
  const { api } = yield* Stand
  yield* api.apply(Objects.clusters, { metadata: place, spec })
  yield* bringUp(place)
  return yield* api.get(Objects.clusters, place.namespace, place.name)
})

/** Brings a Cluster up: its volumes are provisioned, its first Job has done its work, the operator makes the instance's Pod. */
export const bringUp = Effect.fn("bringUp")(function* (place: Place) {
  const job = yield* firstJob(place)
  yield* provision(place)
  yield* finish(job)
  const { api } = yield* Stand
  yield* untilTrue(
    `Pod ${place.namespace}/${place.name}-1 exists`,
    "30 seconds",
    Effect.map(api.find(Objects.pods, place.namespace, `${place.name}-1`), (pod) => pod !== undefined)
  )
  return job
})

/** The Jobs that make instances of a Cluster. */
export const jobsOf = Effect.fn("jobsOf")(function* ({ name, namespace }: Place) {
  const { api } = yield* Stand
  return yield* api.list(Objects.jobs, namespace, `cnpg.io/cluster=${name}`)
})

/** The Job that makes the first instance, whichever way. */
export const firstJob = (place: Place) =>
  until(
    `the operator creates the first Job of Cluster ${place.namespace}/${place.name}`,
    "60 seconds",
    Effect.map(jobsOf(place), (jobs) => jobs[0])
  )

/** Makes the volumes of a Cluster's claims, as a CSI provisioner does; the controllers bind them. */
export const provision = Effect.fnUntraced(function* ({ name, namespace }: Place) {
  const { api } = yield* Stand
  for (const { metadata, spec } of yield* api.list(
    Objects.persistentVolumeClaims,
    namespace,
    `cnpg.io/cluster=${name}`
  )) {
    yield* api.apply(Objects.persistentVolumes, {
      metadata: { name: `pvc-${metadata.uid}` },
      spec: {
        capacity: spec.resources.requests,
        accessModes: spec.accessModes,
        persistentVolumeReclaimPolicy: "Delete",
        claimRef: { namespace, name: metadata.name, uid: metadata.uid },
        csi: { driver: "csi.example.com", volumeHandle: metadata.uid }
      }
    })
    yield* untilTrue(
      `PVC ${namespace}/${metadata.name} is bound`,
      "30 seconds",
      Effect.map(
        api.get(Objects.persistentVolumeClaims, namespace, metadata.name),
        ({ status }) => status?.phase === "Bound"
      )
    )
  }
})

/** Writes what kubelet and the Job controller write when a Job's pod has succeeded. */
const finish = (job: Saved<Job>) => end(job, "Succeeded", completed)

/** Writes what they write when it has failed as often as it may. */
export const fail = (job: Saved<Job>) => end(job, "Failed", failed)

const end = Effect.fnUntraced(function* (
  { metadata }: Saved<Job>,
  podPhase: string,
  statusOf: (startTime: string, now: string) => object
) {
  const { api } = yield* Stand
  const { name, namespace = "" } = metadata
  const pod = yield* until(
    `Job ${namespace}/${name} has a Pod`,
    "30 seconds",
    Effect.map(api.list(Objects.pods, namespace, `batch.kubernetes.io/job-name=${name}`), (pods) => pods[0])
  )
  yield* api.patch(Objects.pods, namespace, pod.metadata.name, { status: { phase: podPhase } }, "status")
  const started = yield* until(
    `Job ${namespace}/${name} is started`,
    "30 seconds",
    Effect.map(api.get(Objects.jobs, namespace, name), ({ status }) => status?.startTime)
  )
  const now = timestamp(yield* DateTime.now)
  yield* until(
    `Job ${namespace}/${name} has ended`,
    "30 seconds",
    api.patch(Objects.jobs, namespace, name, { status: statusOf(started, now) }, "status")
  )
})

const ended = (startTime: string, now: string, conditions: ReadonlyArray<string>, why: object = {}) => ({
  active: 0,
  ready: 0,
  terminating: 0,
  startTime,
  uncountedTerminatedPods: {},
  conditions: conditions.map((type) => ({ type, status: "True", lastProbeTime: now, lastTransitionTime: now, ...why }))
})

const completed = (startTime: string, now: string) => ({
  ...ended(startTime, now, ["SuccessCriteriaMet", "Complete"]),
  succeeded: 1,
  completionTime: now
})

const failed = (startTime: string, now: string) => ({
  ...ended(startTime, now, ["FailureTarget", "Failed"], {
    reason: "BackoffLimitExceeded",
    message: "Job has reached the specified backoff limit"
  }),
  failed: 7
})

/** A Barman backup of a Cluster, as the instance that took it reports. */
export interface BackupOptions {
  readonly name: string
  readonly backupId: string
  /** When it ended; default: as the id says. */
  readonly stoppedAt?: string
  /** What differs from a backup that the Barman Cloud plugin has completed. */
  readonly spec?: object
  readonly status?: Readonly<Record<string, unknown>>
  /** The operator is told to leave it alone: quicker, where there are many. */
  readonly paused?: boolean
}

/** Barman's ids are times: `20261104T020001`. */
const timeOf = (backupId: string): string =>
  backupId.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)$/, "$1-$2-$3T$4:$5:$6Z")

/** Creates a CNPG Backup that is completed, unless its status says otherwise. */
export const createBackup = Effect.fn("createBackup")(function* (
  cluster: Saved<Cluster>,
  { backupId, name, paused = false, spec = {}, status = {}, stoppedAt = timeOf(backupId) }: BackupOptions
) {
  const { api } = yield* Stand
  const { name: clusterName, namespace = "" } = cluster.metadata
  yield* api.apply(Objects.backups, {
    metadata: { name, namespace, ...(paused ? { annotations: { "cnpg.io/reconciliationLoop": "disabled" } } : {}) },
    spec: {
      cluster: { name: clusterName },
      method: "plugin",
      pluginConfiguration: { name: barmanCloud },
      ...spec
    }
  })
  return yield* reportBackup(cluster, { backupId, name, paused, status, stoppedAt })
})

/** Writes what the instance that took a backup reports of it. */
export const reportBackup = Effect.fnUntraced(function* (
  cluster: Saved<Cluster>,
  { backupId, name, paused = false, status = {}, stoppedAt = timeOf(backupId) }: Omit<BackupOptions, "spec">
) {
  const { api } = yield* Stand
  const { namespace = "", uid } = cluster.metadata
  const wanted = {
    phase: "completed",
    method: "plugin",
    backupId,
    backupName: `backup-${backupId}`,
    startedAt: timeOf(backupId),
    stoppedAt,
    pluginMetadata: { clusterUID: uid, name: barmanCloud, version: "0.14.0" },
    ...status
  }
  const write = api.patch(Objects.backups, namespace, name, { status: wanted }, "status")
  return yield* paused ? Effect.asVoid(write) : untilItStays(namespace, name, wanted, write)
})

/** The operator looks at a new Backup and writes what it makes of it; a final phase it leaves alone. */
const untilItStays = Effect.fnUntraced(function* <E extends { readonly message: string }>(
  namespace: string,
  name: string,
  wanted: NonNullable<Backup["status"]>,
  write: Effect.Effect<unknown, E>
) {
  const { api } = yield* Stand
  let stayed = 0
  yield* untilTrue(
    `the status of Backup ${namespace}/${name} stays ${wanted.phase}`,
    "60 seconds",
    Effect.gen(function* () {
      const { status } = yield* api.get(Objects.backups, namespace, name)
      const stays = status?.phase === wanted.phase && status?.backupId === wanted.backupId
      stayed = stays ? stayed + 1 : 0
      if (!stays) yield* write
      return stayed >= 10
    })
  )
})
