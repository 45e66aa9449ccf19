/** A restore meets the Cluster that it would restore, alive: the live database wins, whatever `existingResourcePolicy` says. */
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import { archived, createCluster, createNamespace } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { Resource } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

/** What makes a database what it is; Velero may add labels to any of it. */
const essentials = [
  Objects.clusters,
  Objects.persistentVolumeClaims,
  Objects.pods,
  Objects.services,
  Objects.jobs,
  Objects.secrets,
  Objects.configMaps,
  Objects.leases
] as ReadonlyArray<Resource<{ readonly spec?: unknown; readonly data?: unknown }>>

/** Of each object of a live database: which one it is, what it says, and the annotations of the pack and of the operator. */
const essence = Effect.fnUntraced(function* (namespace: string) {
  const { api } = yield* Stand
  const lists = yield* Effect.forEach(essentials, (resource) =>
    Effect.map(api.list(resource, namespace), (objects) =>
      objects.map(({ data, metadata, spec }): [string, string] => {
        const annotations = Object.entries(metadata.annotations ?? {}).filter(([key]) =>
          /^(velero-cnpg|cnpg\.io)\//.test(key)
        )
        return [`${resource.kind} ${metadata.name}`, JSON.stringify({ uid: metadata.uid, annotations, spec, data })]
      })
    )
  )
  return new Map(lists.flat())
})

const policies = ["none", "update"] as const

/** Restores a backup on top of what lives, by each policy; nothing of the database changes. */
const verifyNothingChanges = Effect.fnUntraced(function* (
  { namespace }: Place,
  backup: Effect.Success<ReturnType<typeof Velero.backUp>>,
  old: ReadonlyArray<string>
) {
  for (const policy of policies) {
    yield* Namespace.untilQuiet(namespace)
    const before = yield* essence(namespace)
    const restore = yield* Velero.restore(backup, `--existing-resource-policy=${policy}`)
    yield* Verify.equal(`the Velero restore with policy ${policy}`, Velero.outcome(restore), "Completed")
    yield* Namespace.untilQuiet(namespace)
    const changed = Namespace.differences(before, yield* essence(namespace))
    yield* Verify.equal(`what policy ${policy} changed`, changed, [])
    yield* Recovery.verifyNoOldBackups(namespace, old)
  }
})

/** On top of a Cluster that was restored before. */
export const onTopOfRestored: Scenario = {
  name: "on-top-of-restored",
  expected: "with policies none and update nothing of the recovered database changes",
  run: Effect.gen(function* () {
    const place = { namespace: "on-top", name: Shop.cluster }
    const old = yield* Shop.create(place.namespace)
    const backup = yield* Velero.backUp([place.namespace])
    yield* Namespace.remove(place.namespace)
    yield* Velero.restore(backup)
    const destination = yield* Verify.attempt(Recovery.verify(place, Shop.source))
    yield* verifyNothingChanges(place, backup, old)
    yield* Verify.equal("the server name that it archives under", yield* Recovery.destinationOf(place), destination)
    return `nothing changes; it archives under ${destination} before and after`
  })
}

/** On top of the very Cluster that was backed up. */
export const onTopOfLiving: Scenario = {
  name: "on-top-of-living",
  expected: "with policies none and update nothing of the living database changes, and no ConfigMap is written",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    const place = { namespace: "first-life", name: Shop.cluster }
    yield* Shop.create(place.namespace)
    const backup = yield* Velero.backUp([place.namespace])
    yield* verifyNothingChanges(place, backup, [])
    const configMap = yield* api.find(Objects.configMaps, place.namespace, "cnpg-velero-override")
    yield* Verify.that("there is no ConfigMap", configMap === undefined)
    return `nothing changes; it archives under ${yield* Recovery.destinationOf(place)} as before`
  })
}

/** On top of a Cluster that was made anew under the same name, with certificates and passwords of its own. */
export const onTopOfAnotherLife: Scenario = {
  name: "on-top-of-another-life",
  expected: "with policies none and update the new database keeps its archive, certificates, passwords and its primary",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    const place = { namespace: "another-life", name: Shop.cluster }
    yield* Shop.create(place.namespace)
    // Stopped by its users: the next life is not.
    yield* api.patch(Objects.clusters, place.namespace, place.name, {
      metadata: { annotations: { "cnpg.io/fencedInstances": '["*"]' } }
    })
    // As its instance would: to the next life this is a primary that does not answer.
    if (yield* api.find(Objects.leases, place.namespace, place.name)) {
      yield* api.patch(Objects.leases, place.namespace, place.name, { spec: { holderIdentity: "orders-7" } })
    }
    const backup = yield* Velero.backUp([place.namespace])
    yield* Namespace.remove(place.namespace)
    yield* createNamespace(place.namespace)
    yield* createCluster(place, archived(place.name, "orders-v9"))
    yield* verifyNothingChanges(place, backup, [])
    return `nothing changes; it archives under ${yield* Recovery.destinationOf(place)} as before`
  })
}
