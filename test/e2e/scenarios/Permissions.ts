/** Rights that are missing. That those of `deploy/rbac.yaml` suffice is shown by every other scenario: the plugin has no others. */
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import * as Recovery from "../Recovery.ts"
import * as Rights from "../Rights.ts"
import type { Scenario } from "../Scenario.ts"
import { minor } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "no-rights"

export const withoutRights: Scenario = {
  name: "without-rights",
  expected: "where CNPG Backups may not be listed, the backup is Completed with one warning that names the right",
  core: true,
  except: ({ velero }) =>
    minor(velero) < 15
      ? "Velero before 1.15 takes its own actions' user from the plugins' environment: on the stand the plugin cannot have less"
      : undefined,
  run: Effect.gen(function* () {
    const { velero } = yield* Stand
    yield* Shop.create(namespace)
    const backup = yield* Rights.withoutBackups(Velero.backUp([namespace]))
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    yield* Verify.equal("its warnings", backup.status?.warnings ?? 0, 1)
    const description = yield* velero("backup", "describe", backup.metadata.name)
    yield* Verify.that(
      "velero backup describe names the right",
      /Warnings:[^]*orders[^]*Grant the verb list on backups\.postgresql\.cnpg\.io/.test(description),
      description
    )
    // With the right it is a backup like any other.
    const next = yield* Velero.backUp([namespace])
    yield* Verify.equal("the warnings of the next backup", next.status?.warnings ?? 0, 0)
    yield* Namespace.remove(namespace)
    yield* Velero.restore(next)
    yield* Recovery.verify({ namespace, name: Shop.cluster }, Shop.source)
    return "one warning: Grant the verb list on backups.postgresql.cnpg.io to Velero's service account; the next backup recovers"
  })
}
