/** Backups that take less than a namespace: by label, and of Clusters alone. What a recovery needs is in them all the same. */
import * as Effect from "effect/Effect"
import { storeName } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const recovers = (namespace: string, ...flags: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { api } = yield* Stand
    yield* Shop.create(namespace)
    yield* api.patch(Objects.clusters, namespace, Shop.cluster, { metadata: { labels: { app: "shop" } } })
    // Nobody's: it must not come along.
    yield* api.apply(Objects.configMaps, { metadata: { namespace, name: "settings" }, data: { colour: "blue" } })
    const app = yield* api.get(Objects.secrets, namespace, `${Shop.cluster}-app`)
    const backup = yield* Velero.backUp([namespace], ...flags)
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Verify.equal("its warnings", backup.status?.warnings ?? 0, 0)
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    yield* Verify.attempt(Recovery.verify({ namespace, name: Shop.cluster }, Shop.source))
    const found = yield* Effect.all({
      store: api.find(Objects.objectStores, namespace, storeName),
      credentials: api.find(Objects.secrets, namespace, storeName),
      schedule: api.find(Objects.scheduledBackups, namespace, Shop.schedule)
    })
    for (const [what, object] of Object.entries(found)) yield* Verify.that(`the ${what} is there`, object !== undefined)
    const settings = yield* api.find(Objects.configMaps, namespace, "settings")
    yield* Verify.that("nothing else came along", settings === undefined)
    const restored = yield* api.get(Objects.secrets, namespace, `${Shop.cluster}-app`)
    yield* Verify.equal("the application's password", restored.data?.["password"], app.data?.["password"])
  })

export const chosen: Scenario = {
  name: "chosen",
  expected:
    "a backup by label, and one of Clusters alone, recover: store, credentials, schedule and passwords are in them",
  core: true,
  run: Effect.gen(function* () {
    yield* recovers("by-label", "--selector", "app=shop")
    yield* recovers("clusters-only", "--include-resources", "clusters.postgresql.cnpg.io")
    return "both recover, with the old password"
  })
}
