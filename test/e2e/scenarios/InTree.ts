/** Clusters that archive with the operator's own, older means: `spec.backup.barmanObjectStore`. */
import * as Effect from "effect/Effect"
import { createBackup, createCluster, createNamespace, storeConfiguration } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { Source } from "../Recovery.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "in-tree"

/** One says its server name, the other relies on the operator's default: its own name. */
const clusters: ReadonlyArray<{ readonly source: Source; readonly says?: string }> = [
  { source: { ...Shop.sourceOf("orders", "orders-v1", "20261104T020001"), inTree: true }, says: "orders-v1" },
  { source: { ...Shop.sourceOf("billing", "billing", "20261104T030001"), inTree: true } }
]

const nameOf = ({ application }: Source): string => application.database ?? ""

/** As the instance reports a backup by the in-tree method: with its server name, without a plugin's metadata. */
const ofMethod = (serverName: string) => ({
  spec: { method: "barmanObjectStore", pluginConfiguration: undefined },
  status: { method: "barmanObjectStore", serverName, pluginMetadata: undefined }
})

export const inTree: Scenario = {
  name: "in-tree",
  expected:
    "recovers from barmanObjectStore and the recorded in-tree backup, and archives there under a new server name",
  core: true,
  run: Effect.gen(function* () {
    const { s3 } = yield* Stand
    yield* createNamespace(namespace)
    for (const { says, source } of clusters) {
      const name = nameOf(source)
      const cluster = yield* createCluster(
        { namespace, name },
        {
          instances: 1,
          storage: { size: "1Gi" },
          bootstrap: { initdb: source.application },
          backup: {
            barmanObjectStore: {
              ...storeConfiguration((yield* s3).url),
              ...(says === undefined ? {} : { serverName: says })
            }
          }
        }
      )
      yield* createBackup(cluster, {
        name: `${name}-newest`,
        backupId: source.backupId ?? "",
        ...ofMethod(source.serverName)
      })
      // Newer, but it lies under the server name of an earlier life.
      yield* createBackup(cluster, {
        name: `${name}-elsewhere`,
        backupId: "20261105T020001",
        ...ofMethod(`${name}-v0`)
      })
      // Newer, but the plugin made it, when the Cluster still had one.
      yield* createBackup(cluster, { name: `${name}-of-plugin`, backupId: "20261105T030001", paused: true })
    }
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destinations = yield* Effect.forEach(clusters, ({ source }) =>
      Verify.attempt(Recovery.verify({ namespace, name: nameOf(source) }, source))
    )
    return `from ${clusters.map(({ source }) => source.serverName).join(" and ")}; they archive under ${destinations.join(" and ")}`
  })
}
