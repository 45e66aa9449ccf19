/**
 * Copies a directory with everything in it, sharing blocks where the file system can (reflinks: XFS, Btrfs, …).
 *
 * Kept: contents, modes, owners, times (to the microsecond), symbolic links as they are, hard links among the files of the tree.
 * Not kept: extended attributes and ACLs, holes of sparse files (unless blocks are shared), and the tree's consistency: files that
 * change meanwhile are copied as they are when their turn comes. Left out, and reported: sockets, pipes, devices, and other file
 * systems mounted below.
 */
import type { Stats } from "node:fs"
import { constants } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import * as Fs from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Directory from "./Directory.ts"
import type { SystemError } from "./Errors.ts"

/** What was copied. */
export interface Report {
  readonly files: number
  readonly bytes: number
  /** Paths in the tree, each with its reason; the first hundred. */
  readonly skipped: ReadonlyArray<string>
}

/** Files that are copied at once. */
const concurrency = 8

const maximumSkipped = 100

/** A place on a disk, whatever its name. */
export interface Inode {
  readonly dev: number
  readonly ino: number
}

interface State {
  files: number
  bytes: number
  readonly skipped: Array<string>
  /** Where a file with several names was copied to. */
  readonly linked: Map<string, string>
  readonly target: Directory.Directory
  readonly device: number
  readonly excluded: Inode
}

/** Owner first: changing it takes the setuid bit away. */
const keep = (handle: FileHandle, path: string, { atimeMs, gid, mode, mtimeMs, uid }: Stats) =>
  Effect.gen(function* () {
    yield* Directory.call("chown", path, () => handle.chown(uid, gid))
    yield* Directory.call("chmod", path, () => handle.chmod(mode & 0o7777))
    yield* Directory.call("set the times of", path, () => handle.utimes(atimeMs / 1000, mtimeMs / 1000))
    yield* Directory.call("sync", path, () => handle.sync())
  })

const isVanished = ({ code }: SystemError): boolean => code === "ENOENT"

const copyFile = Effect.fnUntraced(function* (
  from: Directory.Directory,
  to: Directory.Directory,
  name: string,
  path: string,
  state: State
): Effect.fn.Return<void, SystemError, Scope.Scope> {
  const source = yield* Directory.file(from, name, constants.O_RDONLY).pipe(
    // Removed, or swapped for a link, since it was listed.
    Effect.catchIf(
      (error) => isVanished(error) || error.code === "ELOOP",
      () => Effect.undefined
    )
  )
  if (source === undefined) return
  const status = yield* Directory.call("stat", path, () => source.stat())
  if (!status.isFile()) return
  const id = `${status.dev}:${status.ino}`
  const first = status.nlink > 1 ? state.linked.get(id) : undefined
  if (first !== undefined) {
    return yield* Directory.call("link", path, () => Fs.link(Directory.at(state.target, first), Directory.at(to, name)))
  }
  yield* Directory.call("copy", path, () =>
    // The open file, not its name: that may lead elsewhere by now.
    Fs.copyFile(
      `/proc/self/fd/${source.fd}`,
      Directory.at(to, name),
      constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL
    )
  )
  const copy = yield* Directory.file(to, name, constants.O_RDONLY)
  yield* keep(copy, path, status)
  if (status.nlink > 1) state.linked.set(id, path)
  state.files++
  state.bytes += status.size
}, Effect.scoped)

const copyLink = Effect.fnUntraced(function* (
  from: Directory.Directory,
  to: Directory.Directory,
  name: string,
  path: string,
  status: Stats
): Effect.fn.Return<void, SystemError> {
  const target = yield* Directory.call("read", path, () => Fs.readlink(Directory.at(from, name))).pipe(
    // Removed, or no link any more.
    Effect.catchIf(
      (error) => isVanished(error) || error.code === "EINVAL",
      () => Effect.undefined
    )
  )
  if (target === undefined) return
  yield* Directory.call("link", path, () => Fs.symlink(target, Directory.at(to, name)))
  yield* Directory.call("chown", path, () => Fs.lchown(Directory.at(to, name), status.uid, status.gid))
  yield* Directory.call("set the times of", path, () =>
    Fs.lutimes(Directory.at(to, name), status.atimeMs / 1000, status.mtimeMs / 1000)
  )
})

const copyDirectory = (
  from: Directory.Directory,
  to: Directory.Directory,
  prefix: string,
  state: State
): Effect.Effect<void, SystemError> =>
  Effect.gen(function* () {
    const skip = (path: string, reason: string) => {
      if (state.skipped.length < maximumSkipped) state.skipped.push(`${path} (${reason})`)
    }
    const linked: Array<string> = []
    const directories: Array<string> = []
    yield* Effect.forEach(
      yield* Directory.entries(from),
      Effect.fnUntraced(function* ({ name }) {
        const path = prefix + name
        const status = Option.getOrUndefined(yield* Directory.status(from, name))
        if (status === undefined) return
        if (status.isFile()) {
          if (status.nlink > 1) linked.push(name)
          else yield* copyFile(from, to, name, path, state)
        } else if (status.isSymbolicLink()) yield* copyLink(from, to, name, path, status)
        else if (!status.isDirectory()) skip(path, "neither file, directory nor symbolic link")
        else if (status.dev !== state.device) skip(path, "another file system")
        else if (status.ino === state.excluded.ino && status.dev === state.excluded.dev) skip(path, "the snapshots")
        else directories.push(name)
      }),
      { concurrency, discard: true }
    )
    // One after the other: the first name of a file must be there before the others.
    for (const name of linked) yield* copyFile(from, to, name, prefix + name, state)
    for (const name of directories) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const source = yield* Directory.child(from, name).pipe(
            Effect.catchIf(
              (error) => isVanished(error) || error.code === "ENOTDIR",
              () => Effect.undefined
            )
          )
          if (source === undefined) return
          yield* Directory.make(to, name)
          yield* copyDirectory(source, yield* Directory.child(to, name), `${prefix}${name}/`, state)
        })
      )
    }
    const status = yield* Directory.call("stat", from.path, () => from.handle.stat())
    yield* keep(to.handle, to.path, status)
  })

/** Copies what is in a directory into an empty one, which gets its mode, owner and times too. `excluded` is left out. */
export const copy = Effect.fn("TreeCopy.copy")(function* (
  from: Directory.Directory,
  to: Directory.Directory,
  excluded: Inode
): Effect.fn.Return<Report, SystemError> {
  const { dev } = yield* Directory.call("stat", from.path, () => from.handle.stat())
  const state: State = {
    files: 0,
    bytes: 0,
    skipped: [],
    linked: new Map(),
    target: to,
    device: dev,
    excluded
  }
  yield* copyDirectory(from, to, "", state)
  return { files: state.files, bytes: state.bytes, skipped: state.skipped }
})
