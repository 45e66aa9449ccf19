/** Clusters that say no server name: the Barman Cloud plugin takes the Cluster's name. */
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import { archived, barmanCloud, createBackup, createCluster, createNamespace, storeName } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "default-name"
const [orders, billing]: readonly [Place, Place] = [
  { namespace, name: "orders" },
  { namespace, name: "billing" }
]

/** What `billing` was recovered from itself, by its owner. */
const origin = {
  name: "origin",
  plugin: { name: barmanCloud, parameters: { barmanObjectName: storeName, serverName: "billing-v0" } }
}

export const defaultServerName: Scenario = {
  name: "default-server-name",
  expected: "recovers from the Cluster's name, also where the Cluster was itself recovered from another one",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* createNamespace(namespace)
    const sources = [
      { place: orders, source: Shop.sourceOf("orders", "orders", "20261104T020001") },
      { place: billing, source: Shop.sourceOf("billing", "billing", "20261104T030001") }
    ]
    let before: unknown
    for (const { place, source } of sources) {
      const cluster = yield* createCluster(place, {
        ...archived(place.name),
        ...(place === billing
          ? {
              bootstrap: { recovery: { ...source.application, source: origin.name } },
              externalClusters: [origin]
            }
          : {})
      })
      if (place === billing) before = cluster.spec.externalClusters
      yield* createBackup(cluster, { name: `${place.name}-newest`, backupId: source.backupId ?? "" })
    }
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destinations = yield* Effect.forEach(sources, ({ place, source }) =>
      Verify.attempt(Recovery.verify(place, source))
    )
    const { spec } = yield* api.get(Objects.clusters, namespace, billing.name)
    const others = spec.externalClusters?.filter(({ name }) => name !== "clusterBackup")
    yield* Verify.equal<unknown>("the external clusters of its first recovery", others, before)
    return `from orders and billing; they archive under ${destinations.join(" and ")}`
  })
}
