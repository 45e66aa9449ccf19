/** A restored Cluster is backed up, lost and restored again. */
import * as Effect from "effect/Effect"
import { createBackup } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const place = { namespace: "generations", name: Shop.cluster }
const secondBackupId = "20261105T020001"

export const secondGeneration: Scenario = {
  name: "second-generation",
  expected: "the third life recovers from the second's server name and backup, never from the first's",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* Shop.create(place.namespace)
    const first = yield* Velero.backUp([place.namespace])
    yield* Namespace.remove(place.namespace)
    yield* Velero.restore(first)
    const second = yield* Recovery.verify(place, Shop.source)

    const cluster = yield* api.get(Objects.clusters, place.namespace, place.name)
    yield* createBackup(cluster, { name: "orders-second", backupId: secondBackupId })
    const backup = yield* Velero.backUp([place.namespace])
    yield* Verify.equal("the second Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(place.namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the second Velero restore", Velero.outcome(restore), "Completed")
    const third = yield* Recovery.verify(place, Shop.sourceOf(place.name, second, secondBackupId))
    yield* Verify.that(
      "the three server names are distinct",
      new Set([Shop.source.serverName, second, third]).size === 3
    )
    return `${Shop.source.serverName} -> ${second} -> ${third}, from backup ${secondBackupId}`
  })
}
