/** Two Clusters in each of two namespaces, with the same two names, in one backup and one restore. */
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import { createNamespace } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespaces = ["east", "west"]

const clusters = namespaces.flatMap((namespace, row) =>
  ["orders", "billing"].map((name, column) => {
    const place: Place = { namespace, name }
    return { place, source: Shop.sourceOf(name, `${name}-${namespace}`, `2026110${1 + 2 * row + column}T020001`) }
  })
)

export const fourClusters: Scenario = {
  name: "four-clusters",
  expected: "each recovers from its own source, and the four server names they archive under are distinct",
  run: Effect.gen(function* () {
    yield* Effect.forEach(namespaces, createNamespace)
    yield* Effect.forEach(clusters, ({ place, source }) => Shop.createArchived(place, source), {
      concurrency: "unbounded"
    })
    const backup = yield* Velero.backUp(namespaces)
    yield* Effect.forEach(namespaces, Namespace.remove, { concurrency: "unbounded" })
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destinations = yield* Effect.forEach(clusters, ({ place, source }) =>
      Verify.attempt(Recovery.verify(place, source))
    )
    yield* Verify.equal("the number of distinct server names", new Set(destinations).size, clusters.length)
    return `each from its own; they archive under ${destinations.join(", ")}`
  })
}
