/** A Pooler and everything that makes it work: the operator's objects, and what Kubernetes' controllers made of those. */
import * as Effect from "effect/Effect"
import type { Place } from "../Cluster.ts"
import * as Namespace from "../Namespace.ts"
import type { Anything, Resource } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as OperatorLog from "../OperatorLog.ts"
import { until } from "../Poll.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

// Neither name is a part of the other.
const [namespace, copy] = ["pooled", "beside-pool"]

/** The Pooler's name, and that of everything that the operator makes for it. */
const name = "orders-pooler-rw"

/** What the operator makes for a Pooler. */
const managed = [
  Objects.deployments,
  Objects.services,
  Objects.roles,
  Objects.roleBindings,
  Objects.serviceAccounts
] as ReadonlyArray<Resource<Anything>>

/** What Kubernetes makes of the Deployment and the Service: each with the label by which it is found. */
const derived: ReadonlyArray<readonly [resource: Resource<Anything>, selector: string]> = [
  [Objects.replicaSets, `cnpg.io/poolerName=${name}`],
  [Objects.pods, `cnpg.io/poolerName=${name}`],
  [Objects.endpointSlices, `kubernetes.io/service-name=${name}`]
]

/** Waits until a namespace's Pooler has all that it needs; if that does not happen, what is missing says why. */
const works = Effect.fnUntraced(function* (namespace: string) {
  const { api } = yield* Stand
  return yield* until(
    `Pooler ${namespace}/${name} has what it needs`,
    "60 seconds",
    Effect.gen(function* () {
      const pooler = yield* api.get(Objects.poolers, namespace, name)
      const missing: Array<string> = []
      for (const resource of managed) {
        const object = yield* api.find(resource, namespace, name)
        const owners = object?.metadata.ownerReferences ?? []
        if (!owners.some(({ uid }) => uid === pooler.metadata.uid)) {
          missing.push(object === undefined ? `no ${resource.kind}` : `${resource.kind} without its owner`)
        }
      }
      for (const [resource, selector] of derived) {
        if ((yield* api.list(resource, namespace, selector)).length === 0) missing.push(`no ${resource.kind}`)
      }
      if (pooler.status?.["instances"] !== 2) missing.push(`status ${JSON.stringify(pooler.status)}`)
      return missing.length === 0 ? pooler : yield* Effect.fail({ message: missing.join(", ") })
    })
  )
})

const create = Effect.fnUntraced(function* ({ name: cluster, namespace }: Place) {
  const { api } = yield* Stand
  yield* api.apply(Objects.poolers, {
    metadata: { namespace, name },
    spec: { cluster: { name: cluster }, instances: 2, type: "rw", pgbouncer: { poolMode: "transaction" } }
  })
  yield* works(namespace)
})

/** Nothing that Velero brought back is part of the Pooler, and the operator has nothing to complain of. */
const verify = Effect.fnUntraced(function* (namespace: string, logged: number) {
  const { api } = yield* Stand
  const pooler = yield* Verify.attempt(works(namespace))
  for (const resource of managed) {
    const object = yield* api.find(resource, namespace, name)
    const isRestored = object?.metadata.labels?.["velero.io/restore-name"] !== undefined
    yield* Verify.that(`${resource.kind} ${name} was made anew`, !isRestored, "restored by Velero")
  }
  for (const [resource, selector] of derived) {
    for (const { metadata } of yield* api.list(resource, namespace, selector)) {
      const isRestored = metadata.labels?.["velero.io/restore-name"] !== undefined
      yield* Verify.that(`${resource.kind} ${metadata.name} was made anew`, !isRestored, "restored by Velero")
    }
  }
  const errors = yield* OperatorLog.errorsSince(logged, "Pooler", namespace)
  yield* Verify.equal("errors of the operator with Poolers", errors, [])
  if (pooler === undefined) return
  const warnings = yield* OperatorLog.warningsOn(namespace, pooler.metadata.uid)
  yield* Verify.equal("warnings on the Pooler", warnings, [])
})

export const pooler: Scenario = {
  name: "pooler",
  expected:
    "the operator makes Deployment, Service, Role, RoleBinding and ServiceAccount anew for the Pooler, mapped and in place, and complains of nothing",
  core: true,
  run: Effect.gen(function* () {
    yield* Shop.create(namespace)
    yield* create({ namespace, name: Shop.cluster })
    yield* Namespace.untilQuiet(namespace)
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")

    const logged = yield* OperatorLog.mark
    const mapped = yield* Velero.restore(backup, Velero.mapping({ [namespace]: copy }))
    yield* Verify.equal("the mapped Velero restore", Velero.outcome(mapped), "Completed")
    yield* Verify.attempt(Recovery.verify({ namespace: copy, name: Shop.cluster }, Shop.source))
    yield* verify(copy, logged)

    yield* Namespace.remove(namespace)
    const loggedThen = yield* OperatorLog.mark
    const inPlace = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore in place", Velero.outcome(inPlace), "Completed")
    yield* Verify.attempt(Recovery.verify({ namespace, name: Shop.cluster }, Shop.source))
    yield* verify(namespace, loggedThen)
    return `${managed.length} objects belong to the new Pooler, in both namespaces`
  })
}
