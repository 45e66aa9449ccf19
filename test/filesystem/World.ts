/** What the tests of this pack share: directories, keys of every sort, bodies. */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Objects } from "../../src/filesystem/Objects.ts"
import * as Store from "../../src/filesystem/Objects.ts"

/** A directory that is removed with the test, links in it and all. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "velero-filesystem-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

export const bucket = "velero"

/** An empty store with one bucket. */
export const world: Effect.Effect<{ readonly root: string; readonly objects: Objects }, never, Scope.Scope> =
  Effect.gen(function* () {
    const root = yield* directory
    const objects = Store.make(root)
    yield* Effect.orDie(objects.makeBucket(bucket))
    return { root, objects }
  })

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

export const body = (text: string): Stream.Stream<Uint8Array> => Stream.succeed(bytesOf(text))

export const textOf = <E>(stream: Stream.Stream<Uint8Array, E>): Effect.Effect<string, E> =>
  Effect.map(Stream.runCollect(stream), (parts) => Buffer.concat(parts).toString("utf8"))

/** Every path below a directory. */
export const tree = (path: string): ReadonlyArray<string> =>
  Fs.readdirSync(path, { recursive: true }).map(String).toSorted()

/** What is still being uploaded, or was left. */
export const uploads = (root: string): ReadonlyArray<string> => {
  const path = Path.join(root, ".velero-filesystem", "uploads")
  return Fs.existsSync(path) ? Fs.readdirSync(path) : []
}

/** One of these, as often as it is listed. */
export const oneOf = <const A>(...values: readonly [A, ...ReadonlyArray<A>]): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length - 1 }))),
    (index) => values[index] ?? values[0]
  )

/** Components that meet each other: plain ones, and all that a directory has its own mind about. */
const component = oneOf(
  "a",
  "a",
  "a",
  "b",
  "b",
  "backups",
  "velero-backup.json",
  "",
  ".",
  "...",
  " ",
  "%",
  "a%o",
  "a%d",
  "%o",
  "%d",
  "%c",
  "%2E",
  "größe",
  "\n",
  "\\",
  "𝒳",
  "\uFFFD",
  "x".repeat(240),
  "x".repeat(241),
  "x".repeat(300),
  `${"x".repeat(239)}é`,
  "lost+found",
  ".velero-filesystem"
)

/** Keys that the store takes. */
export const key: Arbitrary.Arbitrary<string> = Arbitrary.filter(
  Arbitrary.map(Arbitrary.array(component, { minLength: 1, maxLength: 4 }), (components) => components.join("/")),
  (text) => text !== "" && !text.startsWith("/") && Buffer.byteLength(text) <= 1024
)
