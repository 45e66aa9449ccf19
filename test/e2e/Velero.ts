/** Backups and restores as users make them: with Velero's command line, to their end. */
import * as Crypto from "node:crypto"
import * as Effect from "effect/Effect"
import type { Resource, Saved, VeleroBackup } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import { until } from "./Poll.ts"
import { Stand, veleroNamespace } from "./Stand.ts"

/** Phases that nothing follows. */
const finalPhases = ["Completed", "PartiallyFailed", "Failed", "FailedValidation"]

const finished = Effect.fnUntraced(function* (resource: Resource<VeleroBackup>, name: string) {
  const { api } = yield* Stand
  return yield* until(
    `Velero ${resource.kind} ${name} ends`,
    "2 minutes",
    Effect.map(api.get(resource, veleroNamespace, name), (object) =>
      finalPhases.includes(object.status?.phase ?? "") ? object : undefined
    )
  )
})

const unique = (label: string): string => `${label}-${Crypto.randomBytes(3).toString("hex")}`

/** Backs namespaces up; yields the Velero Backup when it has ended, however that was. */
export const backUp = Effect.fn("backUp")(function* (
  namespaces: ReadonlyArray<string>,
  ...flags: ReadonlyArray<string>
) {
  const { velero } = yield* Stand
  const name = unique(namespaces[0] ?? "backup")
  yield* velero("backup", "create", name, "--include-namespaces", namespaces.join(","), ...flags)
  return yield* finished(Objects.veleroBackups, name)
})

/** Restores all of a backup; yields the Velero Restore when it has ended, however that was. */
export const restore = Effect.fn("restore")(function* (
  { metadata }: Saved<VeleroBackup>,
  ...flags: ReadonlyArray<string>
) {
  const { velero } = yield* Stand
  const name = unique(metadata.name)
  yield* velero("restore", "create", name, "--from-backup", metadata.name, ...flags)
  return yield* finished(Objects.veleroRestores, name)
})

/** The flag that restores namespaces under other names. */
export const mapping = (names: Readonly<Record<string, string>>): string =>
  `--namespace-mappings=${Object.entries(names)
    .map(([from, to]) => `${from}:${to}`)
    .join(",")}`

/** `Completed`, or how it ended and why. */
export const outcome = ({ status }: Saved<VeleroBackup>): string =>
  [
    status?.phase ?? "",
    ...(status?.errors ? [`${status.errors} errors`] : []),
    ...(status?.failureReason === undefined ? [] : [status.failureReason]),
    ...(status?.validationErrors ?? [])
  ].join(", ")
