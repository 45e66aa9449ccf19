/**
 * What Velero relies on in an object store, as one property: any sequence of calls has the outcome that it has on a plain map.
 *
 * **When to use**: for every object store, besides its own tests. **Gotchas**: one bucket, one caller at a time; that an object is
 * durable, that uploads of the same key do not mix, and that memory is bounded are for the store's own tests. The order of
 * lists is not compared, since Velero does not rely on it.
 *
 * @module
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Operations } from "../velero/ObjectStore.ts"

/** One call; what it is about is drawn beside it, whether it needs it or not. */
export interface Call {
  readonly name: "put" | "abandon" | "get" | "exists" | "delete" | "list" | "prefixes"
  readonly key: string
  readonly body: string
  /** The beginning of a key, which may end in the middle of a component. */
  readonly prefix: string
}

const oneOf = <A>(values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length - 1 }))),
    (index) => values[index] as A
  )

/** Few, so that keys meet: one may be the beginning of another, and both an object and a directory. */
const components = ["backups", "backup", "b1", "b1-logs.gz", "velero-backup.json", "größe", "a b", "100%", ".hidden"]

/** Keys as S3 takes them: components with anything in them but control characters, `.`, `..` and nothing. */
export const keys: Arbitrary.Arbitrary<string> = Arbitrary.map(
  Arbitrary.array(oneOf(components), { minLength: 1, maxLength: 3 }),
  (parts) => parts.join("/")
)

/** Sequences of calls. */
export const calls: Arbitrary.Arbitrary<ReadonlyArray<Call>> = Arbitrary.array(
  Arbitrary.map(
    Arbitrary.all({
      name: oneOf(["put", "put", "put", "abandon", "get", "exists", "delete", "list", "prefixes"] as const),
      key: keys,
      body: oneOf(["", "{}", "x".repeat(40_000)]),
      whole: keys,
      length: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 })))
    }),
    ({ body, key, length, name, whole }): Call => ({
      name,
      key,
      body,
      prefix: Array.from(whole).slice(0, length).join("")
    })
  ),
  { minLength: 1, maxLength: 30 }
)

/** The store did something else than a map would have done. */
export class Disagreement extends Data.TaggedError("Disagreement")<{
  readonly call: string
  readonly expected: unknown
  readonly found: unknown
}> {
  override get message() {
    const short = (value: unknown) => JSON.stringify(value)?.slice(0, 500) ?? "nothing"
    return `${this.call}: expected ${short(this.expected)}, found ${short(this.found)}`
  }
}

const missing = "an error"

const pieces = (body: string): ReadonlyArray<Uint8Array> => {
  const bytes = new TextEncoder().encode(body)
  return bytes.length === 0 ? [] : [bytes.subarray(0, 1), bytes.subarray(1)]
}

/** What the call is to do to a map, and to answer. */
const expected = (model: Map<string, string>, { body, key, name, prefix }: Call): unknown => {
  const found = [...model.keys()].filter((each) => each.startsWith(prefix)).toSorted()
  switch (name) {
    case "put":
      model.set(key, body)
      return undefined
    case "delete":
      model.delete(key)
      return undefined
    case "abandon":
      return model.get(key) ?? missing
    case "get":
      return model.get(key) ?? missing
    case "exists":
      return model.has(key)
    case "list":
      return found
    case "prefixes": {
      const ends = found.map((each) => each.indexOf("/", prefix.length))
      return [...new Set(found.flatMap((each, at) => (ends[at] === -1 ? [] : [each.slice(0, (ends[at] ?? 0) + 1)])))]
    }
  }
}

/**
 * Makes the calls, and compares what comes of each. The bucket is empty at first.
 *
 * @example
 * ```ts
 * import * as Arbitrary from "effect/Arbitrary"
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Stream from "effect/Stream"
 * import * as ObjectStores from "velero-plugin-cnpg/testing/ObjectStores"
 * import * as ObjectStore from "velero-plugin-cnpg/velero/ObjectStore"
 *
 * // Takes everything, and forgets it.
 * const store = ObjectStore.make({
 *   config: Schema.Struct({}),
 *   init: () =>
 *     Effect.succeed({
 *       putObject: () => Effect.void,
 *       objectExists: () => Effect.succeed(false),
 *       getObject: () => Stream.die("no such object"),
 *       listCommonPrefixes: () => Effect.succeed([]),
 *       listObjects: () => Effect.succeed([]),
 *       deleteObject: () => Effect.void,
 *       createSignedURL: () => Effect.die("no URLs")
 *     } satisfies ObjectStore.Operations<never>)
 * })
 *
 * const property = Arbitrary.checkEffect(ObjectStores.calls, (calls) =>
 *   Effect.gen(function* () {
 *     const operations = yield* store.init("example.com/store", { bucket: "b", prefix: "" })
 *     yield* ObjectStores.compare(operations, "b", calls)
 *     return true
 *   }).pipe(Effect.scoped)
 * )
 * const problem = Arbitrary.formatCheckFailure(await Effect.runPromise(property)) ?? ""
 * problem.includes("Disagreement") // => true
 * ```
 */
export const compare = Effect.fnUntraced(function* <R>(
  operations: Operations<R>,
  bucket: string,
  sequence: ReadonlyArray<Call>
) {
  const model = new Map<string, string>()
  const read = (key: string) =>
    operations.getObject(bucket, key).pipe(
      Stream.runCollect,
      Effect.map((parts) => Buffer.concat(parts).toString("utf8")),
      Effect.exit,
      Effect.map((exit) => (Exit.isSuccess(exit) ? exit.value : missing))
    )
  /** Half of an upload, and its end; then what is under its key. */
  const abandon = Effect.fnUntraced(function* (key: string) {
    const isHalfWay = yield* Deferred.make<void>()
    const rest = Stream.fromEffect(Effect.andThen(Deferred.succeed(isHalfWay, undefined), Effect.never))
    const body = Stream.concat(Stream.succeed(new TextEncoder().encode("half")), rest)
    const upload = yield* Effect.forkChild(operations.putObject(bucket, key, body))
    yield* Effect.race(Deferred.await(isHalfWay), Effect.exit(Fiber.join(upload)))
    yield* Fiber.interrupt(upload)
    return yield* read(key)
  })
  const make = ({ body, key, name, prefix }: Call) => {
    switch (name) {
      case "put":
        return operations.putObject(bucket, key, Stream.fromIterable(pieces(body)))
      case "delete":
        return operations.deleteObject(bucket, key)
      case "abandon":
        return abandon(key)
      case "get":
        return read(key)
      case "exists":
        return operations.objectExists(bucket, key)
      case "list":
        return Effect.map(operations.listObjects(bucket, prefix), (found) => found.toSorted())
      case "prefixes":
        return Effect.map(operations.listCommonPrefixes(bucket, "/", prefix), (found) => found.toSorted())
    }
  }
  const end: Call = { name: "list", key: "", body: "", prefix: "" }
  for (const call of [...sequence, end]) {
    const should = expected(model, call)
    const found: unknown = yield* make(call)
    if (JSON.stringify(found) !== JSON.stringify(should)) {
      const about = call.name === "list" || call.name === "prefixes" ? call.prefix : call.key
      return yield* new Disagreement({ call: `${call.name} ${JSON.stringify(about)}`, expected: should, found })
    }
  }
})
