/**
 * Directories as capabilities: every call names one entry of an open directory, and never follows a symbolic link.
 *
 * `/proc/self/fd/N/name` is what `openat(N, "name")` is in C, which JavaScript's runtimes lack: the kernel resolves `name` in the
 * very directory that was opened, whatever its path leads to by now. So nobody who may write to the volume can swap a
 * directory for a link between a check and its use; and no path is ever longer than one name.
 *
 * **Gotchas**: Linux only. A call that has begun is not interrupted: closing a file under a write would hand its descriptor to
 * the next one.
 */
import type { Dirent, Stats } from "node:fs"
import { constants } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import * as Fs from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { LinkRefused, NotAnObject, SystemError } from "./Errors.ts"

/** An open directory; `path` is for messages. */
export interface Directory {
  readonly handle: FileHandle
  readonly path: string
}

/** Files and directories are for their user and group: backups hold Secrets. */
export const fileMode = 0o640
export const directoryMode = 0o750

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : String(cause)

/** A system call of this process. */
export const call = <A>(name: string, path: string, run: () => Promise<A>): Effect.Effect<A, SystemError> =>
  Effect.uninterruptible(
    Effect.tryPromise({ try: run, catch: (cause) => new SystemError({ code: codeOf(cause), call: name, path }) })
  )

/** The path of an entry, for node's functions. */
export const at = ({ handle }: Directory, name: string): string => `/proc/self/fd/${handle.fd}/${name}`

const join = ({ path }: Directory, name: string): string => `${path === "/" ? "" : path}/${name}`

const close = (handle: FileHandle) => Effect.promise(() => handle.close().catch(() => {}))

const openHandle = (
  name: string,
  path: string,
  flags: number,
  mode?: number
): Effect.Effect<FileHandle, SystemError, Scope.Scope> =>
  Effect.acquireRelease(
    call("open", path, () => Fs.open(name, flags, mode)),
    close
  )

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY

/** Opens a directory by its path, following links: for the root, which its owner may have linked. */
export const open = (path: string): Effect.Effect<Directory, SystemError, Scope.Scope> =>
  Effect.map(openHandle(path, path, directoryFlags), (handle) => ({ handle, path }))

/** Opens an entry that is a directory. A link or a file: `ENOTDIR`. */
export const child = (parent: Directory, name: string): Effect.Effect<Directory, SystemError, Scope.Scope> => {
  const path = join(parent, name)
  return Effect.map(openHandle(at(parent, name), path, directoryFlags | constants.O_NOFOLLOW), (handle) => ({
    handle,
    path
  }))
}

/** Opens an entry that is a file. A link: `ELOOP`. */
export const file = (
  parent: Directory,
  name: string,
  flags: number,
  mode?: number
): Effect.Effect<FileHandle, SystemError, Scope.Scope> =>
  // Without O_NONBLOCK a pipe that somebody left in the directory would block a thread for ever.
  openHandle(at(parent, name), join(parent, name), flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode)

/** Makes a directory, unless there is something of that name. */
export const make = (parent: Directory, name: string, mode = directoryMode): Effect.Effect<void, SystemError> =>
  call("mkdir", join(parent, name), () => Fs.mkdir(at(parent, name), mode)).pipe(
    Effect.catchIf(
      ({ code }) => code === "EEXIST",
      () => Effect.void
    )
  )

/** What an entry is, links themselves included; none where there is nothing. */
export const status = (parent: Directory, name: string): Effect.Effect<Option.Option<Stats>, SystemError> =>
  Effect.asSome(call("stat", join(parent, name), () => Fs.lstat(at(parent, name)))).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.succeedNone
    )
  )

/** All entries; a directory that was removed has none. */
export const entries = (directory: Directory): Effect.Effect<ReadonlyArray<Dirent>, SystemError> =>
  call("list", directory.path, () => Fs.readdir(at(directory, "."), { withFileTypes: true })).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.succeed([])
    )
  )

/** Removes a file or link; `false` where there was none. */
export const unlink = (parent: Directory, name: string): Effect.Effect<boolean, SystemError> =>
  Effect.as(
    call("remove", join(parent, name), () => Fs.unlink(at(parent, name))),
    true
  ).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.succeed(false)
    )
  )

/** Removes a directory that is empty. */
export const removeEmpty = (parent: Directory, name: string): Effect.Effect<void, SystemError> =>
  call("remove", join(parent, name), () => Fs.rmdir(at(parent, name)))

/** Removes an entry with everything in it; what a link points to stays. */
export const removeTree = (parent: Directory, name: string): Effect.Effect<void, SystemError> =>
  call("remove", join(parent, name), () => Fs.rm(at(parent, name), { recursive: true, force: true }))

/** Moves an entry, replacing a file of the new name, in one step. */
export const rename = (
  from: Directory,
  name: string,
  to: Directory,
  newName: string
): Effect.Effect<void, SystemError> =>
  call("rename", join(to, newName), () => Fs.rename(at(from, name), at(to, newName)))

/** Some file systems have nothing to do for a directory, and say so with an error. */
const cannotSync = ["EINVAL", "ENOTSUP", "EOPNOTSUPP"]

/** Writes the directory's own entries to the disk. */
export const sync = ({ handle, path }: Directory): Effect.Effect<void, SystemError> =>
  call("sync", path, () => handle.sync()).pipe(
    Effect.catchIf(
      ({ code }) => cannotSync.includes(code),
      () => Effect.void
    )
  )

export type Kind = "file" | "directory" | "link" | "other"

const kindOf = (entry: Pick<Stats | Dirent, "isFile" | "isDirectory" | "isSymbolicLink">): Kind =>
  entry.isFile() ? "file" : entry.isDirectory() ? "directory" : entry.isSymbolicLink() ? "link" : "other"

/** What an entry is, by its status; none where there is nothing. */
export const kind = (parent: Directory, name: string): Effect.Effect<Option.Option<Kind>, SystemError> =>
  Effect.map(status(parent, name), Option.map(kindOf))

/** What a listed entry is. Some file systems do not say so in their listings. */
export const listedKind = (parent: Directory, entry: Dirent): Effect.Effect<Kind, SystemError> => {
  const known = kindOf(entry)
  return known === "other"
    ? Effect.map(
        kind(parent, entry.name),
        Option.getOrElse((): Kind => "other")
      )
    : Effect.succeed(known)
}

/** What an entry is, of which a link and what is neither file nor directory are refused. */
export const inspect = (
  parent: Directory,
  name: string,
  what: string
): Effect.Effect<"file" | "directory" | "nothing", SystemError | LinkRefused | NotAnObject> =>
  Effect.gen(function* () {
    const found = Option.getOrUndefined(yield* kind(parent, name))
    if (found === "link") return yield* new LinkRefused({ what, path: join(parent, name) })
    if (found === "other") return yield* new NotAnObject({ what, path: join(parent, name) })
    return found ?? "nothing"
  })

/** As `child`; none where there is nothing or a file, and with a sentence for the rest. */
export const find = (
  parent: Directory,
  name: string,
  what: string
): Effect.Effect<Option.Option<Directory>, SystemError | LinkRefused | NotAnObject, Scope.Scope> =>
  Effect.asSome(child(parent, name)).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.succeedNone
    ),
    Effect.catchIf(
      (error) => error.code === "ENOTDIR",
      () =>
        Effect.flatMap(inspect(parent, name, what), (found) =>
          // It became one in between.
          found === "directory" ? find(parent, name, what) : Effect.succeedNone
        )
    )
  )
