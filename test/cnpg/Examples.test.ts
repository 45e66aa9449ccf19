/** A whole namespace, through every action as Velero would call it: what is left out, what changes, what stays. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as BackupRestore from "../../src/cnpg/BackupRestore.ts"
import * as ClusterBackup from "../../src/cnpg/ClusterBackup.ts"
import * as ClusterRestore from "../../src/cnpg/ClusterRestore.ts"
import * as DeploymentRestore from "../../src/cnpg/DeploymentRestore.ts"
import * as OwnedResourceBackup from "../../src/cnpg/OwnedResourceBackup.ts"
import * as OwnedResourceRestore from "../../src/cnpg/OwnedResourceRestore.ts"
import * as PoolerPodRestore from "../../src/cnpg/PoolerPodRestore.ts"
import * as PoolerResourceRestore from "../../src/cnpg/PoolerResourceRestore.ts"
import * as SecretRestore from "../../src/cnpg/SecretRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import type { Restore } from "../../src/velero/Restore.ts"
import {
  itIs,
  legacy,
  makeWorld,
  namespace,
  restoreOf,
  shop,
  startProcess,
  stripped,
  textOf,
  type World
} from "./World.ts"

/** Velero's names of the kinds in the examples. */
const resourceOf: Readonly<Record<string, string>> = {
  Cluster: "clusters.postgresql.cnpg.io",
  Backup: "backups.postgresql.cnpg.io",
  PersistentVolumeClaim: "persistentvolumeclaims",
  Pod: "pods",
  Service: "services",
  Endpoints: "endpoints",
  EndpointSlice: "endpointslices.discovery.k8s.io",
  PodDisruptionBudget: "poddisruptionbudgets.policy",
  Secret: "secrets",
  Deployment: "deployments.apps",
  Role: "roles.rbac.authorization.k8s.io",
  RoleBinding: "rolebindings.rbac.authorization.k8s.io"
}

interface Selecting {
  readonly selector: { readonly includedResources?: ReadonlyArray<string>; readonly labelSelector?: string }
}

/** As Velero selects: by resource (where `deployments` means `deployments.apps`) and by the presence of a label. */
const isFor = ({ selector }: Selecting, { kind, metadata }: KubernetesObject): boolean => {
  const resource = resourceOf[kind ?? ""] ?? ""
  const { includedResources = [], labelSelector } = selector
  return (
    resource !== "" &&
    includedResources.some((included) => included === resource || `${included}.apps` === resource) &&
    (labelSelector === undefined || metadata?.labels?.[labelSelector] !== undefined)
  )
}

const backupActions = [ClusterBackup.action, OwnedResourceBackup.action]
const restoreActions = [
  ClusterRestore.action,
  DeploymentRestore.action,
  OwnedResourceRestore.action,
  SecretRestore.action,
  PoolerResourceRestore.action,
  PoolerPodRestore.action,
  BackupRestore.action
]

/** Everything backed up in one process, restored in another; what became of each item. */
const roundTrip = Effect.fnUntraced(function* (
  objects: ReadonlyArray<KubernetesObject>,
  target: World,
  restore: Restore
) {
  const backing = yield* startProcess(makeWorld(objects))
  const restoring = yield* startProcess(target)
  const changed: Array<string> = []
  const skipped: Array<string> = []
  const lines: Array<string> = []
  for (const object of objects) {
    const name = `${object.kind} ${object.metadata?.name}`
    let stored = textOf(object)
    for (const action of backupActions.filter((each) => isFor(each, object))) {
      stored = (yield* backing.backUp(action, stored)).text
    }
    const before = stripped(stored)
    let item = before
    let isSkipped = false
    for (const action of restoreActions.filter((each) => isFor(each, object))) {
      const outcome = yield* restoring.restore(action, item, restore, stored)
      lines.push(...outcome.lines.map(({ level }) => level))
      item = outcome.text
      isSkipped = outcome.skip
      if (isSkipped) break
    }
    if (isSkipped) skipped.push(name)
    else if (item !== before) changed.push(name)
  }
  return { changed, skipped, warnings: lines.filter((level) => level === "Warn").length }
})

const owned = [
  "PersistentVolumeClaim orders-1",
  "PersistentVolumeClaim orders-2",
  "PersistentVolumeClaim orders-3",
  "Pod orders-1",
  "Pod orders-2",
  "Pod orders-3",
  "Service orders-rw",
  "Endpoints orders-rw",
  "EndpointSlice orders-rw-sr9rj",
  "Service orders-r",
  "Service orders-ro",
  "PodDisruptionBudget orders",
  "PodDisruptionBudget orders-primary"
]
const ofPooler = ["Deployment", "Service", "Role", "RoleBinding"].map((kind) => `${kind} orders-pooler-rw`)
const backups = shop.flatMap(({ kind, metadata }) => (kind === "Backup" ? [`Backup ${metadata?.name}`] : []))

const sorted = (names: ReadonlyArray<string>) => names.toSorted()

describe("shop", () => {
  it.effect("into another namespace: the operator builds anew, the application finds the new database", () =>
    Effect.gen(function* () {
      yield* itIs("2026-11-19T09:30:00Z")
      const target = makeWorld([...shop, namespace("shop-restored")])
      const { changed, skipped, warnings } = yield* roundTrip(shop, target, restoreOf("r", { shop: "shop-restored" }))
      assert.deepStrictEqual(sorted(skipped), sorted([...owned, ...ofPooler, ...backups]))
      assert.deepStrictEqual(sorted(changed), [
        "Cluster orders",
        "Deployment shop-web",
        "Secret orders-app",
        "Secret orders-superuser"
      ])
      assert.strictEqual(warnings, 0)
      assert.deepStrictEqual(
        target.configMaps().map(({ metadata }) => metadata?.namespace),
        ["shop-restored"]
      )
    })
  )

  it.effect("in place, from the volumes: what holds the data stays, and so do the Secrets", () =>
    Effect.gen(function* () {
      const wish = restoreOf("r", {}, { "velero-cnpg/recover-from": "volumes" })
      const { changed, skipped } = yield* roundTrip(shop, makeWorld([namespace("shop")]), wish)
      assert.deepStrictEqual(sorted(skipped), sorted([...ofPooler, ...backups]))
      assert.deepStrictEqual(sorted(changed), ["Cluster orders", "Deployment shop-web"])
    })
  )

  it.effect("without completed backups: nothing of the Cluster's is left out", () =>
    Effect.gen(function* () {
      const unarchived = shop.filter(({ kind }) => kind !== "Backup")
      const { skipped } = yield* roundTrip(unarchived, makeWorld([namespace("shop")]), restoreOf("r"))
      assert.deepStrictEqual(sorted(skipped), sorted(ofPooler))
    })
  )
})

describe("billing", () => {
  it.effect("in place: the volume of the Cluster without archive stays, that Cluster is as it was", () =>
    Effect.gen(function* () {
      const { changed, skipped } = yield* roundTrip(legacy, makeWorld([namespace("billing")]), restoreOf("r"))
      assert.deepStrictEqual(sorted(skipped), [
        "Backup invoices-before-audit",
        "Backup invoices-daily-20261119030000",
        "PersistentVolumeClaim invoices-1"
      ])
      assert.deepStrictEqual(sorted(changed), ["Cluster invoices", "Cluster ledger-eu"])
    })
  )
})
