/**
 * Volumes that are directories, with the filesystem pack's VolumeSnapshotter: a `hostPath` and a `local` one are copied with the
 * backup, lost, and restored with the data of then; restored beside the living ones, they are volumes of their own.
 *
 * No kubelet runs, so nothing mounts them: what is compared is what is in the directories that the PersistentVolumes point to.
 */
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Namespace from "../Namespace.ts"
import type { PersistentVolumeSource } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { until } from "../Poll.ts"
import { Processes } from "../Processes.ts"
import type { Scenario } from "../Scenario.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const namespace = "volumes"
const location = "directories"
const node = "stand"

/** Claims by the type of their volume. */
const types = ["hostPath", "local"] as const
type Type = (typeof types)[number]

const content = "rows of then\n"

/** A directory with a file, one below another directory, and a link. */
const fill = (directory: string): void => {
  Fs.mkdirSync(Path.join(directory, "base"), { recursive: true })
  Fs.writeFileSync(Path.join(directory, "base", "rows"), content, { mode: 0o600 })
  Fs.writeFileSync(Path.join(directory, "größe"), Buffer.alloc(300_000, "x"))
  Fs.symlinkSync("base/rows", Path.join(directory, "latest"))
}

/** What is in a directory: of each path its mode, and the hash of its content or where it leads. */
const inventory = (directory: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Fs.readdirSync(directory, { recursive: true, encoding: "utf8" })
      .toSorted()
      .map((name) => {
        const path = Path.join(directory, name)
        const status = Fs.lstatSync(path)
        const what = status.isSymbolicLink()
          ? Fs.readlinkSync(path)
          : status.isFile()
            ? Crypto.createHash("sha256").update(Fs.readFileSync(path)).digest("hex")
            : ""
        return [name, `${(status.mode & 0o7777).toString(8)} ${what}`]
      })
  )

const sourceOf = (type: Type, path: string): PersistentVolumeSource => {
  if (type === "hostPath") return { hostPath: { path } }
  const isHere = { key: "kubernetes.io/hostname", operator: "In", values: [node] }
  return { local: { path }, nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [isHere] }] } } }
}

/** A claim that is bound to a volume of a directory. */
const createVolume = Effect.fnUntraced(function* (type: Type, path: string) {
  const { api } = yield* Stand
  const name = `data-${type.toLowerCase()}`
  const size = { accessModes: ["ReadWriteOnce"], storageClassName: "" }
  yield* api.apply(Objects.persistentVolumes, {
    metadata: { name },
    spec: {
      ...size,
      capacity: { storage: "1Gi" },
      // As of local storage everywhere: nobody deletes the directory with the claim.
      persistentVolumeReclaimPolicy: "Retain",
      ...sourceOf(type, path)
    }
  })
  yield* api.apply(Objects.persistentVolumeClaims, {
    metadata: { name, namespace },
    spec: { ...size, resources: { requests: { storage: "1Gi" } }, volumeName: name }
  })
  yield* bound(namespace, name)
})

/** Waits for a claim to have its volume; yields that. */
const bound = Effect.fnUntraced(function* (namespace: string, name: string) {
  const { api } = yield* Stand
  const claim = yield* until(
    `claim ${namespace}/${name} is bound`,
    "30 seconds",
    Effect.map(api.get(Objects.persistentVolumeClaims, namespace, name), (found) =>
      found.status?.phase === "Bound" ? found : undefined
    )
  )
  return yield* api.get(Objects.persistentVolumes, "", claim.spec.volumeName ?? "")
})

const pathOf = ({ hostPath, local }: PersistentVolumeSource): string => (hostPath ?? local)?.path ?? ""

/** What a restored claim's volume is, against the directory that it was copied from. */
const verifyVolume = Effect.fnUntraced(function* (
  namespace: string,
  type: Type,
  old: string,
  expected: ReturnType<typeof inventory>
) {
  const { spec } = yield* bound(namespace, `data-${type.toLowerCase()}`)
  const path = pathOf(spec)
  yield* Verify.that(`the ${type} volume of ${namespace} is still of that type`, spec[type] !== undefined)
  yield* Verify.that(`the ${type} volume of ${namespace} has a directory of its own`, path !== old, path)
  yield* Verify.equal(`what is in the ${type} volume of ${namespace}`, inventory(path), expected)
  return path
})

export const volumeSnapshots: Scenario = {
  name: "volume-snapshotter",
  expected: "hostPath and local volumes are copied by a backup; restores make new directories with the data of then",
  packs: ["filesystem"],
  core: true,
  run: Effect.gen(function* () {
    const { api, velero, files } = yield* Stand
    const { root } = yield* files
    const { directory } = yield* Processes
    const home = Fs.mkdtempSync(Path.join(directory, "volumes-"))
    const directories = types.map((type) => ({ type, path: Path.join(home, type) }))
    const snapshots = Path.join(root, ".velero-filesystem", "snapshots")

    yield* api.apply(Objects.volumeSnapshotLocations, {
      metadata: { name: location, namespace: veleroNamespace },
      spec: { provider: "velero-filesystem/volume-snapshotter", config: { root, node } }
    })
    yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
    for (const { path, type } of directories) {
      fill(path)
      yield* createVolume(type, path)
    }
    const expected = inventory(directories[0]?.path ?? "")

    const backup = yield* Velero.backUp([namespace], `--volume-snapshot-locations=${location}`)
    yield* Verify.equal("the Velero backup", Velero.outcome(backup), "Completed")
    const details = yield* velero("backup", "describe", backup.metadata.name, "--details")
    for (const { type } of directories) {
      yield* Verify.that(
        `describe --details tells of the snapshot of the ${type} volume`,
        new RegExp(`Snapshot ID:\\s+data-${type.toLowerCase()}-\\S+\\s+Type:\\s+${type}\\s`).test(details),
        details
      )
    }
    yield* Verify.equal("snapshots", Fs.readdirSync(snapshots).length, types.length)

    // What is written later is not of the backup.
    for (const { path } of directories) Fs.writeFileSync(Path.join(path, "base", "rows"), "rows of now\n")

    const copy = `${namespace}-copy`
    const beside = yield* Velero.restore(backup, Velero.mapping({ [namespace]: copy }))
    yield* Verify.equal("the restore beside the living", Velero.outcome(beside), "Completed")
    for (const { path, type } of directories) yield* Verify.attempt(verifyVolume(copy, type, path, expected))

    yield* Namespace.remove(namespace)
    const inPlace = yield* Velero.restore(backup)
    yield* Verify.equal("the restore in place", Velero.outcome(inPlace), "Completed")
    for (const { path, type } of directories) {
      yield* Verify.attempt(verifyVolume(namespace, type, path, expected))
      yield* Verify.equal(
        `the old ${type} directory`,
        Fs.readFileSync(Path.join(path, "base", "rows"), "utf8"),
        "rows of now\n"
      )
    }

    yield* Velero.remove(backup)
    yield* Verify.equal("snapshots that the deleted backup left", Fs.readdirSync(snapshots), [])
    yield* api.remove(Objects.volumeSnapshotLocations, veleroNamespace, location)
    return `${types.join(" and ")} restored twice: ${Fs.readdirSync(home).length} directories, no snapshot left`
  })
}
