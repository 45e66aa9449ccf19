/**
 * What users declare beside a Cluster: databases, publications, subscriptions, image catalogs, schedules.
 *
 * Databases and their kin are applied by the instance manager, inside the Pods that nobody starts here. What it would have written
 * (its finalizer, the observed generation) is written by hand; how the operator and its webhooks treat that is real.
 */
import * as Effect from "effect/Effect"
import { archived, barmanCloud, createBackup, createCluster, createNamespace } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { Anything, Resource } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { until } from "../Poll.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { ignoresRestoreStatus, restoresStatuses } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "declared"
const place = { namespace, name: Shop.cluster }

/** Another tag than the operator's default, so that one sees where the image comes from. */
const image = "ghcr.io/cloudnative-pg/postgresql:17.2"

interface Declared {
  readonly resource: Resource<Anything>
  readonly name: string
  readonly finalizer: string
  readonly spec: Readonly<Record<string, unknown>>
}

/** What the instance manager applies. */
const declared: ReadonlyArray<Declared> = [
  {
    resource: Objects.databases,
    name: "reports",
    finalizer: "cnpg.io/deleteDatabase",
    spec: {
      cluster: { name: Shop.cluster },
      name: "reports",
      owner: "orders_owner",
      databaseReclaimPolicy: "delete",
      ensure: "present"
    }
  },
  {
    resource: Objects.publications,
    name: "all-tables",
    finalizer: "cnpg.io/deletePublication",
    spec: {
      cluster: { name: Shop.cluster },
      name: "all_tables",
      dbname: Shop.cluster,
      target: { allTables: true },
      publicationReclaimPolicy: "delete"
    }
  },
  {
    resource: Objects.subscriptions,
    name: "prices",
    finalizer: "cnpg.io/deleteSubscription",
    spec: {
      cluster: { name: Shop.cluster },
      name: "prices",
      dbname: Shop.cluster,
      publicationName: "prices",
      externalClusterName: "warehouse",
      subscriptionReclaimPolicy: "delete"
    }
  }
]

/** As the instance manager leaves an object that it has applied. */
const applied = Effect.fnUntraced(function* ({ finalizer, name, resource, spec }: Declared) {
  const { api } = yield* Stand
  yield* api.apply(resource, { metadata: { namespace, name }, spec })
  yield* api.patch(resource, namespace, name, { metadata: { finalizers: [finalizer] } })
  yield* api.patch(resource, namespace, name, { status: { applied: true, observedGeneration: 1 } }, "status")
})

/** Schedules beside the shop's own, and how many Backups each makes at once. */
const schedules = [
  { name: "of-cluster", spec: { immediate: true, backupOwnerReference: "cluster" }, backups: 1 },
  { name: "suspended", spec: { immediate: true, suspend: true }, backups: 0 },
  { name: "later", spec: { immediate: false }, backups: 0 }
]

const backupsOf = Effect.fnUntraced(function* (namespace: string, schedule: string) {
  const { api } = yield* Stand
  return yield* api.list(Objects.backups, namespace, `cnpg.io/scheduled-backup=${schedule}`)
})

const create = Effect.gen(function* () {
  const { api } = yield* Stand
  yield* createNamespace(namespace)
  yield* api.apply(Objects.imageCatalogs, {
    metadata: { namespace, name: "images" },
    spec: { images: [{ major: 17, image }] }
  })
  yield* api.apply(Objects.clusterImageCatalogs, {
    metadata: { name: "fleet-images" },
    spec: { images: [{ major: 17, image }] }
  })
  const catalogs = [
    { place, source: Shop.source, kind: "ImageCatalog", name: "images" },
    {
      place: { namespace, name: "billing" },
      source: Shop.sourceOf("billing", "billing-v1", "20261104T030001"),
      kind: "ClusterImageCatalog",
      name: "fleet-images"
    }
  ]
  for (const { kind, name, place, source } of catalogs) {
    const cluster = yield* createCluster(place, {
      ...archived(place.name, source.serverName),
      imageCatalogRef: { apiGroup: "postgresql.cnpg.io", kind, name, major: 17 },
      externalClusters: [{ name: "warehouse", connectionParameters: { host: "warehouse.example.com", user: "reader" } }]
    })
    yield* createBackup(cluster, { name: `${place.name}-newest`, backupId: source.backupId ?? "" })
  }
  yield* Effect.forEach(declared, applied, { discard: true })
  for (const { name, spec } of schedules) {
    yield* api.apply(Objects.scheduledBackups, {
      metadata: { namespace, name },
      spec: {
        schedule: "0 0 3 * * *",
        cluster: { name: Shop.cluster },
        method: "plugin",
        pluginConfiguration: { name: barmanCloud },
        ...spec
      }
    })
  }
  yield* until(
    "the immediate schedule has made its Backup",
    "20 seconds",
    Effect.map(backupsOf(namespace, "of-cluster"), (backups) => backups[0])
  )
  return catalogs
})

/** What is declared is declared again, and has yet to be applied: its status and finalizer are those of no life. */
const verifyDeclared = Effect.fnUntraced(function* (namespace: string) {
  const { api } = yield* Stand
  for (const { name, resource, spec } of declared) {
    const object = yield* api.get(resource, namespace, name)
    yield* Verify.equal(`the spec of ${resource.kind} ${name}`, object.spec, spec)
    yield* Verify.equal(`the status of ${resource.kind} ${name}`, object.status, undefined)
    yield* Verify.equal(`the finalizers of ${resource.kind} ${name}`, object.metadata.finalizers, undefined)
  }
})

/** Each schedule makes as many Backups at once as it should, for the new Cluster; they wait for it, and do not fail. */
const verifySchedules = Effect.fnUntraced(function* (namespace: string, old: ReadonlySet<string>) {
  const { api } = yield* Stand
  const cluster = yield* api.get(Objects.clusters, namespace, Shop.cluster)
  const [made] = yield* Verify.attempt(
    until(
      `the schedule of-cluster makes a Backup in ${namespace}, which waits for the Cluster`,
      "20 seconds",
      Effect.map(backupsOf(namespace, "of-cluster"), (backups) =>
        backups.some(({ status }) => status?.phase === "pending") ? backups : undefined
      )
    )
  ).pipe(Effect.map((backups) => backups ?? []))
  yield* Verify.equal(
    "the owner of its Backup",
    made?.metadata.ownerReferences?.map(({ uid }) => uid),
    [cluster.metadata.uid]
  )
  for (const { backups, name } of schedules) {
    const all = yield* backupsOf(namespace, name)
    yield* Verify.equal(`Backups of the schedule ${name}`, all.length, backups)
    for (const { metadata, status } of all) {
      yield* Verify.that(`Backup ${metadata.name} is a new one`, !old.has(metadata.uid))
      yield* Verify.that(`Backup ${metadata.name} has not failed`, status?.phase !== "failed", status?.error)
    }
  }
})

/** The recovery Job runs the image that the catalog says. */
const verifyImages = Effect.fnUntraced(function* (namespace: string, clusters: ReadonlyArray<string>) {
  const { api } = yield* Stand
  for (const name of clusters) {
    const job = yield* api.get(Objects.jobs, namespace, `${name}-1-full-recovery`)
    yield* Verify.equal(`the image that ${name} recovers with`, job.spec.template.spec.containers[0]?.image, image)
  }
})

export const declarativeObjects: Scenario = {
  name: "declarative-objects",
  expected:
    "databases, publications, subscriptions, catalogs and schedules are back, nothing is taken for applied, deleted or backed up out of turn; without their Cluster they can be deleted",
  core: true,
  run: Effect.gen(function* () {
    const { veleroVersion } = yield* Stand
    const catalogs = yield* create
    const old = new Set((yield* backupsOf(namespace, "of-cluster")).map(({ metadata }) => metadata.uid))
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")

    const restores = [
      { to: "declared-copy", flags: [] },
      // The status of a life that is over must not count as done.
      {
        to: namespace,
        flags: restoresStatuses(veleroVersion())
          ? [
              `--status-include-resources=${declared.map(({ resource }) => `${resource.plural}.${resource.group}`).join(",")}`
            ]
          : []
      }
    ]
    for (const { flags, to } of restores) {
      if (to === namespace) yield* Namespace.remove(namespace)
      const restore = yield* Velero.restore(
        backup,
        ...flags,
        ...(to === namespace ? [] : [Velero.mapping({ [namespace]: to })])
      )
      yield* Verify.equal(`the Velero restore into ${to}`, Velero.outcome(restore), "Completed")
      for (const { place, source } of catalogs) {
        yield* Verify.attempt(Recovery.verify({ ...place, namespace: to }, source))
      }
      yield* verifyImages(
        to,
        catalogs.map(({ place }) => place.name)
      )
      yield* verifyDeclared(to)
      if (to !== namespace) yield* verifySchedules(to, old)
    }

    const alone = "declared-alone"
    yield* Velero.restore(
      backup,
      Velero.mapping({ [namespace]: alone }),
      "--exclude-resources=clusters.postgresql.cnpg.io"
    )
    yield* verifyDeclared(alone)
    yield* Verify.attempt(Namespace.remove(alone))
    const without = restoresStatuses(veleroVersion()) ? "" : `; without old statuses: ${ignoresRestoreStatus}`
    return `${declared.length} objects wait for the new instances, ${schedules.length} schedules keep their turn${without}`
  })
}
