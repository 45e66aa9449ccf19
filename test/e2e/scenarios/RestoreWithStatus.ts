/** The user asks Velero to restore statuses: that of a Cluster describes instances that are no more. */
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { ignoresRestoreStatus, restoresStatuses } from "../Scenario.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const place = { namespace: "with-status", name: Shop.cluster }

export const restoreWithStatus: Scenario = {
  name: "restore-with-status",
  expected: "with --status-include-resources the Cluster recovers all the same: its old status is not restored",
  core: true,
  except: ({ velero }) => (restoresStatuses(velero) ? undefined : ignoresRestoreStatus),
  run: Effect.gen(function* () {
    yield* Shop.create(place.namespace)
    const backup = yield* Velero.backUp([place.namespace])
    yield* Namespace.remove(place.namespace)
    const restore = yield* Velero.restore(backup, "--status-include-resources=*")
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destination = yield* Recovery.verify(place, Shop.source)
    return `recovers from ${Shop.source.serverName}, archives under ${destination}`
  })
}
