/** Everything is backed up, the namespace is lost, everything is restored: the default path, without flags or filters. */
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "in-place"

export const inPlace: Scenario = {
  name: "in-place",
  expected: "the operator recovers orders from orders-v1, archives under a new name; Backups are not run again",
  core: true,
  run: Effect.gen(function* () {
    const old = yield* Shop.create(namespace)
    const backup = yield* Velero.backUp([namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Verify.equal("its warnings", backup.status?.warnings ?? 0, 0)
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restore(backup)
    yield* Verify.equal("the Velero restore", Velero.outcome(restore), "Completed")
    const destination = yield* Verify.attempt(Recovery.verify({ namespace, name: Shop.cluster }, Shop.source))
    yield* Recovery.verifyNoOldBackups(namespace, old)
    yield* Recovery.verifySchedule(namespace, Shop.schedule)
    return `recovers from ${Shop.source.serverName}, backup ${Shop.source.backupId}; archives under ${destination}`
  })
}
