/** Every form of a recovery target: the operator's webhooks take it, and the operator begins that recovery. */
import * as Effect from "effect/Effect"
import { createNamespace } from "../Cluster.ts"
import type { RecoveryTarget } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const place = { namespace: "forms", name: Shop.cluster }
const backupID = Shop.source.backupId ?? ""
const longest = "ü".repeat(31)

/** What the operator is to be told; `undefined` where that is not known beforehand. */
const forms: Readonly<Record<string, RecoveryTarget | undefined>> = {
  latest: { backupID },
  backup: { backupID, targetImmediate: true },
  "velero-backup": undefined,
  "2026-11-10T01:00:00.5+01:00": { targetTime: "2026-11-10T00:00:00.5Z" },
  "2026-11-10T00:00:00.123456Z timeline:4294967295": {
    targetTime: "2026-11-10T00:00:00.123456Z",
    targetTLI: "4294967295"
  },
  "lsn:1F/ABCDEF01": { targetLSN: "1F/ABCDEF01" },
  "xid:4294967295 timeline:latest": { backupID, targetXID: "4294967295", targetTLI: "latest" },
  [`name:${longest}`]: { backupID, targetName: longest },
  "timeline:2": { backupID, targetTLI: "2" }
}

export const targetForms: Scenario = {
  name: "target-forms",
  expected: "the operator takes each form of a recovery target, and begins that recovery",
  core: true,
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* createNamespace(place.namespace)
    yield* Shop.createArchived(place, Shop.source)
    const backup = yield* Velero.backUp([place.namespace])
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    const stored = (yield* Velero.download(backup)).find(Objects.clusters, place.name, place.namespace)
    const storedAt = stored?.metadata.annotations?.["velero-cnpg/stored-at"] ?? ""
    const atBackup: RecoveryTarget = { backupID, targetTime: storedAt }
    for (const [index, [target, told = atBackup]] of Object.entries(forms).entries()) {
      const namespace = `${place.namespace}-${index}`
      const annotations = { "velero-cnpg/recovery-target": target }
      const restore = yield* Velero.restoreAnnotated(backup, annotations, { [place.namespace]: namespace })
      yield* Verify.equal(`the Velero restore to ${target}`, Velero.outcome(restore), "Completed")
      const cluster = yield* Verify.attempt(api.get(Objects.clusters, namespace, place.name))
      yield* Verify.equal(
        `what the operator is told of ${target}`,
        cluster?.spec.bootstrap?.recovery?.recoveryTarget,
        told
      )
      yield* Verify.attempt(Recovery.recoveryJob({ namespace, name: place.name }))
    }
    return `${Object.keys(forms).length} forms, each with its recovery Job`
  })
}
