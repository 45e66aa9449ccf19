/**
 * Copies of volumes, kept below a root: taking one, making a volume of one, removing one.
 *
 * A snapshot is a directory with the copy in it and a record of what was copied. Like an object it is made out of sight, and is
 * there whole or not at all; so is a volume that is made of it.
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Directory from "./Directory.ts"
import type { StorageError, SystemError } from "./Errors.ts"
import { explain } from "./Errors.ts"
import { openRoot } from "./Objects.ts"
import type { UnknownVolumeId, Volume } from "./PersistentVolume.ts"
import * as PersistentVolume from "./PersistentVolume.ts"
import * as TreeCopy from "./TreeCopy.ts"
import * as Uploads from "./Uploads.ts"

/** No directory where the volume should be. */
export class NoVolume extends Data.TaggedError("NoVolume")<{ readonly id: string; readonly path: string }> {
  override get message() {
    return `volume ${this.id} cannot be copied: there is no directory ${this.path}. Mount the node's directory in Velero's pod, and set hostRoot in the config of the VolumeSnapshotLocation to where the node's root is`
  }
}

/** The snapshot is gone, or was never one. */
export class NoSnapshot extends Data.TaggedError("NoSnapshot")<{
  readonly id: string
  readonly root: string
  readonly detail: string
}> {
  override get message() {
    return `snapshot ${JSON.stringify(this.id)} cannot be used: ${this.detail}. Look below ${this.root}, or for the VolumeSnapshotLocation that it was taken with`
  }
}

export type SnapshotError = StorageError | NoVolume | NoSnapshot | UnknownVolumeId

export interface Snapshots {
  /** Copies a volume; answers the snapshot's id. */
  readonly take: (volume: Volume, tags: Readonly<Record<string, string>>) => Effect.Effect<string, SnapshotError>
  /** Makes a new volume of a snapshot, beside the one that it was taken of. */
  readonly restore: (id: string) => Effect.Effect<Volume, SnapshotError>
  /** No failure where there is none. */
  readonly remove: (id: string) => Effect.Effect<void, SnapshotError>
  /** Fails where a volume's directory cannot be seen. */
  readonly check: (volume: Volume) => Effect.Effect<void, SnapshotError>
  /** Removes what interrupted copies left; what cannot be removed stays. */
  readonly sweep: Effect.Effect<void>
}

const area = "snapshots"
const copyName = "data"
const recordName = "snapshot.json"

/** What a volume is called while it is made, beside the other ones. */
const partialPrefix = ".velero-restoring."

const idPattern = /^[a-z0-9][a-z0-9.-]{0,199}$/

/** What a snapshot says of itself. */
const Record = Schema.fromJsonString(
  Schema.Struct({
    volume: Schema.String,
    created: Schema.String,
    files: Schema.Int,
    bytes: Schema.Int,
    skipped: Schema.Array(Schema.String),
    tags: Schema.Record(Schema.String, Schema.String)
  })
)
const decodeRecord = Schema.decodeUnknownResult(Record)
const encodeRecord = Schema.encodeSync(Record)

const suffix = (): string => randomBytes(4).toString("hex")

/** `pvc-1-20261121t120000z-1a2b3c4d`: the volume's name or directory, so that people find it. */
const newId = ({ path }: Volume, tags: Readonly<Record<string, string>>, now: DateTime.Utc): string => {
  const name = (tags["velero.io/pv"] ?? Path.basename(path))
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, "-")
    .replace(/^[.-]+/, "")
    .slice(0, 150)
  const time = DateTime.formatIso(now)
    .replace(/\.\d+|[-:]/g, "")
    .toLowerCase()
  return `${name === "" ? "volume" : name}-${time}-${suffix()}`
}

/** A directory that is made whole, then named; until then it is removed with its scope. */
const unfinished = Effect.fnUntraced(function* (
  parent: Directory.Directory,
  prefix = ""
): Effect.fn.Return<{ readonly name: string; readonly directory: Directory.Directory }, SystemError, Scope.Scope> {
  const name = prefix + (yield* Uploads.unfinishedName)
  // Nobody else: what is in it may have the setuid bit.
  yield* Effect.acquireRelease(Directory.make(parent, name, 0o700), () =>
    Effect.ignore(Directory.removeTree(parent, name))
  )
  // A copy that takes long must not look like one that was left.
  const touch = Effect.flatMap(DateTime.now, (now) =>
    Directory.call("set the times of", parent.path, () =>
      Fs.utimes(Directory.at(parent, name), DateTime.toDate(now), DateTime.toDate(now))
    )
  )
  yield* Effect.forkScoped(Effect.repeat(Effect.ignore(touch), Schedule.spaced("1 hour")))
  return { name, directory: yield* Directory.child(parent, name) }
})

const inodeOf = ({ handle, path }: Directory.Directory): Effect.Effect<TreeCopy.Inode, SystemError> =>
  Directory.call("stat", path, () => handle.stat())

/** Copies of volumes of the node whose root directory is at `hostRoot`. */
export const make = (root: string, hostRoot: string): Snapshots => {
  const explained =
    (what: string) =>
    <A, R>(effect: Effect.Effect<A, SystemError | SnapshotError, R>): Effect.Effect<A, SnapshotError, R> =>
      Effect.mapError(effect, (error) => (error._tag === "SystemError" ? explain(what)(error) : error))

  const openArea = Effect.flatMap(openRoot(root), (directory) => Uploads.area(directory, area))

  /** A directory of the node, by its path there. Links are not followed: they may lead out of `hostRoot`. */
  const openOnNode = Effect.fnUntraced(function* (
    path: string,
    what: string,
    missing: (parent: Directory.Directory, name: string) => Effect.Effect<void, SystemError | NoVolume>
  ): Effect.fn.Return<Directory.Directory, SystemError | SnapshotError, Scope.Scope> {
    let current = yield* openRoot(hostRoot)
    for (const name of path.split("/").filter((part) => part !== "")) {
      let found = yield* Directory.find(current, name, what)
      if (Option.isNone(found)) {
        yield* missing(current, name)
        found = yield* Directory.find(current, name, what)
      }
      if (Option.isNone(found)) return yield* new NoVolume({ id: what, path: `${current.path}/${name}` })
      current = found.value
    }
    return current
  })

  const openVolume = (volume: Volume) => {
    const id = PersistentVolume.idOf(volume)
    return openOnNode(volume.path, `volume ${id}`, ({ path }, name) =>
      Effect.fail(new NoVolume({ id, path: `${path}/${name}`.replace(/^\/+/, "/") }))
    )
  }

  /** A snapshot with its record. */
  const open = Effect.fnUntraced(function* (
    id: string
  ): Effect.fn.Return<
    { readonly volume: Volume; readonly copy: Directory.Directory },
    SystemError | SnapshotError,
    Scope.Scope
  > {
    if (!idPattern.test(id)) return yield* new NoSnapshot({ id, root, detail: "it is no id of this plugin" })
    const parent = yield* openArea
    const found = yield* Directory.find(parent, id, `snapshot ${id}`)
    if (Option.isNone(found)) return yield* new NoSnapshot({ id, root, detail: "it does not exist" })
    const handle = yield* Directory.file(found.value, recordName, constants.O_RDONLY)
    const text = yield* Directory.call("read", `${found.value.path}/${recordName}`, () => handle.readFile("utf8"))
    const record = yield* Effect.fromResult(
      Result.mapError(decodeRecord(text), () => new NoSnapshot({ id, root, detail: `its ${recordName} is damaged` }))
    )
    const volume = yield* Effect.fromResult(PersistentVolume.parseId(record.volume))
    return { volume, copy: yield* Directory.child(found.value, copyName) }
  })

  return {
    check: Effect.fn("Snapshots.check")(function* (volume) {
      yield* Effect.scoped(openVolume(volume)).pipe(explained(`volume ${PersistentVolume.idOf(volume)}`))
    }),
    take: Effect.fn("Snapshots.take")(function* (volume, tags) {
      const what = `snapshot of volume ${PersistentVolume.idOf(volume)}`
      return yield* Effect.scoped(
        Effect.gen(function* () {
          const source = yield* openVolume(volume)
          const parent = yield* openArea
          const { directory, name } = yield* unfinished(parent)
          yield* Directory.make(directory, copyName, 0o700)
          const target = yield* Directory.child(directory, copyName)
          const report = yield* TreeCopy.copy(source, target, yield* inodeOf(parent))
          const now = yield* DateTime.now
          const record = { volume: PersistentVolume.idOf(volume), created: DateTime.formatIso(now), ...report, tags }
          const { O_CREAT, O_EXCL, O_WRONLY } = constants
          const handle = yield* Directory.file(directory, recordName, O_WRONLY | O_CREAT | O_EXCL, Directory.fileMode)
          yield* Directory.call("write", directory.path, () => handle.writeFile(`${encodeRecord(record)}\n`))
          yield* Directory.call("sync", directory.path, () => handle.sync())
          yield* Directory.sync(directory)
          const id = newId(volume, tags, now)
          yield* Directory.rename(parent, name, parent, id)
          yield* Directory.sync(parent)
          yield* Effect.logInfo(`copied ${report.files} files (${report.bytes} bytes) of ${record.volume} to ${id}`)
          if (report.skipped.length > 0) {
            yield* Effect.logWarning(`left out of the snapshot of ${record.volume}: ${report.skipped.join(", ")}`)
          }
          return id
        })
      ).pipe(explained(what))
    }),
    restore: Effect.fn("Snapshots.restore")(function* (id) {
      return yield* Effect.scoped(
        Effect.gen(function* () {
          const { copy, volume } = yield* open(id)
          const parentPath = Path.dirname(volume.path)
          const parent = yield* openOnNode(parentPath, `directory ${parentPath}`, (directory, name) =>
            Directory.make(directory, name, 0o755)
          )
          yield* Effect.ignore(Uploads.sweepIn(parent, partialPrefix))
          const { directory, name } = yield* unfinished(parent, partialPrefix)
          yield* TreeCopy.copy(copy, directory, yield* inodeOf(copy))
          const restored = `${Path.basename(volume.path).slice(0, 200)}-restored-${suffix()}`
          yield* Directory.rename(parent, name, parent, restored)
          yield* Directory.sync(parent)
          return { type: volume.type, path: Path.join(parentPath, restored) }
        })
      ).pipe(explained(`volume of snapshot ${id}`))
    }),
    remove: Effect.fn("Snapshots.remove")(function* (id) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          // Of an id that is none of ours there is nothing to remove.
          if (!idPattern.test(id)) return
          const parent = yield* openArea
          const name = yield* Uploads.unfinishedName
          // Out of sight in one step: half a snapshot must not be restored.
          const isMoved = yield* Effect.as(Directory.rename(parent, id, parent, name), true).pipe(
            Effect.catchIf(
              ({ code }) => code === "ENOENT",
              () => Effect.succeed(false)
            )
          )
          if (isMoved) yield* Directory.removeTree(parent, name)
        })
      ).pipe(explained(`snapshot ${id}`))
    }),
    sweep: Effect.scoped(Effect.flatMap(openRoot(root), (directory) => Uploads.sweep(directory, area))).pipe(
      Effect.flatMap((swept) =>
        swept === 0 ? Effect.void : Effect.logInfo(`removed ${swept} left-overs of interrupted snapshots from ${root}`)
      ),
      Effect.catch((error) => Effect.logDebug(`left-overs of snapshots cannot be swept: ${error.message}`))
    )
  }
}
