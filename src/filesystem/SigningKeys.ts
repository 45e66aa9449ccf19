/**
 * The keys that signatures of URLs are made with, shared by the plugin, which signs, and `serve-files`, which checks.
 *
 * A key lives in a file or in a Kubernetes Secret, in the same format: one key a line, base64 of at least 32 random bytes. The
 * first one signs, all of them are accepted; so a key is rotated by putting a new one before it. Whoever needs the key first
 * makes it, once: a file by a hard link, which fails if there is one, and a Secret by a server-side apply that takes no field from
 * anybody, under a name that nobody else has.
 */
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { KubernetesError, KubernetesObject, Resource } from "../kubernetes/Kubernetes.ts"
import type { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Directory from "./Directory.ts"
import type { SystemError } from "./Errors.ts"
import * as Uploads from "./Uploads.ts"

/** Keys in the order of their lines; never empty. The first one signs. */
export type SigningKeys = Redacted.Redacted<readonly [Uint8Array, ...ReadonlyArray<Uint8Array>]>

/** A key is there, and is none. Its text is never quoted. */
export class InvalidSigningKey extends Data.TaggedError("InvalidSigningKey")<{
  readonly where: string
  readonly detail: string
}> {
  override get message() {
    return `the signing key in ${this.where} cannot be used: ${this.detail}. A key is a line with the base64 of at least ${minimumBytes} random bytes, such as openssl rand -base64 32 prints; or remove it, and a new one is made`
  }
}

/** There is no key, and none can be made; or it cannot be read. */
export class NoSigningKey extends Data.TaggedError("NoSigningKey")<{
  readonly where: string
  readonly detail: string
}> {
  override get message() {
    return `the signing key in ${this.where} cannot be read or made: ${this.detail}. Put one there, such as openssl rand -base64 32 prints, or give access to it`
  }
}

export type SigningKeyError = InvalidSigningKey | NoSigningKey

/** A place that holds signing keys. */
export interface Source {
  /** For messages. */
  readonly where: string
  /** None where nobody has needed a key yet. */
  readonly read: Effect.Effect<Option.Option<SigningKeys>, SigningKeyError>
  /** Makes a key where there is none; whoever comes later gets that one. */
  readonly readOrMake: Effect.Effect<SigningKeys, SigningKeyError>
  /** Puts a new key before the one that signs, and drops those behind it. */
  readonly rotate: Effect.Effect<void, SigningKeyError>
}

const minimumBytes = 32

const newLine = (): string => randomBytes(minimumBytes).toString("base64")

const keyOf = (line: string): Uint8Array | undefined =>
  /^[\w+/-]+={0,2}$/.test(line) ? Uint8Array.from(Buffer.from(line, "base64")) : undefined

/** The lines that hold keys. */
const lines = (text: string): ReadonlyArray<string> =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))

/** Reads the format; the detail of a failure says which line, and never what is in it. */
export const parse = (text: string): Result.Result<SigningKeys, string> => {
  const keys: Array<Uint8Array> = []
  for (const [index, line] of lines(text).entries()) {
    const key = keyOf(line)
    if (key === undefined) return Result.fail(`key ${index + 1} is not base64`)
    if (key.length < minimumBytes) return Result.fail(`key ${index + 1} has ${key.length} bytes only`)
    keys.push(key)
  }
  const [first, ...rest] = keys
  return first === undefined ? Result.fail("it holds no key") : Result.succeed(Redacted.make([first, ...rest] as const))
}

const parsed = (where: string, text: string): Effect.Effect<SigningKeys, InvalidSigningKey> =>
  Effect.fromResult(Result.mapError(parse(text), (detail) => new InvalidSigningKey({ where, detail })))

/** A new key before the one that signed until now. */
const rotated = (text: string | undefined): string =>
  [newLine(), ...(text === undefined ? [] : lines(text).slice(0, 1)), ""].join("\n")

/** What a source has to know of its place. */
interface Place {
  readonly where: string
  readonly read: Effect.Effect<Option.Option<string>, NoSigningKey>
  /** Stores a text where there is none; `false` where somebody else was first. */
  readonly make: (text: string) => Effect.Effect<boolean, NoSigningKey>
  readonly replace: (text: string) => Effect.Effect<void, NoSigningKey>
}

const source = ({ make, read, replace, where }: Place): Source => {
  const readKeys = Effect.flatMap(
    read,
    Option.match({ onNone: () => Effect.succeedNone, onSome: (text) => Effect.asSome(parsed(where, text)) })
  )
  return {
    where,
    read: readKeys,
    readOrMake: Effect.gen(function* () {
      const existing = yield* readKeys
      if (Option.isSome(existing)) return existing.value
      const text = `${newLine()}\n`
      const isOurs = yield* make(text)
      yield* Effect.logInfo(isOurs ? `made a signing key in ${where}` : `found a new signing key in ${where}`)
      const keys = yield* readKeys
      return Option.isSome(keys)
        ? keys.value
        : yield* new NoSigningKey({ where, detail: "it was removed as soon as it was made" })
    }),
    rotate: Effect.gen(function* () {
      const old = yield* read
      if (Option.isSome(old)) yield* parsed(where, old.value)
      yield* replace(rotated(Option.getOrUndefined(old)))
    })
  }
}

/** A key in a file. Its directory must be there. */
export const file = (path: string): Source => {
  const directory = Path.dirname(path)
  const name = Path.basename(path)
  const failed = ({ message }: SystemError) => new NoSigningKey({ where: path, detail: message })
  /** Writes a text beside the file, to the disk, and hands it to `place`. */
  const write = <A>(
    text: string,
    place: (parent: Directory.Directory, written: string) => Effect.Effect<A, SystemError>
  ): Effect.Effect<A, NoSigningKey> =>
    Effect.scoped(
      Effect.gen(function* () {
        const parent = yield* Directory.open(directory)
        const written = `.${name}.${yield* Uploads.unfinishedName}`
        const { O_CREAT, O_EXCL, O_WRONLY } = Fs.constants
        const handle = yield* Directory.file(parent, written, O_WRONLY | O_CREAT | O_EXCL, Directory.fileMode)
        yield* Effect.addFinalizer(() => Effect.ignore(Directory.unlink(parent, written)))
        yield* Directory.call("write", path, () => handle.writeFile(text))
        yield* Directory.call("sync", path, () => handle.sync())
        const placed = yield* place(parent, written)
        yield* Directory.sync(parent)
        return placed
      })
    ).pipe(Effect.mapError(failed))
  return source({
    where: path,
    read: Effect.asSome(Directory.call("read", path, () => Fs.readFile(path, "utf8"))).pipe(
      Effect.catchIf(
        ({ code }) => code === "ENOENT",
        () => Effect.succeedNone
      ),
      Effect.mapError(failed)
    ),
    make: (text) =>
      write(text, (parent, written) =>
        Effect.as(
          Directory.call("link", path, () => Fs.link(Directory.at(parent, written), Directory.at(parent, name))),
          true
        ).pipe(
          Effect.catchIf(
            ({ code }) => code === "EEXIST",
            () => Effect.succeed(false)
          )
        )
      ),
    replace: (text) => write(text, (parent, written) => Directory.rename(parent, written, parent, name))
  })
}

const secrets: Resource = { group: "", version: "v1", resource: "secrets", kind: "Secret", namespaced: true }

/** The key of the Secret's data. */
const dataKey = "signing-key"

/** A key in a Kubernetes Secret, under `signing-key`. Needs the verbs get, create and patch on it. */
export const secret = (kubernetes: Kubernetes["Service"], namespace: string, name: string): Source => {
  const where = `secret ${namespace}/${name}`
  const failed = ({ message }: KubernetesError) => new NoSigningKey({ where, detail: message })
  const get: Effect.Effect<Option.Option<KubernetesObject>, KubernetesError> = Effect.asSome(
    kubernetes.get(secrets, namespace, name)
  ).pipe(Effect.catchTag("NotFound", () => Effect.succeedNone))
  const textOf = ({ data }: KubernetesObject): string | undefined => {
    const value = (data as Readonly<Record<string, unknown>> | undefined)?.[dataKey]
    return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : undefined
  }
  const apply = (text: string, metadata: Readonly<Record<string, unknown>>, fieldManager: string, force: boolean) =>
    kubernetes.apply(
      secrets,
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace, ...metadata },
        data: { [dataKey]: Buffer.from(text).toString("base64") }
      },
      { fieldManager, force }
    )
  return source({
    where,
    read: Effect.mapBoth(get, {
      onFailure: failed,
      onSuccess: Option.flatMap((object) => Option.fromUndefinedOr(textOf(object)))
    }),
    make: (text) =>
      // Under a manager of our own, a field that somebody else has set in the meantime is a conflict.
      Effect.as(apply(text, {}, `velero-plugin-filesystem-${randomBytes(8).toString("hex")}`, false), true).pipe(
        Effect.catchIf(
          (error) => error._tag === "Rejected" && error.status === 409,
          () => Effect.succeed(false)
        ),
        Effect.mapError(failed)
      ),
    replace: Effect.fnUntraced(function* (text) {
      const existing = yield* get
      const resourceVersion = Option.getOrUndefined(existing)?.metadata?.["resourceVersion"]
      // Of two rotations at once one fails.
      yield* apply(text, resourceVersion === undefined ? {} : { resourceVersion }, "velero-plugin-filesystem", true)
    }, Effect.mapError(failed))
  })
}
