/** The namespace is lost and restored under another name, as in a disaster recovery beside nothing. */
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import { verifySecrets } from "./MappedBesideTheLiving.ts"
import * as Shop from "./Shop.ts"

const [lost, found] = ["lost", "found"]

export const mappedOldGone: Scenario = {
  name: "mapped-old-gone",
  expected: "recovers from orders-v1 in the new namespace; nothing is written to the old one, which does not exist",
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    const old = yield* Shop.create(lost)
    const backup = yield* Velero.backUp([lost])
    yield* Namespace.remove(lost)
    const restore = yield* Velero.restore(backup, Velero.mapping({ [lost]: found }))
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destination = yield* Verify.attempt(Recovery.verify({ namespace: found, name: Shop.cluster }, Shop.source))
    yield* Recovery.verifyNoOldBackups(found, old)
    yield* verifySecrets(found, lost)
    const again = yield* api.find(Objects.namespaces, "", lost)
    yield* Verify.that("the old namespace stays away", again === undefined)
    return `recovers from ${Shop.source.serverName} in ${found}, archives under ${destination}; ${lost} stays away`
  })
}
