/**
 * Files on their way into the store: written out of sight, in a directory of the root that is no bucket, and moved to their
 * place when they are whole.
 *
 * A process that is killed leaves its file behind. `sweep` removes those whose process is known to be dead, and those that nobody
 * has written to for a day; so a file names the process that writes it: the boot of its machine, its PID namespace, its PID and
 * when it started. Of a process on another machine, or in another container, only the age is known.
 */
import { randomBytes } from "node:crypto"
import type { Stats } from "node:fs"
import { constants } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import * as Fs from "node:fs/promises"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Directory from "./Directory.ts"
import { type LinkRefused, NotAnObject, type SystemError } from "./Errors.ts"
import * as Names from "./Names.ts"

/** Left-overs of unknown processes are older than this. A living upload writes all the time. */
export const maximumAge = Duration.hours(24)

const uploads = "uploads"

/** A process, as far as it can be told from others that may write to the same volume. */
export interface Owner {
  /** Machine, boot and PID namespace: within it PIDs can be compared. */
  readonly realm: string
  readonly pid: number
  /** In clock ticks since the boot. */
  readonly started: string
}

/** The start time is the 22nd field; the second one, the name, may hold spaces and parentheses. */
const startedOf = (stat: string): string => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""

const readText = (path: string) => Directory.call("read", path, () => Fs.readFile(path, "utf8"))

/** This process. */
export const self: Effect.Effect<Owner, SystemError> = Effect.gen(function* () {
  const boot = yield* readText("/proc/sys/kernel/random/boot_id")
  const namespace = yield* Directory.call("read", "/proc/self/ns/pid", () => Fs.readlink("/proc/self/ns/pid"))
  const stat = yield* readText("/proc/self/stat")
  return {
    realm: `${boot.trim().replaceAll("-", "")}-${namespace.replace(/\D/g, "")}`,
    pid: Number.parseInt(stat, 10),
    started: startedOf(stat)
  }
})

const ownerPattern = /^([0-9a-f]{32}-\d+)\.(\d+)\.(\d+)\.[0-9a-f]+$/

const nameOf = ({ pid, realm, started }: Owner): string =>
  `${realm}.${pid}.${started}.${randomBytes(8).toString("hex")}`

/** The process that made a left-over; none for a name of somebody else's. */
export const ownerOf = (name: string): Option.Option<Owner> => {
  const [, realm, pid, started] = ownerPattern.exec(name) ?? []
  return realm === undefined || pid === undefined || started === undefined
    ? Option.none()
    : Option.some({ realm, pid: Number(pid), started })
}

/** A name for something unfinished, by which it can be swept. */
export const unfinishedName: Effect.Effect<string, SystemError> = Effect.map(self, nameOf)

const isAlive = ({ pid, started }: Owner): Effect.Effect<boolean> =>
  readText(`/proc/${pid}/stat`).pipe(
    Effect.map((stat) => startedOf(stat) === started),
    Effect.orElseSucceed(() => false)
  )

/** Whether nobody will finish what has this name and status. */
export const isLeftOver = (name: string, { mtimeMs }: Pick<Stats, "mtimeMs">, me: Owner): Effect.Effect<boolean> =>
  Effect.gen(function* () {
    const owner = Option.getOrUndefined(ownerOf(name))
    if (owner !== undefined && owner.realm === me.realm) return !(yield* isAlive(owner))
    return (yield* Clock.currentTimeMillis) - mtimeMs > Duration.toMillis(maximumAge)
  })

/** A directory of the root's private one; made if it is missing. */
export const area = (
  root: Directory.Directory,
  name: string
): Effect.Effect<Directory.Directory, SystemError | LinkRefused | NotAnObject, Scope.Scope> =>
  Effect.gen(function* () {
    let current = root
    for (const step of [Names.privateDirectory, name]) {
      yield* Directory.make(current, step)
      const found = Option.getOrUndefined(yield* Directory.find(current, step, "this plugin's own directory"))
      if (found === undefined) {
        return yield* new NotAnObject({ what: "this plugin's own directory", path: `${current.path}/${step}` })
      }
      current = found
    }
    return current
  })

/** An unfinished file; it is removed with its scope, unless it was moved by then. */
export interface Upload {
  readonly directory: Directory.Directory
  readonly name: string
  readonly handle: FileHandle
}

export const create = (
  root: Directory.Directory
): Effect.Effect<Upload, SystemError | LinkRefused | NotAnObject, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = yield* area(root, uploads)
    const name = yield* unfinishedName
    const handle = yield* Directory.file(
      directory,
      name,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL,
      Directory.fileMode
    )
    yield* Effect.addFinalizer(() => Effect.ignore(Directory.unlink(directory, name)))
    return { directory, name, handle }
  })

/** Removes what nobody will finish from a private directory; answers how many that were. */
export const sweep = (root: Directory.Directory, name = uploads): Effect.Effect<number, SystemError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const parent = yield* Directory.child(root, Names.privateDirectory)
      return yield* sweepIn(yield* Directory.child(parent, name))
    })
  ).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.succeed(0)
    )
  )

/** As `sweep`, in any directory: only names of unfinished things are looked at. `prefix` comes before each. */
export const sweepIn = (directory: Directory.Directory, prefix = ""): Effect.Effect<number, SystemError> =>
  Effect.gen(function* () {
    const me = yield* self
    let swept = 0
    for (const { name } of yield* Directory.entries(directory)) {
      if (!name.startsWith(prefix) || Option.isNone(ownerOf(name.slice(prefix.length)))) continue
      const status = yield* Directory.status(directory, name)
      if (Option.isNone(status) || !(yield* isLeftOver(name.slice(prefix.length), status.value, me))) continue
      yield* Directory.removeTree(directory, name)
      swept++
    }
    return swept
  })
