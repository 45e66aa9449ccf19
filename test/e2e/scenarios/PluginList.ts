/** Every pack in one Velero, which is asked for its plugins. */
import * as Effect from "effect/Effect"
import { packs } from "../Packs.ts"
import type { Scenario } from "../Scenario.ts"
import { minor } from "../Scenario.ts"
import { Stand } from "../Stand.ts"
import * as Verify from "../Verify.ts"

/** Names with their kinds: all of the other packs, and those of the CNPG pack that its users know it by. */
const expected = [
  "example.com/configurable-action BackupItemAction",
  "example.com/custom-backup-action BackupItemAction",
  "example.com/async-backup-action BackupItemActionV2",
  "replicated.com/cnpg-backup-plugin BackupItemActionV2",
  "example.com/custom-delete-action DeleteItemAction",
  "example.com/custom-item-block-action ItemBlockAction",
  "example.com/custom-object-store ObjectStore",
  "velero-filesystem/object-store ObjectStore",
  "example.com/custom-restore-action RestoreItemAction",
  "kyma-project.io/by-label-restore-plugin RestoreItemAction",
  "kyma-project.io/instances-restore-plugin RestoreItemAction",
  "kyma-project.io/knative-kyma-integration-restore-plugin RestoreItemAction",
  "kyma-project.io/nats-channels-restore-plugin RestoreItemAction",
  "kyma-project.io/secrets-restore-plugin RestoreItemAction",
  "replicated.com/cnpg-restore-plugin RestoreItemActionV2",
  "replicated.com/deployment-restore-plugin RestoreItemActionV2",
  "example.com/custom-volume-snapshotter VolumeSnapshotter",
  "velero-filesystem/volume-snapshotter VolumeSnapshotter"
]

/** Velero has kinds of the first version in its list of the second one too, each time as what they are. */
const isListedTwice = (line: string): boolean => / (Backup|Restore)ItemAction$/.test(line)

/** The lines that are left of some when each of others has taken one away. */
const without = (some: ReadonlyArray<string>, others: ReadonlyArray<string>): ReadonlyArray<string> => {
  const left = [...others]
  return some.filter((line) => {
    const index = left.indexOf(line)
    if (index === -1) return true
    left.splice(index, 1)
    return false
  })
}

/** Lines of a table, without its heading; Velero's own plugins are left out. */
const listed = (table: string): ReadonlyArray<string> =>
  table
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/).join(" "))
    .filter((line) => !line.startsWith("velero.io/"))

export const pluginList: Scenario = {
  name: "plugin-list",
  expected: "velero plugin get lists the plugins of four executables by their kinds; item block actions from 1.15 on",
  core: true,
  packs,
  run: Effect.gen(function* () {
    const { velero, veleroVersion } = yield* Stand
    const seen = listed(yield* velero("plugin", "get"))
    const known = expected.filter((line) => minor(veleroVersion()) >= 15 || !line.endsWith(" ItemBlockAction"))
    const named = known.flatMap((line) => (isListedTwice(line) ? [line, line] : [line]))
    yield* Verify.equal("what is not listed", without(named, seen), [])
    const besides = without(seen, named)
    yield* Verify.equal(
      "what is listed besides, but for more of the CNPG pack",
      besides.filter(
        (line) =>
          !/^velero-cnpg\/[a-z-]+-plugin (BackupItemActionV2|RestoreItemActionV2|DeleteItemAction|ItemBlockAction)$/.test(
            line
          )
      ),
      []
    )
    return `${new Set(seen).size} plugins`
  })
}
