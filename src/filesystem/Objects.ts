/**
 * Objects in a directory: what an object store does, for one root.
 *
 * - **Atomic.** An object is written out of sight and moved to its place in one step: readers see all of the old one or all of
 *   the new one.
 * - **Durable.** An upload is acknowledged when file and directories are on the disk: fsync of the file, rename, fsync of every
 *   directory from the object's up to the bucket's.
 * - **Tidy.** Directories go with their last object. An upload that finds its directory gone makes it again.
 * - **Contained.** No name leads out of the root, whatever else writes to the volume (see `Directory.ts`).
 *
 * **An object beside a directory of its name** (`a` beside `a/b`, which S3 has and directories have not): whichever comes later
 * gets another name, `a%o` or `a%d`, and nothing that is there is ever moved. Where both names of one kind exist, which takes
 * several changes of mind, `a` counts before `a%o`, and `a%d` before `a`; uploads go to the one that counts, and deletions take
 * it last. So at any time, also after a crash, there is one answer to what `a` or `a/b` is, and nobody needs a lock.
 */
import { constants } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Directory from "./Directory.ts"
import type { StorageError } from "./Errors.ts"
import { explain, LinkRefused, NoBucket, NoObject, NoRoot, NotAnObject, SystemError } from "./Errors.ts"
import * as Names from "./Names.ts"
import * as Uploads from "./Uploads.ts"

export type ObjectError = StorageError | Names.KeyRefused | Names.BucketRefused

/** An object that is open for reading. */
export interface Opened {
  readonly handle: FileHandle
  readonly path: string
  readonly size: number
  readonly modifiedMillis: number
  /** Another one for other content. */
  readonly tag: string
}

/** Bytes that are written with one system call. Velero sends 16 KiB at a time. */
const writeBytes = 256 * 1024

/** Bytes that are read with one system call. */
const readBytes = 128 * 1024

/** How often somebody else may remove directories, or make a link or file of one, while one object is stored. */
const maximumAttempts = 100

type Failed = SystemError | ObjectError

const whatOf = (bucket: string, key: string): string => `object ${JSON.stringify(key)} of bucket ${bucket}`

/** Everything that a caller sees has a sentence. */
const explained =
  (what: string) =>
  <A, R>(effect: Effect.Effect<A, Failed, R>): Effect.Effect<A, ObjectError, R> =>
    Effect.mapError(effect, (error) => (error._tag === "SystemError" ? explain(what)(error) : error))

/** Opens a root, which must be there. */
export const openRoot = (path: string): Effect.Effect<Directory.Directory, SystemError | NoRoot, Scope.Scope> =>
  Effect.mapError(Directory.open(path), (error) => {
    if (error.code === "ENOENT") return new NoRoot({ root: path, reason: "does not exist" })
    if (error.code === "ENOTDIR") return new NoRoot({ root: path, reason: "is not a directory" })
    return error
  })

const openBucket = Effect.fnUntraced(function* (
  root: Directory.Directory,
  name: string
): Effect.fn.Return<Directory.Directory, Failed, Scope.Scope> {
  const bucket = yield* Effect.fromResult(Names.bucket(name))
  const found = yield* Directory.find(root, bucket, `bucket ${bucket}`)
  if (Option.isNone(found)) return yield* new NoBucket({ bucket, root: root.path })
  return found.value
})

const isGone = (error: { readonly _tag: string; readonly code?: string }): error is SystemError =>
  error._tag === "SystemError" && error.code === "ENOENT"

/** Directories from a bucket down to an object's, and their names, the bucket's excepted. */
interface Chain {
  readonly directories: readonly [bucket: Directory.Directory, ...ReadonlyArray<Directory.Directory>]
  readonly names: ReadonlyArray<string>
}

const lastOf = ({ directories }: Chain): Directory.Directory => directories.at(-1) ?? directories[0]

const extended = ({ directories, names }: Chain, name: string, directory: Directory.Directory): Chain => ({
  directories: [...directories, directory],
  names: [...names, name]
})

/** Where something below a path may be, what counts first. None where a directory is missing, or is an object. */
const descend = Effect.fnUntraced(function* (
  bucket: Directory.Directory,
  path: ReadonlyArray<string>,
  what: string
): Effect.fn.Return<ReadonlyArray<Chain>, Failed, Scope.Scope> {
  let chains: ReadonlyArray<Chain> = [{ directories: [bucket], names: [] }]
  for (const step of path) {
    const next: Array<Chain> = []
    for (const chain of chains) {
      for (const name of Names.directoryNames(step)) {
        const found = yield* Directory.find(lastOf(chain), name, what)
        if (Option.isSome(found)) next.push(extended(chain, name, found.value))
      }
    }
    chains = next
  }
  return chains
})

/** The chain that counts; makes what is missing of it. */
const ensure = Effect.fnUntraced(function* (
  bucket: Directory.Directory,
  path: ReadonlyArray<string>,
  what: string
): Effect.fn.Return<Chain, Failed, Scope.Scope> {
  let chain: Chain = { directories: [bucket], names: [] }
  for (const step of path) chain = yield* ensureChild(chain, step, what, maximumAttempts)
  return chain
})

const ensureChild = (
  chain: Chain,
  step: string,
  what: string,
  attempts: number
): Effect.Effect<Chain, Failed, Scope.Scope> =>
  Effect.gen(function* () {
    const parent = lastOf(chain)
    const names = Names.directoryNames(step)
    for (const name of names) {
      const found = yield* Directory.find(parent, name, what)
      if (Option.isSome(found)) return extended(chain, name, found.value)
    }
    // An object may have the name, or get it right now; then the directory cannot have it. Where the parent itself is gone,
    // this fails with ENOENT, and `commit` begins again.
    const [other = step] = names
    const isTaken = (yield* Directory.inspect(parent, step, what)) === "file"
    yield* Directory.make(parent, isTaken ? other : step)
    return attempts > 0
      ? yield* ensureChild(chain, step, what, attempts - 1)
      : yield* new SystemError({ code: "ENOTDIR", call: "mkdir", path: `${parent.path}/${step}` })
  })

/** Writes a stream to a file, in large pieces, and then to the disk. */
const writeAll = Effect.fnUntraced(function* (
  handle: FileHandle,
  path: string,
  body: Stream.Stream<Uint8Array>
): Effect.fn.Return<void, SystemError> {
  const buffer = Buffer.allocUnsafeSlow(writeBytes)
  let filled = 0
  let position = 0
  const flush = Effect.gen(function* () {
    let written = 0
    while (written < filled) {
      const from = written
      const { bytesWritten } = yield* Directory.call("write", path, () =>
        handle.write(buffer, from, filled - from, position)
      )
      // No file system does this, and a loop without end would be the worst answer.
      if (bytesWritten === 0) return yield* new SystemError({ code: "ENOSPC", call: "write", path })
      written += bytesWritten
      position += bytesWritten
    }
    filled = 0
  })
  yield* Stream.runForEachArray(
    body,
    Effect.fnUntraced(function* (parts) {
      for (const part of parts) {
        let taken = 0
        while (taken < part.length) {
          const piece = part.subarray(taken, taken + buffer.length - filled)
          buffer.set(piece, filled)
          filled += piece.length
          taken += piece.length
          if (filled === buffer.length) yield* flush
        }
      }
    })
  )
  yield* flush
  yield* Directory.call("sync", path, () => handle.sync())
})

/** The bytes of an open file, from `start` up to and without `end`. */
export const read = (
  { handle, path }: Pick<Opened, "handle" | "path">,
  start: number,
  end: number
): Stream.Stream<Uint8Array, SystemError> =>
  Stream.unfold(start, (position) => {
    if (position >= end) return Effect.undefined
    const buffer = Buffer.allocUnsafeSlow(Math.min(readBytes, end - position))
    return Effect.map(
      Directory.call("read", path, () => handle.read(buffer, 0, buffer.length, position)),
      ({ bytesRead }) =>
        bytesRead === 0 ? undefined : ([buffer.subarray(0, bytesRead), position + bytesRead] as const)
    )
  })

/** Opens an entry that is a regular file; none where there is nothing, or a directory. */
const openFile = Effect.fnUntraced(function* (
  parent: Directory.Directory,
  name: string,
  what: string
): Effect.fn.Return<Option.Option<Opened>, Failed, Scope.Scope> {
  const path = `${parent.path}/${name}`
  const handle = yield* Directory.file(parent, name, constants.O_RDONLY).pipe(
    Effect.catchIf(
      ({ code }) => code === "ENOENT",
      () => Effect.undefined
    ),
    Effect.catchIf(
      ({ code }) => code === "ELOOP",
      () => new LinkRefused({ what, path })
    ),
    Effect.catchIf(
      // A socket.
      (error) => error._tag === "SystemError" && error.code === "ENXIO",
      () => new NotAnObject({ what, path })
    )
  )
  if (handle === undefined) return Option.none()
  const status = yield* Directory.call("stat", path, () => handle.stat({ bigint: true }))
  if (status.isDirectory()) return Option.none()
  if (!status.isFile()) return yield* new NotAnObject({ what, path })
  return Option.some({
    handle,
    path,
    size: Number(status.size),
    modifiedMillis: Number(status.mtimeMs),
    tag: [status.ino, status.size, status.mtimeNs].map((part) => part.toString(36)).join("-")
  })
})

/** Keys below an open directory, in no order. Directories are read one at a time, and only as far as the reader wants. */
const walk = (
  directory: Directory.Directory,
  keyPrefix: string,
  continued: string,
  select: Selection
): Stream.Stream<string, SystemError> => {
  const ofKind = (name: string, kind: Directory.Kind, meaning: Names.Meaning): Stream.Stream<string, SystemError> => {
    if (meaning._tag === "Continued") {
      return kind === "directory" ? below(directory, name, keyPrefix, meaning.spelling, select) : Stream.empty
    }
    if ((kind !== "file" && kind !== "directory") || (meaning.only ?? kind) !== kind) return Stream.empty
    const key = keyPrefix + meaning.component
    if (kind === "file") return key.startsWith(select.prefix) ? Stream.succeed(key) : Stream.empty

    const prefix = `${key}/`
    if (!prefix.startsWith(select.prefix) && !select.prefix.startsWith(prefix)) return Stream.empty
    const keys = below(directory, name, prefix, "", select)
    return select.oneOf(prefix) ? Stream.take(keys, 1) : keys
  }
  return Stream.fromIterableEffect(Directory.entries(directory)).pipe(
    Stream.flatMap((entry) =>
      Option.match(Names.meaning(entry.name, continued), {
        onNone: () => Stream.empty,
        onSome: (meaning) =>
          Stream.unwrap(Effect.map(Directory.listedKind(directory, entry), (kind) => ofKind(entry.name, kind, meaning)))
      })
    )
  )
}

interface Selection {
  /** What keys begin with. */
  readonly prefix: string
  /** Whether one key tells enough of all that begin so. */
  readonly oneOf: (prefix: string) => boolean
}

/** A directory that is gone, or was swapped for something else, has no keys. */
const below = (
  parent: Directory.Directory,
  name: string,
  keyPrefix: string,
  continued: string,
  select: Selection
): Stream.Stream<string, SystemError> =>
  Stream.unwrap(
    Directory.child(parent, name).pipe(
      Effect.map((directory) => walk(directory, keyPrefix, continued, select)),
      Effect.catchIf(
        ({ code }) => code === "ENOENT" || code === "ENOTDIR",
        () => Effect.succeed(Stream.empty)
      )
    )
  )

/** Objects of one root. */
export interface Objects {
  /** Makes a bucket, unless there is one. */
  readonly makeBucket: (bucket: string) => Effect.Effect<void, ObjectError>
  /** Makes the directory of the root that is no bucket. */
  readonly makePrivateDirectory: Effect.Effect<void, ObjectError>
  /** Removes what interrupted uploads left; what cannot be removed stays. */
  readonly sweep: Effect.Effect<void>
  readonly put: (bucket: string, key: string, body: Stream.Stream<Uint8Array>) => Effect.Effect<void, ObjectError>
  readonly exists: (bucket: string, key: string) => Effect.Effect<boolean, ObjectError>
  readonly open: (bucket: string, key: string) => Effect.Effect<Opened, ObjectError, Scope.Scope>
  readonly get: (bucket: string, key: string) => Stream.Stream<Uint8Array, ObjectError>
  /** No failure where there is none. */
  readonly remove: (bucket: string, key: string) => Effect.Effect<void, ObjectError>
  /** Keys that begin with a prefix, in no order, and perhaps twice: while an object moves. */
  readonly keys: (bucket: string, prefix: string) => Stream.Stream<string, ObjectError>
  /** The keys up to and with the first delimiter behind the prefix; in S3's order. */
  readonly commonPrefixes: (
    bucket: string,
    prefix: string,
    delimiter: string
  ) => Effect.Effect<ReadonlyArray<string>, ObjectError>
}

/** Objects below a directory, which nothing looks at before it is used. */
export const make = (root: string): Objects => {
  const select = (bucket: string, selection: Selection): Stream.Stream<string, ObjectError> => {
    const what = `listing of bucket ${bucket}`
    return Stream.unwrap(
      Effect.gen(function* () {
        const base = yield* Effect.fromResult(Names.base(selection.prefix))
        const directory = yield* openBucket(yield* openRoot(root), bucket)
        const chains = yield* descend(directory, base.directories, `prefix ${JSON.stringify(selection.prefix)}`)
        return Stream.flatMap(Stream.fromIterable(chains), (chain) => walk(lastOf(chain), base.prefix, "", selection))
      })
    ).pipe(Stream.mapError((error) => (error._tag === "SystemError" ? explain(what)(error) : error)))
  }

  const open = Effect.fn("Objects.open")(function* (bucket: string, key: string) {
    const what = whatOf(bucket, key)
    return yield* Effect.gen(function* () {
      const place = yield* Effect.fromResult(Names.place(key))
      const directory = yield* openBucket(yield* openRoot(root), bucket)
      for (const chain of yield* descend(directory, place.directories, what)) {
        for (const name of Names.objectNames(place.file)) {
          const opened = yield* openFile(lastOf(chain), name, what)
          if (Option.isSome(opened)) return opened.value
        }
      }
      return yield* new NoObject({ bucket, key })
    }).pipe(explained(what))
  })

  /** Moves an upload to its place, however often that place is removed under it. */
  const commit = (
    upload: Uploads.Upload,
    bucketDirectory: Directory.Directory,
    place: Names.Place,
    what: string,
    attempts = maximumAttempts
  ): Effect.Effect<void, Failed> =>
    Effect.scoped(
      Effect.gen(function* () {
        const chain = yield* ensure(bucketDirectory, place.directories, what)
        const parent = lastOf(chain)
        const [own, other] = Names.objectNames(place.file)
        const move = (name: string) =>
          Effect.andThen(
            Directory.inspect(parent, name, what),
            Directory.rename(upload.directory, upload.name, parent, name)
          )
        yield* Effect.catchIf(
          move(own),
          (error) => error._tag === "SystemError" && error.code === "EISDIR",
          () => move(other)
        )
        yield* Effect.forEach(chain.directories.toReversed(), Directory.sync, { discard: true })
      })
    ).pipe(
      Effect.catchIf(
        isGone,
        Effect.fnUntraced(function* (error) {
          const isThere = Option.isSome(yield* Directory.kind(upload.directory, upload.name))
          return yield* isThere && attempts > 0 ? commit(upload, bucketDirectory, place, what, attempts - 1) : error
        })
      )
    )

  return {
    makeBucket: Effect.fn("Objects.makeBucket")(function* (name) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const directory = yield* openRoot(root)
          const bucket = yield* Effect.fromResult(Names.bucket(name))
          const existing = yield* Directory.kind(directory, bucket)
          if (Option.isNone(existing)) {
            yield* Directory.make(directory, bucket)
            yield* Directory.sync(directory)
          }
          yield* openBucket(directory, bucket)
        })
      ).pipe(explained(`bucket ${name}`))
    }),
    makePrivateDirectory: Effect.scoped(
      Effect.flatMap(openRoot(root), (directory) => Directory.make(directory, Names.privateDirectory))
    ).pipe(explained(`directory ${Names.privateDirectory}`)),
    sweep: Effect.scoped(Effect.flatMap(openRoot(root), (directory) => Uploads.sweep(directory))).pipe(
      Effect.flatMap((swept) =>
        swept === 0 ? Effect.void : Effect.logInfo(`removed ${swept} left-overs of interrupted uploads from ${root}`)
      ),
      // A read-only location has nothing to sweep, and its files may be somebody else's.
      Effect.catch((error) => Effect.logDebug(`left-overs of uploads cannot be swept: ${error.message}`))
    ),
    put: Effect.fn("Objects.put")(function* (bucket, key, body) {
      const what = whatOf(bucket, key)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const place = yield* Effect.fromResult(Names.place(key))
          const directory = yield* openRoot(root)
          const bucketDirectory = yield* openBucket(directory, bucket)
          const upload = yield* Uploads.create(directory)
          yield* writeAll(upload.handle, `${upload.directory.path}/${upload.name}`, body)
          yield* Effect.uninterruptible(
            Effect.onError(commit(upload, bucketDirectory, place, what), () =>
              tidy(bucketDirectory, place.directories, what)
            )
          )
        })
      ).pipe(explained(what))
    }),
    exists: Effect.fn("Objects.exists")(function* (bucket, key) {
      const what = whatOf(bucket, key)
      return yield* Effect.scoped(
        Effect.gen(function* () {
          const place = yield* Effect.fromResult(Names.place(key))
          const directory = yield* openBucket(yield* openRoot(root), bucket)
          for (const chain of yield* descend(directory, place.directories, what)) {
            for (const name of Names.objectNames(place.file)) {
              if ((yield* Directory.inspect(lastOf(chain), name, what)) === "file") return true
            }
          }
          return false
        })
      ).pipe(explained(what))
    }),
    open,
    get: (bucket, key) =>
      Stream.unwrap(
        Effect.map(open(bucket, key), (opened) =>
          Stream.mapError(read(opened, 0, opened.size), explain(whatOf(bucket, key)))
        )
      ),
    remove: Effect.fn("Objects.remove")(function* (bucket, key) {
      const what = whatOf(bucket, key)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const place = yield* Effect.fromResult(Names.place(key))
          const directory = yield* openBucket(yield* openRoot(root), bucket)
          const chains = yield* descend(directory, place.directories, what)
          // What counts goes last: were the rest left by a crash, an old object would be back.
          for (const chain of chains.toReversed()) {
            const parent = lastOf(chain)
            for (const name of Names.objectNames(place.file).toReversed()) {
              if ((yield* Directory.inspect(parent, name, what)) !== "file") continue
              yield* Effect.catchIf(
                Directory.unlink(parent, name),
                // A directory by now: somebody else has deleted the object.
                ({ code }) => code === "EISDIR",
                () => Effect.void
              )
            }
            yield* Directory.sync(parent)
            yield* prune(chain)
          }
        })
      ).pipe(explained(what))
    }),
    keys: (bucket, prefix) => select(bucket, { prefix, oneOf: () => false }),
    commonPrefixes: Effect.fn("Objects.commonPrefixes")(function* (bucket, prefix, delimiter) {
      const common = (key: string) => Names.commonPrefix(key, prefix, delimiter)
      const keys = select(bucket, { prefix, oneOf: (keyPrefix) => Option.isSome(common(keyPrefix)) })
      const found = yield* Stream.runFold(
        keys,
        () => new Set<string>(),
        (prefixes, key) => Option.match(common(key), { onNone: () => prefixes, onSome: (one) => prefixes.add(one) })
      )
      return Names.sorted(found)
    })
  }
}

/** Removes what is empty of directories that were made for nothing. */
const tidy = (bucket: Directory.Directory, path: ReadonlyArray<string>, what: string): Effect.Effect<void> =>
  Effect.scoped(
    Effect.gen(function* () {
      // The longest part of the path that is there.
      for (let length = path.length; length > 0; length--) {
        const chains = yield* descend(bucket, path.slice(0, length), what)
        yield* Effect.forEach(chains, prune, { discard: true })
        if (chains.length > 0) return
      }
    })
  ).pipe(Effect.ignore)

/** Removes directories that are empty, from the deepest up; the bucket stays. */
const prune = ({ directories, names }: Chain): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (const [depth, name] of [...names.entries()].toReversed()) {
      const parent = directories[depth]
      if (parent !== undefined) yield* Directory.removeEmpty(parent, name)
    }
    // The first one that is not empty ends it.
  }).pipe(Effect.ignore)
