import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Processes from "./Processes.ts"
import * as Stand from "./Stand.ts"
import * as C from "./Cluster.ts"
import * as N from "./Namespace.ts"
import * as V from "./Velero.ts"
import * as O from "./Objects.ts"
import * as Shop from "./scenarios/Shop.ts"
const program = Effect.gen(function* () {
  const stand = yield* Stand.Stand
  yield* stand.useOperator("1.30.0")
  yield* stand.useVelero({ version: "1.18.3", plugins: ["/tmp/e2ex/velero-plugin-cnpg"] })
  const show = (ns: string) => Effect.gen(function* () {
    const c = yield* stand.api.get(O.clusters, ns, "orders")
    console.log(ns, "phase", c.status?.phase, "|", c.status?.phaseReason, JSON.stringify(c.spec.bootstrap), JSON.stringify(c.spec.externalClusters), JSON.stringify(c.metadata.annotations))
    console.log(yield* stand.kubectl("-n", ns, "get", "job,pod,pvc,backups.postgresql.cnpg.io", "--no-headers"))
  })
  // 1. second life without a backup of its own
  const place = { namespace: "gap", name: "orders" }
  yield* Shop.create("gap")
  const b1 = yield* V.backUp(["gap"])
  yield* N.remove("gap")
  yield* V.restore(b1)
  yield* C.bringUp(place)
  yield* show("gap")
  const b2 = yield* V.backUp(["gap"])
  console.log("second backup", V.outcome(b2), b2.status?.warnings)
  yield* N.remove("gap")
  const r2 = yield* V.restore(b2)
  console.log("second restore", V.outcome(r2))
  yield* Effect.sleep("6 seconds")
  yield* show("gap")
  // 2. never backed up at all, archive only
  yield* C.createNamespace("never")
  yield* C.createCluster({ namespace: "never", name: "orders" }, C.archived("orders", "never-v1"))
  const b3 = yield* V.backUp(["never"])
  console.log("never", V.outcome(b3), b3.status?.warnings)
  yield* N.remove("never")
  console.log(V.outcome(yield* V.restore(b3)))
  yield* Effect.sleep("6 seconds")
  yield* show("never")
  // 3. three instances, WAL storage, tablespace
  yield* C.createNamespace("big")
  const bigSpec = { ...C.archived("orders", "big-v1"), instances: 3, walStorage: { size: "1Gi" }, tablespaces: [{ name: "ts1", storage: { size: "1Gi" } }], managed: { services: { additional: [{ selectorType: "rw", serviceTemplate: { metadata: { name: "orders-lb" }, spec: { type: "LoadBalancer" } } }] } } }
  const big = yield* C.createCluster({ namespace: "big", name: "orders" }, bigSpec)
  yield* C.createBackup(big, { name: "orders-newest", backupId: "20261104T020001" })
  console.log(yield* stand.kubectl("-n", "big", "get", "svc,pvc", "--no-headers"))
  const b4 = yield* V.backUp(["big"])
  yield* N.remove("big")
  console.log(V.outcome(yield* V.restore(b4)))
  yield* C.bringUp({ namespace: "big", name: "orders" })
  yield* show("big")
  console.log(yield* stand.kubectl("-n", "big", "get", "svc", "--no-headers"))
})
NodeRuntime.runMain(program.pipe(Effect.provide(Stand.layer.pipe(Layer.provideMerge(Processes.layer)))))
