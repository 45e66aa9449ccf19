/**
 * Clusters whose data comes back on volumes: one has no archive, of the other the user says so.
 *
 * No kubelet runs and no storage driver, so no data is moved: Velero restores the claims, and what it would have filled them with is
 * left out. The init container that Velero waits with is the restored Pod's own, done as soon as it is written that it is.
 */
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import { archived, createBackup, createCluster, createNamespace, jobsOf, provision } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { ClusterSpec } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { until } from "../Poll.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { ignoresRestoreStatus, restoresStatuses } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const namespace = "volumes"
const [ledger, orders]: readonly [Place, Place] = [
  { namespace, name: "ledger" },
  { namespace, name: "orders" }
]

const unarchived: ClusterSpec = {
  instances: 1,
  storage: { size: "1Gi" },
  bootstrap: { initdb: { database: "ledger", owner: "ledger_owner" } }
}

const create = Effect.gen(function* () {
  const { api } = yield* Stand
  yield* createNamespace(namespace)
  yield* createCluster(ledger, unarchived)
  const cluster = yield* createCluster(orders, archived(orders.name, "orders-v1"))
  yield* createBackup(cluster, { name: "orders-newest", backupId: "20261104T020001" })
  const wish = { metadata: { annotations: { "velero-cnpg/recover-from": "volumes" } } }
  yield* api.patch(Objects.clusters, namespace, orders.name, wish)
})

/** As kubelet reports that the init containers of a restored Pod are done. */
const finishInitContainers = Effect.fnUntraced(function* ({ name, namespace }: Place) {
  const { api } = yield* Stand
  for (const { metadata, spec } of yield* api.list(Objects.pods, namespace, `cnpg.io/cluster=${name}`)) {
    const names = ((spec?.["initContainers"] ?? []) as ReadonlyArray<{ readonly name: string }>).map(({ name }) => name)
    const initContainerStatuses = names.map((name) => ({
      name,
      image: "",
      imageID: "",
      ready: true,
      restartCount: 0,
      state: { terminated: { exitCode: 0 } }
    }))
    yield* api.patch(Objects.pods, namespace, metadata.name, { status: { initContainerStatuses } }, "status")
  }
})

/** The operator takes the restored claims for the Cluster's, and runs no Job that would write to them. */
const verifyAdopted = Effect.fnUntraced(function* (place: Place) {
  const { api } = yield* Stand
  const { name, namespace } = place
  const claim = yield* api.get(Objects.persistentVolumeClaims, namespace, `${name}-1`)
  yield* finishInitContainers(place)
  yield* provision(place)
  const cluster = yield* api.get(Objects.clusters, namespace, name)
  yield* until(
    `the operator adopts PVC ${namespace}/${name}-1 and makes a Pod for it`,
    "30 seconds",
    Effect.gen(function* () {
      const { metadata } = yield* api.get(Objects.persistentVolumeClaims, namespace, `${name}-1`)
      const pod = yield* api.find(Objects.pods, namespace, `${name}-1`)
      const isOwned = metadata.ownerReferences?.some(({ uid }) => uid === cluster.metadata.uid)
      const isNew = pod?.metadata.ownerReferences?.some(({ uid }) => uid === cluster.metadata.uid)
      if (isOwned && isNew && metadata.uid === claim.metadata.uid) return true
      const { status } = yield* api.get(Objects.clusters, namespace, name)
      return yield* Effect.fail({
        message: `PVC ${isOwned ? "adopted" : "orphaned"}, Pod ${pod === undefined ? "missing" : isNew ? "made anew" : "orphaned"}, Cluster phase ${status?.phase ?? ""} (${status?.phaseReason ?? ""})`
      })
    })
  )
  yield* Verify.equal(
    `the Jobs of ${name}`,
    (yield* jobsOf(place)).map(({ metadata }) => metadata.name),
    []
  )
})

/** The names that Velero says it created. */
const broughtBack = Effect.fnUntraced(function* (restore: string) {
  const { velero } = yield* Stand
  const described = yield* velero("restore", "describe", restore, "--details")
  return new Set(
    described.split("\n").flatMap((line) => {
      const [, name] = /^\s+- (\S+)\(created\)$/.exec(line) ?? []
      return name === undefined ? [] : [name]
    })
  )
})

export const volumesOnly: Scenario = {
  name: "volumes-only",
  expected:
    "without an archive, or where the user says so, nothing is left out: the operator adopts the claims, without a Job, with old statuses (from Velero 1.16) or without",
  core: true,
  run: Effect.gen(function* () {
    const { api, veleroVersion } = yield* Stand
    yield* create
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    const before = yield* api.get(Objects.clusters, namespace, ledger.name)
    let destination: string | undefined
    const restores = restoresStatuses(veleroVersion()) ? [[], ["--status-include-resources=*"]] : [[]]
    for (const flags of restores) {
      yield* Namespace.remove(namespace)
      const restore = yield* Velero.restore(backup, ...flags)
      yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
      const created = yield* broughtBack(restore.metadata.name)
      for (const { name } of [ledger, orders]) {
        for (const wanted of [`${name}-1`, `${name}-rw`]) {
          yield* Verify.that(`Velero restores ${namespace}/${wanted}`, created.has(`${namespace}/${wanted}`))
        }
        yield* Verify.attempt(verifyAdopted({ namespace, name }))
      }
      const { spec } = yield* api.get(Objects.clusters, namespace, ledger.name)
      yield* Verify.equal("the spec of ledger", spec, before.spec)
      destination = yield* Recovery.destinationOf(orders)
      yield* Verify.that("orders archives under a new name", destination !== "orders-v1", destination)
    }
    return `both run on their claims, ${restores.length === 1 ? `without old statuses: ${ignoresRestoreStatus}` : "with old statuses too"}; orders archives under ${destination}`
  })
}
