/** Backups and restores as users make them: with Velero's command line, to their end. */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Resource, Saved, VeleroBackup } from "./Objects.ts"
import * as Objects from "./Objects.ts"
import { until, untilTrue } from "./Poll.ts"
import { Processes } from "./Processes.ts"
import { Stand, veleroNamespace } from "./Stand.ts"

/** Phases that nothing follows. */
const finalPhases = ["Completed", "PartiallyFailed", "Failed", "FailedValidation"]

const finished = Effect.fnUntraced(function* (
  resource: Resource<VeleroBackup>,
  name: string,
  installation = veleroNamespace
) {
  const { api } = yield* Stand
  return yield* until(
    `Velero ${resource.kind} ${name} ends`,
    "2 minutes",
    Effect.map(api.get(resource, installation, name), (object) =>
      finalPhases.includes(object.status?.phase ?? "") ? object : undefined
    )
  )
})

const unique = (label: string): string => `${label}-${Crypto.randomBytes(3).toString("hex")}`

/** Begins to back namespaces up; yields the Backup's name. */
export const beginBackup = Effect.fn("beginBackup")(function* (
  namespaces: ReadonlyArray<string>,
  ...flags: ReadonlyArray<string>
) {
  const { velero } = yield* Stand
  const name = unique(namespaces[0] ?? "backup")
  yield* velero("backup", "create", name, "--include-namespaces", namespaces.join(","), ...flags)
  return name
})

/** Waits for the end of a backup, however that is; yields the Velero Backup. */
export const backupEnd = (name: string) => finished(Objects.veleroBackups, name)

/** Backs namespaces up; yields the Velero Backup when it has ended, however that was. */
export const backUp = (namespaces: ReadonlyArray<string>, ...flags: ReadonlyArray<string>) =>
  Effect.flatMap(beginBackup(namespaces, ...flags), backupEnd)

/** Begins to restore all of a backup, in the installation of Velero that it belongs to; yields the Restore's name. */
export const beginRestore = Effect.fn("beginRestore")(function* (
  { metadata }: Saved<VeleroBackup>,
  ...flags: ReadonlyArray<string>
) {
  const { velero } = yield* Stand
  const name = unique(metadata.name)
  const installation = metadata.namespace ?? veleroNamespace
  yield* velero("--namespace", installation, "restore", "create", name, "--from-backup", metadata.name, ...flags)
  return name
})

/** Waits for the end of a restore, however that is; yields the Velero Restore. */
export const restoreEnd = (name: string, installation = veleroNamespace) =>
  finished(Objects.veleroRestores, name, installation)

/** Restores all of a backup; yields the Velero Restore when it has ended, however that was. */
export const restore = (backup: Saved<VeleroBackup>, ...flags: ReadonlyArray<string>) =>
  Effect.flatMap(beginRestore(backup, ...flags), (name) => restoreEnd(name, backup.metadata.namespace))

/** Begins a Restore that is written by hand: the command line has a flag for annotations from 1.16 on. Yields its name. */
export const beginAnnotated = Effect.fn("beginAnnotated")(function* (
  { metadata }: Saved<VeleroBackup>,
  annotations: Readonly<Record<string, string>>,
  namespaceMapping: Readonly<Record<string, string>> = {}
) {
  const { api } = yield* Stand
  const name = unique(metadata.name)
  yield* api.apply(Objects.veleroRestores, {
    metadata: { name, namespace: veleroNamespace, annotations },
    spec: { backupName: metadata.name, namespaceMapping }
  })
  return name
})

/** The same, to its end, however that is; yields the Velero Restore. */
export const restoreAnnotated = (...args: Parameters<typeof beginAnnotated>) =>
  Effect.flatMap(beginAnnotated(...args), (name) => restoreEnd(name))

/** A restore in Velero's words, with its operations. */
export const describeRestore = (name: string) =>
  Stand.use(({ velero }) => velero("restore", "describe", name, "--details"))

/** What is in a backup, as users see it: downloaded and unpacked. */
export interface Contents {
  /** Paths of all files, as in `resources/configmaps/namespaces/shop/settings.json`. */
  readonly paths: ReadonlyArray<string>
  /** An object; without a namespace: of a cluster-wide kind. `undefined`: it is not in the backup. */
  readonly find: <T>(resource: Resource<T>, name: string, namespace?: string) => Saved<T> | undefined
}

/** Downloads a backup. */
export const download = Effect.fn("download")(function* ({ metadata }: Saved<VeleroBackup>) {
  const { velero } = yield* Stand
  const { directory, run } = yield* Processes
  const folder = Fs.mkdtempSync(Path.join(directory, `${metadata.name}-`))
  const file = `${folder}.tar.gz`
  yield* velero("backup", "download", metadata.name, "--output", file)
  yield* run("tar", ["-xzf", file, "-C", folder])
  const paths = Fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => Path.relative(folder, Path.join(entry.parentPath, entry.name)))
  return {
    paths,
    find: <T>({ group, plural }: Resource<T>, name: string, namespace?: string) => {
      const type = group === "" ? plural : `${plural}.${group}`
      const scope = namespace === undefined ? "cluster" : `namespaces/${namespace}`
      const path = Path.join(folder, "resources", type, scope, `${name}.json`)
      return Fs.existsSync(path) ? (JSON.parse(Fs.readFileSync(path, "utf8")) as Saved<T>) : undefined
    }
  } satisfies Contents
})

/** Deletes a backup, and waits until Velero has forgotten it. */
export const remove = Effect.fn("remove")(function* ({ metadata }: Saved<VeleroBackup>) {
  const { velero } = yield* Stand
  yield* velero("backup", "delete", metadata.name, "--confirm")
  yield* forgotten(metadata.name)
})

/** Waits until there is no such Backup any more. */
export const forgotten = Effect.fnUntraced(function* (
  name: string,
  installation = veleroNamespace,
  deadline: Duration.Input = "60 seconds"
) {
  const { api } = yield* Stand
  yield* untilTrue(
    `Velero Backup ${name} is gone`,
    deadline,
    Effect.map(api.find(Objects.veleroBackups, installation, name), (found) => found === undefined)
  )
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
