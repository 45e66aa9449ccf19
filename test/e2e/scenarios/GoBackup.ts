/**
 * From the Go plugin: Velero has it, and backs up; then it has this one, and restores.
 *
 * The Go plugin's module cannot be had from Go's module proxy, so nobody builds it here: its executable has to be given.
 */
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import * as Objects from "../Objects.ts"
import * as Recovery from "../Recovery.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "go-backup"
const copy = "go-backup-copy"

/** It takes the CNPG Backup that was created last, which is not the one that ended last. */
const source = { ...Shop.source, backupId: "20261103T020001" }

const withGoPlugin = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Stand, ({ given: { goPlugin }, withPlugins }) =>
    withPlugins(goPlugin === undefined ? [] : [goPlugin])(effect)
  )

export const goBackup: Scenario = {
  name: "go-backup",
  expected:
    "a backup that the Go plugin made recovers with this one, in place and beside: from the backup that it recorded, with what the operator had built left out",
  core: true,
  except: (_, { goPlugin }) =>
    goPlugin === undefined ? "its executable was not given: --go-plugin FILE, built from its repository" : undefined,
  run: Effect.gen(function* () {
    const { velero } = yield* Stand
    yield* Shop.create(namespace)
    const { backup, plugins } = yield* withGoPlugin(
      Effect.all({ plugins: velero("plugin", "get"), backup: Velero.backUp([namespace]) })
    )
    yield* Verify.that("the Go plugin alone is there", !plugins.includes("velero-cnpg/"), plugins)
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    const contents = yield* Velero.download(backup)
    const annotationsOf = <T>(resource: Objects.Resource<T>, name: string) =>
      Object.entries(contents.find(resource, name, namespace)?.metadata.annotations ?? {}).filter(([key]) =>
        key.startsWith("velero-cnpg/")
      )
    yield* Verify.equal(
      "what the Go plugin recorded",
      Object.fromEntries(annotationsOf(Objects.clusters, Shop.cluster)),
      { "velero-cnpg/serverName": source.serverName, "velero-cnpg/current-backup-id": source.backupId }
    )
    yield* Verify.equal(
      "what it recorded of a volume claim",
      annotationsOf(Objects.persistentVolumeClaims, `${Shop.cluster}-1`),
      []
    )
    yield* Verify.that(
      "the plugins of this pack are there again",
      (yield* velero("plugin", "get")).includes("velero-cnpg/owned-resource-restore-plugin")
    )
    const rebuild = { "velero-cnpg/rebuild-unmarked": "true" }
    const beside = yield* Velero.restoreAnnotated(backup, rebuild, { [namespace]: copy })
    yield* Verify.equal("the Velero restore beside the living", Velero.outcome(beside), "Completed")
    yield* Verify.attempt(Recovery.verify({ namespace: copy, name: Shop.cluster }, source))
    yield* Namespace.remove(namespace)
    const restore = yield* Velero.restoreAnnotated(backup, rebuild)
    yield* Verify.equal("the Velero restore in place", Velero.outcome(restore), "Completed")
    const destination = yield* Recovery.verify({ namespace, name: Shop.cluster }, source)
    return `recovers from ${source.serverName}, backup ${source.backupId}; archives under ${destination}`
  })
}
